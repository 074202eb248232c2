"""A content-addressed store of feature sequences on disk. Knows nothing of video or networks.

An entry's key is a hash of all that its values depend on, so an entry is never stale. Each file is
written beside its place and renamed, and carries a checksum: what `get` returns is whole.
"""

from action_gru.cache.entry import ClipFeatures, RowFile, read_entry
from action_gru.cache.packing import pack_entries
from action_gru.cache.store import FeatureCache, MemoryCache, cache_key

__all__ = [
    "ClipFeatures",
    "FeatureCache",
    "MemoryCache",
    "RowFile",
    "cache_key",
    "pack_entries",
    "read_entry",
]
