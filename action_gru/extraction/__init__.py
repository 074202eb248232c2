"""Video to cached features. Knows nothing of labels or models.

A clip that cannot be read is reported with its reason, never replaced by another.
"""

from action_gru.extraction.clip import ViewKey, view_keys_of
from action_gru.extraction.extractor import Extractor
from action_gru.extraction.lazy import LazyFeatures, free_memory_bytes
from action_gru.extraction.report import (
    ExtractionReport,
    check_copies,
    check_quarantine,
    duplicates_across,
    keep_quarantine,
    report_on_error,
    write_quarantine,
)

__all__ = [
    "ExtractionReport",
    "Extractor",
    "LazyFeatures",
    "ViewKey",
    "check_copies",
    "check_quarantine",
    "duplicates_across",
    "free_memory_bytes",
    "keep_quarantine",
    "report_on_error",
    "view_keys_of",
    "write_quarantine",
]
