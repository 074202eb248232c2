"""What came of an extraction: its counts, the clips left out and why, and the features it brought.

Knows nothing of how clips are read.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from action_gru.core.errors import (
    PAUSES_S,
    CacheError,
    DataError,
    MachineError,
    VideoError,
    is_exhausted,
)
from action_gru.core.files import write_run_file
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.dataset import Clip
from action_gru.features.entry import ClipFeatures, ViewKey
from action_gru.features.store import FeatureCache, MemoryCache

FALLBACK_BYTES = 4 << 30  # where the system does not say what is free


@dataclass
class ExtractionReport:
    """What came of a run. keys: per clip name, the cache key of each view key.

    read: clips that were decoded whole; cached: clips that needed not. retried: further attempts at
    clips that the machine, and not the clip, had stopped. slow: of those read, the names of those
    whose frames come too seldom for the sampling rate. cut: of each that is cut short or
    damaged, the warning. notes: of each folder of frames that has gaps or other files, what they
    are.
    """

    clips: int = 0
    frames: int = 0
    read: int = 0
    cached: int = 0
    retried: int = 0
    quarantined: dict[str, str] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    keys: dict[str, dict[ViewKey, str]] = field(default_factory=dict)
    content: dict[str, str] = field(default_factory=dict)
    slow: list[str] = field(default_factory=list)
    cut: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def skipped(self) -> int:
        """Clips that the run did not come to, as when it was ended by an error."""
        return self.clips - self.read - self.cached - len(self.quarantined)

    def counts(self) -> dict[str, int]:
        """The run in figures."""
        numbers = {n: getattr(self, n) for n in ("clips", "read", "frames", "cached", "skipped")}
        left_out, damaged = len(self.quarantined), len(self.damaged)
        return numbers | {"quarantined": left_out, "retried": self.retried, "damaged": damaged}

    def sentence(self, frames: str = "frames decoded") -> str:
        """The same in words. frames: what was counted as such."""
        rest = {
            "not reached": self.skipped,
            "attempts repeated": self.retried,
            "damaged cache entries extracted again": len(self.damaged),
        }
        return (
            f"{counted(self.clips, 'clip')}: {self.read} read ({self.frames} {frames}), "
            f"{self.cached} already cached, {len(self.quarantined)} left out"
        ) + "".join(f", {count} {what}" for what, count in rest.items() if count)

    def add(self, part: ExtractionReport) -> None:
        """Take in what came of some of the clips."""
        for name, more in vars(part).items():
            mine = getattr(self, name)
            if isinstance(mine, dict):
                mine.update(more)
            elif name != "clips":
                setattr(self, name, mine + more)

    def sort(self, clips: Sequence[Clip]) -> None:
        """Bring what is kept by clip name into the order of the clips."""
        place = {clip.name: number for number, clip in enumerate(clips)}
        self.slow.sort(key=place.__getitem__)
        for name in ("quarantined", "keys", "content", "cut", "notes"):
            items = getattr(self, name).items()
            setattr(self, name, dict(sorted(items, key=lambda item: place[item[0]])))


def explain_failure(clip: Clip, error: Exception) -> VideoError:
    """What the last attempt met, in words that do not blame the clip.

    Raises MachineError where no other clip could be read either, and what the cache says.
    """
    if isinstance(error, CacheError):
        raise error
    reason = one_line(error) or type(error).__name__
    said = f"{clip.path}: not read in {len(PAUSES_S) + 1} attempts"
    if is_exhausted(error):
        raise MachineError(
            f"{said}, and not for its own fault: {reason}; free what is named, or lower "
            "features.workers, and run again: what was finished is in the cache"
        ) from error
    return VideoError(
        f"{said}; the machine or the disk may be the reason, and not the clip: {reason}"
    )


def named(clip: str, reason: str) -> str:
    """The reason with the clip's name before it, where it does not name the clip itself."""
    return reason if clip in reason.partition(": ")[0] else f"{clip}: {reason}"


def one_line(error: Exception) -> str:
    """The error's text without line breaks."""
    return " ".join(str(error).split())


@contextmanager
def report_on_error(report: ExtractionReport, reporter: Reporter) -> Iterator[None]:
    """When the run ends in an error, its summary is written first."""
    try:
        yield
    except BaseException:
        reporter.info(f"summary: {report.sentence()}", summary=report.counts())
        raise


