"""Says where the pictures of a stream change from one scene to another: the cuts of edited video.

Causal and cheap: a frame is compared with the one before, both shrunk to 8 x 8 tiles. A cut is
found when more than half of the tiles differ by more than 24 of 255 levels in a colour, which
people who move do not reach, and by 1.5 times more tiles than in each of the last three comparisons
of the scene, which a person close to the lens does not reach. So a scene has two frames at least; a
dissolve or fade is no cut.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.video.frame import Image

TILES, LEVELS, SHARE = (8, 8), 24, 0.5
LIVELIER, COMPARED = 1.5, 3
Tiles = NDArray[np.float32]


def tiles_of(image: Image) -> Tiles:
    """The mean colours of a frame (H, W, 3) -> (8, 8, 3)."""
    return np.asarray(cv2.resize(image, TILES, interpolation=cv2.INTER_AREA), np.float32)


def changed_share(before: Tiles, after: Tiles) -> float:
    """How many of the tiles differ, from 0 to 1."""
    return float((np.abs(before - after).max(-1) > LEVELS).mean())


def is_cut(before: Image, after: Image) -> bool:
    """Do two frames (H, W, 3) show different scenes? Their colours, coarsely, differ all over."""
    if before.shape != after.shape:
        return True
    return changed_share(tiles_of(before), tiles_of(after)) > SHARE


class CutFinder:
    """Shown the sampled frames of one stream in order, says at which ones a new scene begins."""

    def __init__(self) -> None:
        self._last: Tiles | None = None
        self._usual: deque[float] = deque(maxlen=COMPARED)  # shares of this scene

    def begins_scene(self, image: Image) -> bool:
        """Take in a frame (H, W, 3) uint8 RGB; whether a cut lies before it."""
        last, self._last = self._last, tiles_of(image)
        if last is None:
            return False
        share = changed_share(last, self._last)
        if share > SHARE and share >= LIVELIER * max(self._usual, default=1.0):
            self._usual.clear()
            return True
        self._usual.append(share)
        return False
