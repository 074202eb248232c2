"""The frames of a video that are due, as pictures that a network sees: one rule for files and live.

Cheap enough for the thread that reads a camera. Knows no network: it starts fast. Raise
spec.PREPROCESSING_VERSION when a change here changes what a network sees.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import cv2
import numpy as np

from action_gru.core.errors import VideoError
from action_gru.video import Image, VideoFile
from action_gru.video.array import ArrayVideo
from action_gru.views.cuts import CutFinder
from action_gru.views.pictures import MOTION_HISTORY_S, MOTION_LAGS_S, VIEWS, Moment
from action_gru.views.sampling import Sampler, in_window

FRAME = "frame"  # stands beside the views' names for the whole frame, as decoded
# A camera of one frame a second is not broken off by a frame that is a little late.
GAP_STEPS, STEPS_KEPT = 2.5, 9


def fit(image: Image, size_px: int, how: str) -> Image:
    """Make a frame square. image (H, W, 3) -> (size_px, size_px, 3) uint8.

    squash: both axes scaled, nothing lost. letterbox: shape kept, grey bars. crop: shape kept,
    the longer sides cut off.
    """
    height, width = image.shape[:2]
    if how == "squash":
        return _resize(image, size_px, size_px)
    if how == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return _resize(image[top : top + side, left : left + side], size_px, size_px)
    scale = size_px / max(height, width)
    inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.full((size_px, size_px, image.shape[2]), 114, dtype=np.uint8)
    top, left = (size_px - inner_h) // 2, (size_px - inner_w) // 2
    canvas[top : top + inner_h, left : left + inner_w] = _resize(image, inner_w, inner_h)
    return canvas


def _resize(image: Any, width_px: int, height_px: int) -> Image:
    """Averages when shrinking, which keeps small things; interpolates when enlarging.

    Averaging in steps that the processor is quick at costs a sixth of averaging at once: from
    1280x720 to 224x224 it halves to 640x360, makes each pixel the mean of 3x2, then interpolates.
    """
    largest = max(image.shape[1] / width_px, image.shape[0] / height_px)
    how = cv2.INTER_AREA if 1 < largest < 2 else cv2.INTER_LINEAR
    if largest >= 2:
        while image.shape[1] >= 2 * width_px and image.shape[0] >= 2 * height_px:
            half = (image.shape[1] // 2, image.shape[0] // 2)
            image = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
        sides = ((image.shape[1], width_px), (image.shape[0], height_px))
        image = cv2.blur(image, [max(1, round(now / wanted)) for now, wanted in sides])
    return np.asarray(cv2.resize(image, (width_px, height_px), interpolation=how), np.uint8)


class ViewMaker:
    """The chosen views of a stream of frames, one call a frame, in order of time.

    Frames that are not sampled must be shown too, by `remember`, when `needs_history` is true:
    motion is measured at the source's own rate.
    """

    def __init__(self, views: Sequence[str], size_px: int, how: str) -> None:
        self.views = tuple(views)
        self.size_px = size_px
        self.how = how
        self.needs_history = any(VIEWS[view].needs_history for view in views)
        self._past: deque[tuple[float, Image]] = deque()

    def remember(self, image: Image, time_s: float) -> None:
        """Take in a frame that is not sampled, (H, W, 3) uint8 RGB, for later motion."""
        grey = self._grey(fit(image, self.size_px, self.how), time_s)
        self._past.append((time_s, grey))

    def observe(self, image: Image, time_s: float) -> dict[str, Image]:
        """Take in a frame (H, W, 3) uint8 RGB; give each view (S, S, 3) uint8, focus (S, S, 4)."""
        square = fit(image, self.size_px, self.how)
        moment = Moment(square, square, ())
        if self.needs_history:
            grey = self._grey(square, time_s)
            pasts = [self._nearest(time_s - lag_s, grey) for lag_s in MOTION_LAGS_S]
            moment = Moment(square, grey, pasts)
            self._past.append((time_s, grey))
        return {view: self._made(view, moment) for view in self.views}

    def _made(self, view: str, moment: Moment) -> Image:
        """The picture of a view; its bytes cross to another process, which knows their number."""
        made, shape = VIEWS[view].make(moment), (self.size_px, self.size_px, VIEWS[view].channels)
        if made.dtype != np.uint8 or made.shape != shape:
            raise TypeError(
                f"view '{view}' returned {made.dtype} {made.shape}; a view returns uint8 {shape}"
            )
        return made

    def _grey(self, square: Image, time_s: float) -> Image:
        """The blurred grey picture. Forgets those that are too old to compare it with."""
        while self._past and self._past[0][0] < time_s - MOTION_HISTORY_S:
            self._past.popleft()
        grey = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.GaussianBlur(grey, (5, 5), 0), np.uint8)

    def _nearest(self, wanted_s: float, now: Image) -> Image:
        """The past picture nearest to an instant; with no past there is no motion."""
        past = min(self._past, key=lambda past: abs(past[0] - wanted_s), default=(0.0, now))
        return past[1]


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

    make: gives what makes the pictures of a run. A new run begins where time jumps back, or ahead
    by more than max_gap_s and 2.5 of the source's usual steps, where frames get another size, after
    `restart`, and with at_cut at a cut (see `cuts`): motion is not measured across the break, and a
    carried state must be reset. Motion is measured at the source's own rate, also over the moment
    before start_s.
    """

    def __init__(
        self,
        make: Callable[[], Maker],
        fps: float,
        max_gap_s: float = math.inf,
        start_s: float | None = None,
        end_s: float | None = None,
        at_cut: bool = False,
    ) -> None:
        self.fps, self.max_gap_s = fps, max_gap_s
        self.start_s, self.end_s = -math.inf if start_s is None else start_s, end_s
        self.run, self.reason = -1, ""
        self._make = make
        self._maker, self._sampler = make(), Sampler(fps)
        self.needs_history = self._maker.needs_history
        self._last_s, self._size_px = 0.0, (0, 0)
        self._steps_s: deque[float] = deque(maxlen=STEPS_KEPT)
        self._cuts = CutFinder() if at_cut else None
        self._wish = ""  # why a restart was asked for

    def sample(self, image: Image, time_s: float) -> Sample | None:
        """Take in a frame (H, W, 3) uint8 RGB at time_s seconds; the sample if it is due.

        Raises VideoError for anything else, and leaves the stream as it was.
        """
        _check(image, time_s)
        self._follow(time_s, (image.shape[1], image.shape[0]))
        if in_window(time_s, self.start_s, self.end_s) and self._sampler.due(time_s):
            if self._cuts is not None and self._cuts.begins_scene(image):
                self._begin("a cut")
                self._sampler.due(time_s)
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

    def restart(self, reason: str) -> None:
        """Begin a new run with the next frame: it is of another source, or another scene."""
        self._wish = reason

    def _follow(self, time_s: float, size_px: tuple[int, int]) -> None:
        """Begin a new run where the frame does not continue the one before."""
        step_s, self._last_s = time_s - self._last_s, time_s
        before_px, self._size_px = self._size_px, size_px
        reason, self._wish = self._wish, ""
        if self.run < 0:
            self.run = 0
            return
        if size_px != before_px:
            was, now = (f"{width} x {height}" for width, height in (before_px, size_px))
            reason = reason or f"the frames changed from {was} to {now} pixels"
        if step_s < 0:
            reason = reason or f"time jumped back {-step_s:.1f} s"
        elif step_s > self._longest_s():
            reason = reason or f"no frame for {step_s:.1f} s"
        if step_s > 0:
            self._steps_s.append(step_s)
        if reason:
            self._begin(reason)
            self._cuts = self._cuts and CutFinder()

    def _longest_s(self) -> float:
        """From frame to frame, without a break."""
        known = len(self._steps_s) > 1
        return max(self.max_gap_s, GAP_STEPS * median(self._steps_s) if known else 0.0)

    def _begin(self, reason: str) -> None:
        self.run, self.reason = self.run + 1, reason
        self._maker, self._sampler = self._make(), Sampler(self.fps)