def check_quarantine(
    report: ExtractionReport, reporter: Reporter, folder: Path | None, allowed: float
) -> None:
    """Write every clip that is left out, with its reason, to quarantine.csv of the folder, or warn
    of each where there is none. Raises DataError when more than the allowed share is bad.
    """
    bad = report.quarantined
    if folder is not None:
        text = io.StringIO()
        rows = [("clip", "reason"), *sorted(bad.items())]
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_run_file(folder / "quarantine.csv", text.getvalue().encode())
    else:
        for clip, reason in bad.items():
            reporter.warn(f"left out {named(clip, reason)}", clip=clip, reason=reason)
    if len(bad) > allowed * report.clips:
        name, reason = min(bad.items())
        listed = f"; all are listed in {folder / 'quarantine.csv'}" if folder else ""
        raise DataError(
            f"{len(bad)} of {counted(report.clips, 'clip')} cannot be read, more than "
            f"data.max_bad_share={allowed:g} allows; the first is {named(name, reason)}{listed}. "
            "Mend or drop them, or set a larger share"
        )


def check_copies(clips: Sequence[Clip], report: ExtractionReport) -> None:
    """Raise DataError when the same moment of the same video is on two sides of the split."""
    copies = duplicates_across(clips, report.content)
    if copies:
        first, second = copies[0]
        raise DataError(
            f"{first.name} ({first.split}) and {second.name} ({second.split}) are the same video "
            f"on two sides of the split ({len(copies)} such pairs): the score would be too good. "
            "Keep one of them, or write data.allow_leakage: true"
        )


def duplicates_across(clips: Sequence[Clip], content: dict[str, str]) -> list[tuple[Clip, Clip]]:
    """Pairs of clips on different sides that show the same moment of the same bytes.

    content: SHA-256 of the file, by clip name.
    """
    by_content: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.name in content:
            by_content.setdefault(content[clip.name], []).append(clip)
    return [
        (first, second)
        for same in by_content.values()
        for first, second in itertools.combinations(same, 2)
        if first.split != second.split and _overlap(first, second)
    ]


def _overlap(first: Clip, second: Clip) -> bool:
    ends = [math.inf if clip.end_s is None else clip.end_s for clip in (first, second)]
    return (first.start_s or 0.0) < ends[1] and (second.start_s or 0.0) < ends[0]


def free_memory_bytes() -> int:
    """What the machine has free now."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not POSIX
        return FALLBACK_BYTES


class LazyFeatures(Mapping[str, dict[ViewKey, ClipFeatures]]):
    """ViewKey -> features, by the name of each clip that was extracted.

    Up to most_bytes stay in memory; what is beyond is read from the cache at each access. Raises
    CacheError when an entry has vanished meanwhile.
    """

    def __init__(
        self,
        cache: FeatureCache | MemoryCache,
        report: ExtractionReport,
        clips: Sequence[Clip],
        most_bytes: int,
    ) -> None:
        self._cache, self._room = cache, most_bytes
        self._keys = {
            clip.name: report.keys[clip.name]
            for clip in clips
            if clip.name in report.keys and clip.name not in report.quarantined
        }
        self._kept: dict[str, dict[ViewKey, ClipFeatures]] = {}

    def __getitem__(self, name: str) -> dict[ViewKey, ClipFeatures]:
        if name in self._kept:
            return self._kept[name]
        found = {view_key: self._cache.get(key) for view_key, key in self._keys[name].items()}
        whole = {view_key: entry for view_key, entry in found.items() if entry is not None}
        if len(whole) < len(found):
            raise CacheError(
                f"the cache entries of {name} vanished while in use; "
                "is something else cleaning features.cache_dir? Run again"
            )
        size = sum(entry.values.nbytes + entry.times_s.nbytes for entry in whole.values())
        if size <= self._room:
            self._room -= size
            self._kept[name] = whole
        return whole

    def reading_order(self, names: Sequence[str]) -> list[int]:
        """Which of the clips to read first: in the order of their entries in the cache."""
        if isinstance(self._cache, MemoryCache):
            return list(range(len(names)))
        return self._cache.reading_order([next(iter(self._keys[name].values())) for name in names])

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, name: object) -> bool:
        return name in self._keys
