"""Where to look at one person: a crop that follows a box, calmly. Knows no pixels."""

from __future__ import annotations

import math

import numpy as np

from action_gru.backbone.boxes import Floats

# A person who sits down or bends must not be zoomed in on: the size follows a growing box at once
# and a shrinking one slowly, and the place has some leash, so that swaying does not move the crop.
SHRINK_S = 8.0
LEASH_SHARE = 0.08  # of the crop's side
CATCH_UP_S = 0.25


class Crop:
    """A square that follows the boxes of one person.

    margin: how much is seen around the box on each side, in shares of its longer side.
    """

    def __init__(self, margin: float) -> None:
        self.margin = margin
        self._centre = np.zeros(2)
        self._side_px = 0.0
        self._last_s = -math.inf

    def follow(
        self, box: Floats, time_s: float, frame_px: tuple[int, int]
    ) -> tuple[int, int, int, int]:
        """The next box (4,) left, top, right, bottom -> the area left, top, width, height in px.

        frame_px: width and height of the frame; the area is moved into it as far as it fits.
        """
        corner, opposite = np.asarray(box[:2], float), np.asarray(box[2:], float)
        centre, size = (corner + opposite) / 2, opposite - corner
        wanted_px = max(8.0, float(max(size)) * (1 + 2 * self.margin))
        elapsed_s = time_s - self._last_s
        self._last_s = time_s
        if math.isinf(elapsed_s):
            self._centre, self._side_px = centre, wanted_px
        else:
            self._resize(wanted_px, elapsed_s)
            self._move(centre, elapsed_s)
        return self._area(frame_px)

    def _resize(self, wanted_px: float, elapsed_s: float) -> None:
        if wanted_px < self._side_px:
            wanted_px = self._side_px + (wanted_px - self._side_px) * _share(elapsed_s, SHRINK_S)
        self._side_px = wanted_px

    def _move(self, centre: np.ndarray[tuple[int], np.dtype[np.float64]], elapsed_s: float) -> None:
        leash_px = LEASH_SHARE * self._side_px
        off = centre - self._centre
        beyond = off - np.clip(off, -leash_px, leash_px)
        self._centre = self._centre + beyond * _share(elapsed_s, CATCH_UP_S)

    def _area(self, frame_px: tuple[int, int]) -> tuple[int, int, int, int]:
        side = round(self._side_px)
        starts = []
        for middle, limit in zip(self._centre, frame_px, strict=True):
            start = round(middle - side / 2)
            inside = min(max(start, 0), limit - side) if side <= limit else (limit - side) // 2
            starts.append(inside)
        return starts[0], starts[1], side, side


def _share(elapsed_s: float, constant_s: float) -> float:
    """Of the way to a goal, how much exponential smoothing goes in a time."""
    return 1 - math.exp(-max(elapsed_s, 0.0) / constant_s)