def sample_video(
    video: VideoFile | ArrayVideo,
    maker: Maker,
    fps: float,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Iterator[tuple[float, dict[str, Any]]]:
    """(time_s, view -> picture) at each sampled instant of a file from start_s to end_s."""
    sampler = FrameSampler(lambda: maker, fps, start_s=start_s or 0.0, end_s=end_s)
    for frame in video.frames(sampler.wants, end_s):
        if (sample := sampler.sample(frame.image, frame.time_s)) is not None:
            yield sample.time_s, sample.pictures


def pictures(
    video: VideoFile | ArrayVideo,
    views: Sequence[str],
    size_px: int,
    fit: str,
    whole: bool = False,
    **when: Any,
) -> Iterator[tuple[float, dict[str, Image]]]:
    """The pictures of a file's sampled frames, without a network. whole: and each frame, as
    `FRAME`. when: its fps, start_s and end_s.

    It runs in the process that decodes, so that only what is sampled comes out of it.
    """
    maker = (_FrameKeeper if whole else ViewMaker)(views, size_px, fit)
    return sample_video(video, maker, **when)


class _FrameKeeper(ViewMaker):
    def observe(self, image: Image, time_s: float) -> dict[str, Image]:
        return {**super().observe(image, time_s), FRAME: image}


def _check(image: Image, time_s: float) -> None:
    shape, kind = getattr(image, "shape", None), getattr(image, "dtype", type(image).__name__)
    if kind != np.uint8 or shape is None or len(shape) != 3 or shape[2] != 3 or not image.size:
        raise VideoError(
            f"a frame is an array (H, W, 3) of uint8, RGB; got shape {shape} of {kind}: convert it "
            "first, for example with cv2.cvtColor"
        )
    if not isinstance(time_s, (int, float, np.number)) or not math.isfinite(time_s):
        raise VideoError(f"a frame's time_s is a finite number of seconds; got {time_s!r}")
