"""Decides which instants of a video to look at, for a file and live alike.

Knows no codec and no model. The rule: the first frame is taken, and of each instant k / fps after
it the first frame at or after that instant. A source that is slower than fps gives each of its
frames once; a gap is never filled with copies.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

# Containers round timestamps to the millisecond: a frame this early still meets its instant.
TOLERANCE_S = 0.0015


class Sampler:
    """Says of each frame, in order of time, whether it is taken. Needs no look ahead.

    Frames at 0, 0.25, 0.5, 0.75, 1.0 s sampled at 2 fps: frames 0, 2, 4 are taken.
    """

    def __init__(self, fps: float) -> None:
        if fps <= 0:
            raise ValueError(f"fps must be above 0, got {fps}")
        self.fps = fps
        self.start_s: float | None = None  # of the first frame
        self._next = 0

    def due(self, time_s: float) -> bool:
        """Take this frame? time_s in seconds, growing from call to call."""
        if not self.would_take(time_s):
            return False
        if self.start_s is None:
            self.start_s = time_s
        elapsed_s = time_s - self.start_s + TOLERANCE_S
        self._next = int(elapsed_s * self.fps + 1e-9) + 1
        return True

    def would_take(self, time_s: float) -> bool:
        """What `due` would say, without taking the frame."""
        if self.start_s is None:
            return True
        return time_s - self.start_s + TOLERANCE_S >= self._next / self.fps


def sample(
    times_s: Iterable[float], fps: float, start_s: float = 0.0, end_s: float | None = None
) -> list[int]:
    """Indices of the frames taken from a clip [start_s, end_s). times_s (T,) seconds, growing."""
    sampler = Sampler(fps)
    return [
        index
        for index, time_s in enumerate(times_s)
        if in_window(time_s, start_s, end_s) and sampler.due(time_s)
    ]


def in_window(time_s: float, start_s: float, end_s: float | None) -> bool:
    """Does the instant lie in [start_s, end_s)? Seconds; end_s None is the end of the video."""
    after_start = time_s >= start_s - TOLERANCE_S
    return after_start and (end_s is None or time_s < end_s - TOLERANCE_S)


def windows(length: int, max_frames: int) -> list[tuple[int, int]]:
    """Cut a sequence into the fewest windows of at most max_frames, as equal as can be.

    windows(10, 4) -> [(0, 4), (4, 7), (7, 10)]
    """
    count = max(1, -(-length // max_frames))
    base, longer = divmod(length, count)
    bounds = [0]
    for index in range(count):
        bounds.append(bounds[-1] + base + (index < longer))
    return list(itertools.pairwise(bounds))
