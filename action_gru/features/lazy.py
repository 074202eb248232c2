"""The features of clips by name: read from the cache once, and kept while there is room."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from action_gru.core.errors import CacheError
from action_gru.dataset import Clip
from action_gru.features.clip import ViewKey
from action_gru.features.entry import ClipFeatures
from action_gru.features.report import ExtractionReport
from action_gru.features.store import FeatureCache, MemoryCache

FALLBACK_BYTES = 4 << 30  # where the system does not tell


def free_memory_bytes() -> int:
    """What the machine has free now."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not POSIX
        return FALLBACK_BYTES


def read_clip(
    cache: FeatureCache | MemoryCache, clip: Clip, report: ExtractionReport
) -> dict[ViewKey, ClipFeatures] | None:
    """A clip's features from the cache; None only for one that was quarantined.

    Raises CacheError when an entry has vanished since it was extracted.
    """
    keys = report.keys.get(clip.name)
    if keys is None or clip.name in report.quarantined:
        return None
    found = {view_key: cache.get(key) for view_key, key in keys.items()}
    whole = {view_key: entry for view_key, entry in found.items() if entry is not None}
    if len(whole) < len(found):
        raise CacheError(
            f"the cache entries of {clip.name} vanished while in use; "
            "is something else cleaning features.cache_dir? Run again"
        )
    return whole


class LazyFeatures(Mapping[str, Mapping[ViewKey, ClipFeatures]]):
    """ViewKey -> features, by the name of each clip that was extracted.

    Up to most_bytes stay in memory; what is beyond is read again whenever it is asked for. Raises
    CacheError when an entry has vanished meanwhile.
    """

    def __init__(
        self,
        cache: FeatureCache | MemoryCache,
        report: ExtractionReport,
        clips: Sequence[Clip],
        most_bytes: int,
    ) -> None:
        self._cache, self._report, self._room = cache, report, most_bytes
        self._clips = {
            clip.name: clip
            for clip in clips
            if clip.name in report.keys and clip.name not in report.quarantined
        }
        self._kept: dict[str, Mapping[ViewKey, ClipFeatures]] = {}

    def __getitem__(self, name: str) -> Mapping[ViewKey, ClipFeatures]:
        if name in self._kept:
            return self._kept[name]
        found = read_clip(self._cache, self._clips[name], self._report)
        assert found is not None, f"{name} is not in quarantine"
        size = sum(entry.values.nbytes + entry.times_s.nbytes for entry in found.values())
        if size <= self._room:
            self._room -= size
            self._kept[name] = found
        return found

    def reading_order(self, names: Sequence[str]) -> list[int]:
        """Which of the clips to read first: as their entries lie in the cache."""
        if isinstance(self._cache, MemoryCache):
            return list(range(len(names)))
        keys = [next(iter(self._report.keys[name].values())) for name in names]
        return self._cache.reading_order(keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._clips)

    def __len__(self) -> int:
        return len(self._clips)

    def __contains__(self, name: object) -> bool:
        return name in self._clips
