"""Video to cached features. Knows nothing of labels or models.

A clip that cannot be read is reported with its reason, never replaced by another.
"""

from action_gru.extraction.clip import ExtractionReport, Stream, duplicates_across, streams_of
from action_gru.extraction.extractor import Extractor
from action_gru.extraction.kept import KeptFeatures, free_memory_bytes

__all__ = [
    "ExtractionReport",
    "Extractor",
    "KeptFeatures",
    "Stream",
    "duplicates_across",
    "free_memory_bytes",
    "streams_of",
]
