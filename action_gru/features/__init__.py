"""From clips to cached features, and from those to the arrays that a model reads. Knows no model.

store, entry, storage, packs  the content-addressed cache; `get` returns whole entries only
extractor, pipeline           video to cache; a clip that fails is reported, never replaced
ray_engine                    the same extraction by the workers of a Ray cluster
source                        `Source`, what each kind of data gives
sequences                     `SequenceSet`, the features of many clips in one array
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.core import exported_from

if TYPE_CHECKING:
    from action_gru.features.clip import ViewKey, view_keys_of
    from action_gru.features.entry import ClipFeatures, RowFile, read_entry
    from action_gru.features.extractor import Extractor
    from action_gru.features.lazy import LazyFeatures, free_memory_bytes
    from action_gru.features.packing import pack_entries
    from action_gru.features.ray_engine import ClusterReport, extract_on_cluster
    from action_gru.features.report import (
        ExtractionReport,
        check_copies,
        check_quarantine,
        duplicates_across,
        keep_quarantine,
        report_on_error,
        write_quarantine,
    )
    from action_gru.features.store import FeatureCache, MemoryCache, cache_key

__all__ = [
    "ClipFeatures",
    "ClusterReport",
    "ExtractionReport",
    "Extractor",
    "FeatureCache",
    "LazyFeatures",
    "MemoryCache",
    "RowFile",
    "ViewKey",
    "cache_key",
    "check_copies",
    "check_quarantine",
    "duplicates_across",
    "extract_on_cluster",
    "free_memory_bytes",
    "keep_quarantine",
    "pack_entries",
    "read_entry",
    "report_on_error",
    "view_keys_of",
    "write_quarantine",
]

__getattr__ = exported_from(
    __name__,
    clip="ViewKey view_keys_of",
    entry="ClipFeatures RowFile read_entry",
    extractor="Extractor",
    lazy="LazyFeatures free_memory_bytes",
    packing="pack_entries",
    ray_engine="ClusterReport extract_on_cluster",
    report="ExtractionReport check_copies check_quarantine duplicates_across keep_quarantine "
    "report_on_error write_quarantine",
    store="FeatureCache MemoryCache cache_key",
)
