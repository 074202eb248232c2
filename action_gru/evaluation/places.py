"""Where in a frame an answer comes from: what hiding a patch of it does.

Occlusion (Zeiler and Fergus 2014, section 4.1) through backbone and classifier: unlike a map of
gradients it needs nothing of the backbone but its answers, so that it holds for every runtime of
it. Knows pictures and scores, no files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.backbone.views import MOTION_REST

Image = NDArray[np.uint8]
FloatArray = NDArray[np.float64]
Embed = Callable[[Sequence[Image]], NDArray[np.float32]]

GRID = 8  # places along a side
PATCH = 2  # how many of them a patch covers, along a side
MOTION_VIEWS = ("motion", "accel")


def hidden_pictures(image: Image, view: str) -> list[Image]:
    """A view's picture (S, S, 3 or 4) with one patch hidden, for each of the patches, row by row.

    Hidden is: no motion in a motion view; else the picture's mean colour, and for focus also
    nothing that moves there.
    """
    side = len(image)
    edges = np.linspace(0, side, GRID + 1).round().astype(int)
    if view in MOTION_VIEWS:
        fill = np.full(image.shape[2], MOTION_REST)
    else:
        fill = image.reshape(-1, image.shape[2]).mean(0).round()
        fill[3:] = 0
    hidden = []
    for top in range(GRID - PATCH + 1):
        for left in range(GRID - PATCH + 1):
            copy = image.copy()
            copy[edges[top] : edges[top + PATCH], edges[left] : edges[left + PATCH]] = fill
            hidden.append(copy)
    return hidden


def heat_map(falls: NDArray[np.float64]) -> FloatArray:
    """How much each place matters: falls by patch, row by row -> (GRID, GRID).

    A place gets the mean of the patches that cover it.
    """
    count = GRID - PATCH + 1
    total, covered = np.zeros((GRID, GRID)), np.zeros((GRID, GRID))
    for (top, left), fall in np.ndenumerate(falls.reshape(count, count)):
        window = np.s_[top : top + PATCH, left : left + PATCH]
        total[window] += fall
        covered[window] += 1
    return np.asarray(total / covered)


def spread_over(heat: FloatArray, height: int, width: int, how: str) -> FloatArray:
    """A map of the square picture (G, G) laid over the frame that `fit` made it from: (H, W).

    how: squash, letterbox or crop, as the frame was fitted. What the network was not shown is 0.
    """
    source = heat.astype(np.float32)
    if how == "squash":
        return _enlarged(source, height, width)
    if how == "crop":
        side = min(height, width)
        spread = np.zeros((height, width))
        top, left = (height - side) // 2, (width - side) // 2
        spread[top : top + side, left : left + side] = _enlarged(source, side, side)
        return spread
    side = max(height, width)
    whole = _enlarged(source, side, side)
    top, left = (side - height) // 2, (side - width) // 2
    return whole[top : top + height, left : left + width]


def _enlarged(heat: NDArray[np.float32], height: int, width: int) -> FloatArray:
    return np.asarray(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR), np.float64)
