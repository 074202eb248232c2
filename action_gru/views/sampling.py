"""Decides which instants of a video to look at, and warns where its frames come too seldom.

Knows no codec and no model. The rule, for a file and live alike: the first frame is taken, and of
each instant k / fps after it the first frame at or after that instant. A source that is slower than
fps gives each of its frames once; a gap is never filled with copies.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from action_gru.core.text import clock_text, counted

Sample = TypeVar("Sample")

# Containers round timestamps to the millisecond: a frame this early still meets its instant.
TOLERANCE_S = 0.0015
# Measured on the demo's long video, of a model that reads 12 frames a second: segmental F1@50 is
# the same at 24, 12, 8 and 5 frames a second, and 0 at 2.
ENOUGH_SHARE = 0.4  # of the model's rate; 5 of 12 frames are enough, 2 are not
INSTANTS_KEPT = 1000  # of a source that never ends, so many tell its rate
GAP_STEPS = 5.0  # so many usual steps are a gap, which says nothing of the rate
RATE_KNOWN_AFTER, RATE_KNOWN_S, RATE_WINDOW_S = 12, 5.0, 10.0  # sampled instants, seconds
RECOVERED = 1.1  # of the least rate, until a slow source is fast enough again


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
        self.start_s = time_s if self.start_s is None else self.start_s
        elapsed_s = time_s - self.start_s + TOLERANCE_S
        self._next = int(elapsed_s * self.fps + 1e-9) + 1
        return True

    def would_take(self, time_s: float) -> bool:
        """What `due` would say, without taking the frame."""
        start_s = self.start_s
        return start_s is None or time_s - start_s + TOLERANCE_S >= self._next / self.fps


def in_window(time_s: float, start_s: float, end_s: float | None) -> bool:
    """Whether the instant is in [start_s, end_s). Seconds; end_s None is the end of the video."""
    after_start = time_s >= start_s - TOLERANCE_S
    return after_start and (end_s is None or time_s < end_s - TOLERANCE_S)


def windows(length: int, max_frames: int) -> list[tuple[int, int]]:
    """Cut a sequence into the fewest windows of at most max_frames, as equal as can be.

    windows(10, 4) -> [(0, 4), (4, 7), (7, 10)]
    """
    count = max(1, -(-length // max_frames))
    base, longer = divmod(length, count)
    bounds = [index * base + min(index, longer) for index in range(count + 1)]
    return list(itertools.pairwise(bounds))


def spread(samples: Iterable[Sample], most: int) -> Iterator[Sample]:
    """At most so many of the samples, evenly spread over them, in order.

    Fewer than twice as many are held at once, however many come.
    """
    kept, step = list[Sample](), 1
    for index, sample in enumerate(samples):
        if index % step == 0:
            kept.append(sample)
        if len(kept) == 2 * most:
            kept, step = kept[::2], 2 * step
    places = np.linspace(0, len(kept) - 1, min(most, len(kept))).round().astype(int)
    return iter([kept[place] for place in places])


def rate_warning(times_s: Iterable[float], fps: float) -> str | None:
    """Why an answer on these sampled instants (T,), in seconds, means little; None if it does not.

    fps: the model's rate.
    """
    instants = np.fromiter(times_s, np.float64)
    if len(instants) == 1:
        return (
            "only one frame of it is read: the model reads what changes from frame to frame; its "
            "answer means little"
        )
    rate_fps = rate_of(instants) if len(instants) else fps
    return None if rate_fps >= least_fps(fps) else _too_slow(rate_fps, fps)


def _too_slow(rate_fps: float, fps: float) -> str:
    rate = f"{rate_fps:.2g}"
    return (
        f"has {rate} frame{'' if rate == '1' else 's'} a second, the model reads {fps:g}: what "
        "happens between them is not seen, and the answer means little; at least "
        f"{least_fps(fps):.2g} a second are needed"
    )


def rate_of(instants: NDArray[np.float64]) -> float:
    """How many of the instants (T,), T > 1, are in a second: the mean, without a few long gaps.

    Not the median step: frames that come in pairs have short steps and long ones in turn.
    """
    steps_s = np.sort(np.diff(instants))
    spare = max(1, len(steps_s) // 10)
    longest_s = GAP_STEPS * np.median(steps_s)
    kept = [*steps_s[:-spare], *(step_s for step_s in steps_s[-spare:] if step_s <= longest_s)]
    return float(1 / max(np.mean(kept or steps_s), 1e-9))


class RateWatch:
    """Says while a live source is too slow for a model that reads `fps` frames a second.

    `warning` is the reason, "" while the source is fast enough or not known. A rate is known from
    at least 12 sampled instants over 5 s, and looks at the last 10 s: a camera that gives fewer
    frames in the dark is noticed, and one whose rate is near the limit does not come and go.
    """

    def __init__(self, fps: float) -> None:
        self.fps, self.warning = fps, ""
        self._is_known = False
        self._instants_s: deque[float] = deque()

    def add(self, time_s: float) -> None:
        """Take in the next sampled instant, seconds."""
        instants = self._instants_s
        if instants and time_s < instants[-1]:
            instants.clear()
        instants.append(time_s)
        while len(instants) > RATE_KNOWN_AFTER and time_s - instants[0] > RATE_WINDOW_S:
            instants.popleft()
        if len(instants) >= RATE_KNOWN_AFTER and time_s - instants[0] >= RATE_KNOWN_S:
            self._is_known = True
            rate_fps = rate_of(np.array(instants))
            enough_fps = least_fps(self.fps) * (RECOVERED if self.warning else 1.0)
            self.warning = "" if rate_fps >= enough_fps else _too_slow(rate_fps, self.fps)

    def end(self) -> None:
        """No instant will come any more: judge by what there was."""
        if not self._is_known:
            self.warning = rate_warning(self._instants_s, self.fps) or ""


def cut_warning(end_s: float, declared_s: float | None, damaged: int) -> str | None:
    """The warning of a file that was not read whole, or ends long before its header says.

    damaged: places that could not be decoded. None where nothing is wrong.
    """
    if damaged:
        places = "a place" if damaged == 1 else f"{damaged} places"
        return f"cut short or damaged: {places} in it cannot be read; the answer is of the rest"
    if not declared_s or end_s >= 0.9 * declared_s - 1:
        return None
    return (
        f"ends at {clock_text(end_s)}, and its header says {clock_text(declared_s)}: "
        "cut short or damaged?"
    )


def cut_clips_warning(cut: Mapping[str, str], read: int) -> str | None:
    """The same of a data set. cut: clip name -> its warning; read: how many clips in all."""
    if not cut:
        return None
    name, warning = next(iter(cut.items()))
    return (
        f"{len(cut)} of {counted(read, 'clip')} not read whole, and used as far as read; the first "
        f"is {name}, {warning.partition(';')[0]}"
    )


def slow_clips_warning(slow: Sequence[str], read: int, fps: float) -> str | None:
    """The same of a data set. slow: the names of its slow clips, of `read` in all."""
    if not slow:
        return None
    return (
        f"{len(slow)} of {counted(read, 'clip')} are one picture or have fewer than "
        f"{least_fps(fps):.2g} frames a second, where sampling.fps is {fps:g}; the first is "
        f"{slow[0]}. What moves in them is not seen: leave them out, or lower sampling.fps for all"
    )


def least_fps(fps: float) -> float:
    """How many frames a second a source must have for a model that reads `fps`."""
    return ENOUGH_SHARE * fps
