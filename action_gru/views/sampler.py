"""The frames of a video that are due, as a model looks at them: one rule for files and live.

Cheap enough for the thread that reads a camera. Knows no network: it starts fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from action_gru.core.errors import VideoError
from action_gru.video import VideoFile
from action_gru.video.frame import Image
from action_gru.views.maker import ViewMaker
from action_gru.views.pictures import MOTION_HISTORY_S
from action_gru.views.sampling import Sampler, in_window


class Maker(Protocol):
    """What makes something of each sampled frame: a `ViewMaker`, or one that finds things too."""

    needs_history: bool

    def remember(self, image: Image, time_s: float) -> None: ...

    def observe(self, image: Image, time_s: float) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Sample:
    """A frame that is due: its instant, the picture of each view, and the run it belongs to."""

    time_s: float
    pictures: dict[str, Any]
    run: int = 0  # how often the stream had been broken off before
    reason: str = ""  # why it was broken off last


class FrameSampler:
    """Samples one source by time between start_s and end_s, shown every frame in turn.

    make: gives what makes the pictures of a run. Where time jumps back, or ahead by more than
    max_gap_s, a new run begins: motion is not measured across the gap, and whoever carries a state
    must reset it. Motion is measured at the source's own rate, also over the moment before start_s.
    """

    def __init__(
        self,
        make: Callable[[], Maker],
        fps: float,
        max_gap_s: float = math.inf,
        start_s: float | None = None,
        end_s: float | None = None,
    ) -> None:
        self.fps, self.max_gap_s = fps, max_gap_s
        self.start_s, self.end_s = -math.inf if start_s is None else start_s, end_s
        self.run = -1
        self.reason = ""
        self._make = make
        self._maker, self._sampler = make(), Sampler(fps)
        self.needs_history = self._maker.needs_history
        self._last_s = 0.0

    def look(self, image: Image, time_s: float) -> Sample | None:
        """Take in a frame (H, W, 3) uint8 RGB at time_s seconds; the sample if it is due.

        Raises VideoError for anything else, and leaves the stream as it was.
        """
        _check(image, time_s)
        self._follow(time_s)
        if in_window(time_s, self.start_s, self.end_s) and self._sampler.due(time_s):
            pictures = self._maker.observe(image, time_s)
            return Sample(time_s, pictures, self.run, self.reason)
        if self.needs_history:
            self._maker.remember(image, time_s)
        return None

    def wants(self, time_s: float) -> bool:
        """Would a frame at this instant be looked at? Others need not be decoded to a picture."""
        if self.needs_history:
            return time_s >= self.start_s - MOTION_HISTORY_S
        inside = in_window(time_s, self.start_s, self.end_s)
        return inside and self._sampler.would_take(time_s)

    def _follow(self, time_s: float) -> None:
        gap_s = time_s - self._last_s
        self._last_s = time_s
        if self.run >= 0 and 0 <= gap_s <= self.max_gap_s:
            return
        if self.run >= 0:
            self.reason = (
                f"no frame for {gap_s:.1f} s" if gap_s > 0 else f"time jumped back {-gap_s:.1f} s"
            )
            self._maker, self._sampler = self._make(), Sampler(self.fps)
        self.run += 1


def look(
    video: VideoFile,
    maker: Maker,
    fps: float,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Iterator[tuple[float, dict[str, Any]]]:
    """(time_s, view -> picture) at each sampled instant of a file from start_s to end_s."""
    sampler = FrameSampler(lambda: maker, fps, start_s=start_s or 0.0, end_s=end_s)
    for frame in video.frames(sampler.wants, end_s):
        if (sample := sampler.look(frame.image, frame.time_s)) is not None:
            yield sample.time_s, sample.pictures


def pictures(
    video: VideoFile,
    views: Sequence[str],
    size_px: int,
    fit: str,
    fps: float,
    start_s: float | None,
    end_s: float | None,
) -> Iterator[tuple[float, dict[str, Image]]]:
    """(time_s, view -> (S, S, 3 or 4) uint8) at each sampled instant, without a network.

    It runs in the process that decodes, so that pictures come out of it and not whole frames.
    """
    return look(video, ViewMaker(views, size_px, fit), fps, start_s, end_s)


def _check(image: Image, time_s: float) -> None:
    shape, kind = getattr(image, "shape", None), getattr(image, "dtype", type(image).__name__)
    if kind != np.uint8 or shape is None or len(shape) != 3 or shape[2] != 3 or not image.size:
        raise VideoError(
            f"a frame is an array (H, W, 3) of uint8, RGB; got shape {shape} of {kind}: convert it "
            "first, for example with cv2.cvtColor"
        )
    if not isinstance(time_s, (int, float, np.number)) or not math.isfinite(time_s):
        raise VideoError(f"a frame's time_s is a finite number of seconds; got {time_s!r}")
