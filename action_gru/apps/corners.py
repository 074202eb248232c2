"""Which corner of a picture a panel stands in: where it covers least, steady from frame to frame.

Knows nothing of what the panel shows.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Area = tuple[int, int, int, int]  # left, top, width, height, px
Box = tuple[float, float, float, float]  # left, top, right, bottom, px

HEAD = 0.25  # of a person's box: the head, and as much above it, for boxes cut heads off
HEADROOM = 0.12
BODY_WEIGHS = 0.1  # against a head
MOTION_PX = 32  # the longer side of the pictures that are compared
MOVES = 8  # a change of brightness, of 255, that is no noise
FORGETS = 0.05  # of what moved, with each frame
CLEARER = 0.5  # another corner must cover so much less,
STEADY = 12  # for so many frames in a row


class QuietCorner:
    """The corner of a panel on frames of one size, shown in order. size_px is (width, height).

    Upper left as long as that is as good as another.
    """

    def __init__(self, size_px: tuple[int, int], margin_px: int) -> None:
        self.size_px, self.margin_px = size_px, margin_px
        scale = MOTION_PX / max(size_px)
        self._small_px = (max(1, round(scale * size_px[0])), max(1, round(scale * size_px[1])))
        self._before: NDArray[np.float32] | None = None
        self._moved = np.zeros(self._small_px[::-1], np.float32)
        self._chosen: int | None = None
        self._better = 0  # for how many frames another corner has been clearer

    def place(
        self,
        image: NDArray[np.uint8],
        panel_px: tuple[int, int],
        foot_px: int = 0,
        people: Sequence[Box] | None = None,
    ) -> Area:
        """Where a panel of (width, height) stands on a frame (H, W, 3) uint8.

        foot_px: rows at the foot that are taken. people: whom to keep clear of; None: what moves.
        """
        self._watch(image)
        areas = self._areas(panel_px, foot_px)
        if people is None:
            covered = [self._motion_in(area) for area in areas]
        else:
            covered = [_share_covered(area, people) for area in areas]
        return areas[self._choose(covered)]

    def _areas(self, panel_px: tuple[int, int], foot_px: int) -> list[Area]:
        """Upper left, upper right, lower left, lower right."""
        (width, height), margin = panel_px, self.margin_px
        right = max(margin, self.size_px[0] - margin - width)
        low = max(margin, self.size_px[1] - margin - height - foot_px)
        return [(x, y, width, height) for y in (margin, low) for x in (margin, right)]

    def _choose(self, covered: Sequence[float]) -> int:
        best = min(range(len(covered)), key=lambda corner: covered[corner])
        if self._chosen is None:
            self._chosen = best
        clearer = covered[best] < CLEARER * covered[self._chosen] - 1e-3
        self._better = self._better + 1 if clearer else 0
        if self._better >= STEADY:
            self._chosen, self._better = best, 0
        return self._chosen

    def _watch(self, image: NDArray[np.uint8]) -> None:
        small = cv2.resize(image, self._small_px, interpolation=cv2.INTER_AREA)
        grey = small.astype(np.float32).mean(-1)
        if self._before is not None:
            moves = np.abs(grey - self._before) > MOVES
            self._moved += FORGETS * (moves - self._moved)
        self._before = grey

    def _motion_in(self, area: Area) -> float:
        """How much of the area moved of late, 0 to 1."""
        scale = self._small_px[0] / self.size_px[0], self._small_px[1] / self.size_px[1]
        left, top, width, height = area
        rows = slice(int(scale[1] * top), max(1, int(np.ceil(scale[1] * (top + height)))))
        columns = slice(int(scale[0] * left), max(1, int(np.ceil(scale[0] * (left + width)))))
        return float(self._moved[rows, columns].mean())


def _share_covered(area: Area, people: Sequence[Box]) -> float:
    """How much of the people an area covers: heads count whole, bodies little."""
    covered = 0.0
    for left, top, right, bottom in people:
        height = bottom - top
        head = (left, top - HEADROOM * height, right, top + HEAD * height)
        covered += _overlap(area, head) + BODY_WEIGHS * _overlap(area, (left, top, right, bottom))
    return covered


def _overlap(area: Area, box: Box) -> float:
    """The share of a box that lies under an area, 0 to 1."""
    left, top, width, height = area
    wide = min(left + width, box[2]) - max(left, box[0])
    high = min(top + height, box[3]) - max(top, box[1])
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return max(0.0, wide) * max(0.0, high) / whole if whole > 0 else 0.0


def overlaps(one: Area, other: Area) -> bool:
    """Do two areas share a pixel?"""
    return all(
        one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2]
        for axis in (0, 1)
    )
