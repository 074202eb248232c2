"""From clips to cached features, and from those to the arrays that a model reads. Knows no model.

store, entry, storage, packs, packing  the content-addressed cache; `get` returns whole entries only
extractor, pipeline                    video to cache; a clip that fails is reported, never replaced
ray_engine, ray_worker                 the same extraction by the workers of a Ray cluster
report                                 what came of it: counts, quarantine, the features by name
sequences                              `FeatureTable`, and `SequenceSet`: many clips in one array
source                                 `Source`, what each kind of data gives, and what builds them
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.core import exported_from

if TYPE_CHECKING:
    from action_gru.features.entry import ClipFeatures, ViewKey, cache_key
    from action_gru.features.extractor import Extractor
    from action_gru.features.packing import pack_entries
    from action_gru.features.ray_engine import extract_on_cluster
    from action_gru.features.report import (
        ExtractionReport,
        LazyFeatures,
        check_quarantine,
        duplicates_across,
        report_on_error,
    )
    from action_gru.features.store import FeatureCache, MemoryCache

__all__ = [
    "ClipFeatures",
    "ExtractionReport",
    "Extractor",
    "FeatureCache",
    "LazyFeatures",
    "MemoryCache",
    "ViewKey",
    "cache_key",
    "check_quarantine",
    "duplicates_across",
    "extract_on_cluster",
    "pack_entries",
    "report_on_error",
]

__getattr__ = exported_from(
    __name__,
    entry="ClipFeatures ViewKey cache_key",
    extractor="Extractor",
    packing="pack_entries",
    ray_engine="extract_on_cluster",
    report="ExtractionReport LazyFeatures check_quarantine duplicates_across report_on_error",
    store="FeatureCache MemoryCache",
)
