"""What one clip's extraction is made of: its streams, its keys, its pictures in time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from action_gru.backbone import FeatureSpec
from action_gru.cache import cache_key
from action_gru.dataset import Clip
from action_gru.extraction.rows import Rows
from action_gru.video.frame import DECODING_VERSION

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Stream:
    """One sequence to extract of a clip: a view, plain or mirrored."""

    view: str
    flipped: bool = False


@dataclass
class ExtractionReport:
    """What came of a run. keys: per clip name, the cache key of each stream.

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
    keys: dict[str, dict[Stream, str]] = field(default_factory=dict)
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


@dataclass
class Job:
    """A clip on its way: what its threads have sent and what the backbone has answered."""

    clip: Clip
    content: str
    keys: dict[Stream, str]
    missing: list[Stream]
    times_s: list[float] = field(default_factory=list)
    rows: dict[Stream, Rows] = field(default_factory=dict)
    pending: int = 0  # pictures that are not embedded yet
    frames: int = 0
    slow: bool = False  # its frames come too seldom for the sampling rate
    ended: bool = False  # nothing more will be decoded
    failed: bool = False
    settled: bool = False

    def release(self) -> None:
        """Let go of the features."""
        for rows in self.rows.values():
            rows.close()
        self.rows = {}


def streams_of(views: Sequence[str], flip: bool) -> list[Stream]:
    """Every stream of a clip: each view, and each view mirrored when flip is set."""
    return [
        Stream(view, flipped) for flipped in ((False, True) if flip else (False,)) for view in views
    ]


def clip_key(video_sha256: str, clip: Clip, fps: float, stream: Stream, spec: FeatureSpec) -> str:
    """The cache key of one stream of one clip: all that its values depend on."""
    return cache_key(
        {
            "video": video_sha256,
            "bounds_s": [clip.start_s, clip.end_s],
            "fps": fps,
            "flipped": stream.flipped,
            "decoding": DECODING_VERSION,
            "features": spec.fingerprint,
        }
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
