"""What came of an extraction: its counts, the clips left out and why, copies across the split.

Knows nothing of how clips are read.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from action_gru.core.errors import DataError
from action_gru.core.files import write_run_file
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.features.clip import ViewKey


@dataclass
class ExtractionReport:
    """What came of a run. keys: per clip name, the cache key of each view key.

    read: clips that were decoded whole; cached: clips that needed not. retried: further attempts at
    clips that the machine, and not the clip, had stopped. slow: of those read, the names of those
    whose frames come too seldom for the sampling rate.
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

    @property
    def skipped(self) -> int:
        """Clips that the run did not come to, as when it was ended by an error."""
        return self.clips - self.read - self.cached - len(self.quarantined)

    def counts(self) -> dict[str, int]:
        """The run in figures."""
        return {
            "clips": self.clips,
            "read": self.read,
            "frames": self.frames,
            "cached": self.cached,
            "skipped": self.skipped,
            "quarantined": len(self.quarantined),
            "retried": self.retried,
            "damaged": len(self.damaged),
        }

    def sentence(self, frames: str = "frames decoded") -> str:
        """The same in words. frames: what was counted as such."""
        text = (
            f"{self.clips} clips: {self.read} read ({self.frames} {frames}), {self.cached} "
            f"already cached, {len(self.quarantined)} left out"
        )
        for count, what in (
            (self.skipped, "not reached"),
            (self.retried, "attempts repeated"),
            (len(self.damaged), "damaged cache entries extracted again"),
        ):
            text += f", {count} {what}" if count else ""
        return text

    def sort(self, clips: Sequence[Clip]) -> None:
        """Bring what is kept by clip name into the order of the clips."""
        names = [clip.name for clip in clips]
        self.quarantined = {n: self.quarantined[n] for n in names if n in self.quarantined}
        self.keys = {n: self.keys[n] for n in names if n in self.keys}
        self.content = {n: self.content[n] for n in names if n in self.content}
        slow = set(self.slow)
        self.slow = [name for name in names if name in slow]


@contextmanager
def report_on_error(report: ExtractionReport, reporter: Reporter) -> Iterator[None]:
    """When the run ends in an error, its summary is told first."""
    try:
        yield
    except BaseException:
        reporter.say(f"summary: {report.sentence()}", summary=report.counts())
        raise


def keep_quarantine(report: ExtractionReport, reporter: Reporter, folder: Path | None) -> None:
    """Every clip that is left out, with its reason: in the folder, or told where there is none."""
    if folder is not None:
        write_quarantine(report, folder / "quarantine.csv")
        return
    for clip, reason in report.quarantined.items():
        reporter.warn(f"left out {clip}: {reason}", clip=clip, reason=reason)


def write_quarantine(report: ExtractionReport, path: Path) -> None:
    """The clips left out, with the reason of each, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "reason"])
    writer.writerows(sorted(report.quarantined.items()))
    write_run_file(path, text.getvalue().encode())


def check_quarantine(report: ExtractionReport, allowed: float, folder: Path | None) -> None:
    """Raise DataError when more than the allowed share of the clips is bad."""
    bad = report.quarantined
    if len(bad) > allowed * report.clips:
        name, reason = sorted(bad.items())[0]
        listed = f"; all are listed in {folder / 'quarantine.csv'}" if folder else ""
        raise DataError(
            f"{len(bad)} of {report.clips} clips cannot be read, more than data.max_bad_share="
            f"{allowed:g} allows; the first is {name}: {reason}{listed}. Mend or drop them, or set "
            "a larger share"
        )


def check_copies(clips: Sequence[Clip], report: ExtractionReport) -> None:
    """Raise DataError when the same moment of the same video stands on two sides of the split."""
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
