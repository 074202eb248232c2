"""Turns frames into the square pictures the backbone looks at. Knows nothing of the network.

`VIEWS` holds every view by name. Only past frames are used, so that a file and a live stream agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.video.frame import Image

# Raise spec.PREPROCESSING_VERSION when a line below changes what a network sees: old cache entries
# then no longer match.

MOTION_LAGS_S = (0.04, 0.08, 0.16)
MOTION_GAIN = 1.5
MOTION_REST = 128
# Of each change from -510 to 510; a table is four times as quick as the arithmetic.
_CHANGE_AS_BRIGHTNESS = np.clip(np.arange(-510, 511) * MOTION_GAIN + MOTION_REST, 0, 255).astype(
    np.uint8
)
# A source as slow as 5 fps still has an earlier frame to compare with.
MOTION_HISTORY_S = 0.25


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


def _resize(image: Image, width_px: int, height_px: int) -> Image:
    wide, high = image.shape[1] / width_px, image.shape[0] / height_px
    if max(wide, high) >= 2:
        return _shrink(image, width_px, height_px)
    # Averaging keeps small things when shrinking; it would look blocky when enlarging.
    how = cv2.INTER_AREA if max(wide, high) > 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width_px, height_px), interpolation=how), dtype=np.uint8)


def _shrink(image: Image, width_px: int, height_px: int) -> Image:
    """Averages in steps that the processor is quick at: a sixth of what averaging at once costs.

    1280x720 to 224x224: halved to 640x360, each pixel the mean of 3x2, then interpolated.
    """
    while image.shape[1] >= 2 * width_px and image.shape[0] >= 2 * height_px:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    reach = (max(1, round(image.shape[1] / width_px)), max(1, round(image.shape[0] / height_px)))
    if max(reach) > 1:
        image = np.asarray(cv2.blur(image, reach), dtype=np.uint8)
    scaled = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    return np.asarray(scaled, dtype=np.uint8)


@dataclass(frozen=True)
class Moment:
    """A frame as views are made of it: square (S, S, 3); grey (S, S), blurred; pasts: the grey
    pictures of MOTION_LAGS_S earlier. grey and pasts only where a view needs history.
    """

    square: Image
    grey: Image
    pasts: Sequence[Image]

    @cached_property
    def motion(self) -> Image:
        """Signed differences of grey pictures: 128 is no motion. (S, S, 3)."""
        changes = [  # addWeighted saturates
            cv2.addWeighted(self.grey, MOTION_GAIN, past, -MOTION_GAIN, MOTION_REST)
            for past in self.pasts
        ]
        return np.asarray(cv2.merge(changes), dtype=np.uint8)


@dataclass(frozen=True)
class View:
    """One kind of picture that a backbone can look at.

    channels: 3, or 4 where the last says how much each place counts. needs_history: it shows what
    changes. make: the picture (S, S, channels) uint8. hidden_fill: what a place of a picture shows
    that is hidden, (channels,).
    """

    name: str
    channels: int
    needs_history: bool
    make: Callable[[Moment], Image]
    hidden_fill: Callable[[Image], NDArray[Any]]


def _mean_colour(image: Image) -> NDArray[Any]:
    return np.asarray(image.reshape(-1, image.shape[2]).mean(0).round())


def _no_motion(image: Image) -> NDArray[Any]:
    return np.full(image.shape[2], MOTION_REST)


def _focus(moment: Moment) -> Image:
    change = cv2.absdiff(moment.motion, np.full_like(moment.square, MOTION_REST))
    amount = cv2.transform(change, np.full((1, 3), 2 / 3, np.float32))
    return np.dstack([moment.square, amount])


def _focus_fill(image: Image) -> NDArray[Any]:
    fill = _mean_colour(image)
    fill[3] = 0  # nothing moves there
    return fill


def _acceleration(moment: Moment) -> Image:
    """The change over 80 ms and how it changes in steps of 40 and 80 ms; 128 is none."""
    pictures = (moment.grey, *moment.pasts)
    grey, near, middle, far = (picture.astype(np.int16) for picture in pictures)
    changes = cv2.merge([grey - middle, grey - 2 * near + middle, grey - 2 * middle + far])
    return np.asarray(_CHANGE_AS_BRIGHTNESS[changes + 510], dtype=np.uint8)


VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        View("rgb", 3, False, lambda moment: moment.square, _mean_colour),
        # The frame with a fourth channel that says how much moves where, for the backbone to pool
        # by: the actor counts, the scene behind hardly.
        View("focus", 4, True, _focus, _focus_fill),
        # In three channels how the grey picture differs from the one 40, 80 and 160 ms earlier (1,
        # 2 and 4 frames at 25 fps). The difference keeps its sign: grey is no motion.
        View("motion", 3, True, lambda moment: moment.motion, _no_motion),
        # How the change changes: the difference to 80 ms earlier and the second differences over 40
        # and 80 ms.
        View("accel", 3, True, _acceleration, _no_motion),
    )
}


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
        self._keep(_blurred(fit(image, self.size_px, self.how)), time_s)

    def observe(self, image: Image, time_s: float) -> dict[str, Image]:
        """Take in a frame (H, W, 3) uint8 RGB; give each view (S, S, 3) uint8, focus (S, S, 4)."""
        square = fit(image, self.size_px, self.how)
        moment = Moment(square, square, ())
        if self.needs_history:
            grey = _blurred(square)
            moment = Moment(square, grey, self._pasts(grey, time_s))
            self._keep(grey, time_s)
        return {view: VIEWS[view].make(moment) for view in self.views}

    def _keep(self, grey: Image, time_s: float) -> None:
        self._past.append((time_s, grey))
        while self._past[0][0] < time_s - MOTION_HISTORY_S:
            self._past.popleft()

    def _pasts(self, grey: Image, time_s: float) -> list[Image]:
        """The pictures of 40, 80 and 160 ms earlier."""
        while self._past and self._past[0][0] < time_s - MOTION_HISTORY_S:
            self._past.popleft()
        return [self._before(time_s - lag, grey) for lag in MOTION_LAGS_S]

    def _before(self, wanted_s: float, now: Image) -> Image:
        """The past picture nearest to an instant; with no past there is no motion."""
        if not self._past:
            return now
        return min(self._past, key=lambda past: abs(past[0] - wanted_s))[1]


def _blurred(square: Image) -> Image:
    grey = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.GaussianBlur(grey, (5, 5), 0), dtype=np.uint8)


def mirror(image: Image) -> Image:
    """The picture with left and right exchanged. image (S, S, 3)."""
    return np.ascontiguousarray(image[:, ::-1])
