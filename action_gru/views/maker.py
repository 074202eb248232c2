"""Makes the views of a stream of frames: squares, and the blurred past that motion needs.

Raise spec.PREPROCESSING_VERSION when a line below changes what a network sees.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

from action_gru.video.frame import Image
from action_gru.views.pictures import MOTION_HISTORY_S, MOTION_LAGS_S, VIEWS, Moment


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
