"""Occlusion: how the answer changes when a stretch of the clip or a patch of a frame is hidden.

Occlusion (Zeiler and Fergus 2014, section 4.1). In time, the features of a stretch are replaced by
the clip's mean, which tells nothing of when. In place, patches of a picture are hidden before the
backbone: unlike a map of gradients that needs nothing but the backbone's answers, so that it holds
for every runtime of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from action_gru.evaluation.explanation import FloatArray
from action_gru.training.scoring import ClipScores
from action_gru.video import Image
from action_gru.views import VIEWS

STRETCH_SHARE = 0.1  # of the clip, or of a window of a long one
MOST_PLACES = 128
GRID = 8  # places along a side of a picture
PATCH = 2  # how many of them a patch covers, along a side


def log_odds(probabilities: Tensor, number: int) -> Tensor:
    """ln(p / (1 - p)) of one class: (..., C) -> (...)."""
    return torch.logit(probabilities[..., number].double(), eps=1e-12)


def stretch_frames(scores: ClipScores) -> int:
    """How many frames are hidden at once."""
    return max(1, round(STRETCH_SHARE * max(high - low for low, high in scores.windows)))


def time_importance(
    scores: ClipScores, number: int, columns: Sequence[slice]
) -> tuple[list[int], Tensor]:
    """Measure how much the log-odds of class `number` fall when a stretch is hidden.

    columns: the views, by their columns. The stretch is hidden in the mirrored copy too. The frames
    at the middle of each stretch, M of them, and (M, 1 + V): all views hidden, then each alone.
    Negative where hiding helps the class.
    """
    base = log_odds(scores.probabilities, number)
    mean = scores.copies.mean(1)  # (P, D)
    hidden = [slice(0, scores.features.shape[1]), *columns]
    middles: list[int] = []
    rows: list[Tensor] = []
    for window, places in enumerate(_places(scores)):
        low, high = scores.windows[window]
        found = []
        for part in hidden:
            altered = scores.copies[:, low:high].repeat(len(places), 1, 1, 1)
            for row, (_, first, last) in enumerate(places):
                altered[row, :, first - low : last - low, part] = mean[:, None, part]
            found.append(base - log_odds(scores.with_window(window, altered), number))
        middles += [middle for middle, _, _ in places]
        rows.append(torch.stack(found, 1))
    return middles, torch.cat(rows)


def _places(scores: ClipScores) -> Iterator[list[tuple[int, int, int]]]:
    """(middle, first, last + 1) of each stretch, window by window; the whole clip is covered."""
    width = stretch_frames(scores)
    stride = -(-len(scores.features) // MOST_PLACES)
    for low, high in scores.windows:
        middles = range(low + (stride - 1) // 2, high, stride) or [(low + high) // 2]
        yield [
            (middle, max(low, middle - width // 2), min(high, middle - width // 2 + width))
            for middle in middles
        ]


def best_frames(middles: Sequence[int], fall: Tensor, apart: int, count: int) -> list[int]:
    """The frames with the largest falls (M,), at least `apart` frames from each other, best first.

    Only frames whose hiding costs the class something.
    """
    chosen: list[int] = []
    for index in fall.argsort(descending=True, stable=True).tolist():
        if len(chosen) == count or fall[index] <= 0:
            break
        if all(abs(middles[index] - other) >= apart for other in chosen):
            chosen.append(middles[index])
    return chosen


def hidden_pictures(image: Image, view: str) -> list[Image]:
    """A view's picture (S, S, 3 or 4) with one patch hidden, for each of the patches, row by row.

    Hidden is: no motion in a motion view; else the picture's mean colour, and for focus also
    nothing that moves there.
    """
    edges = np.linspace(0, len(image), GRID + 1).round().astype(int)
    fill = VIEWS[view].hidden_fill(image)
    hidden = []
    for top, left in np.ndindex(GRID - PATCH + 1, GRID - PATCH + 1):
        copy = image.copy()
        copy[edges[top] : edges[top + PATCH], edges[left] : edges[left + PATCH]] = fill
        hidden.append(copy)
    return hidden


def heat_map(falls: FloatArray) -> FloatArray:
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
    if how == "squash":
        return _enlarged(heat, height, width)
    if how == "crop":
        side = min(height, width)
        spread = np.zeros((height, width))
        top, left = (height - side) // 2, (width - side) // 2
        spread[top : top + side, left : left + side] = _enlarged(heat, side, side)
        return spread
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return _enlarged(heat, side, side)[top : top + height, left : left + width]


def _enlarged(heat: FloatArray, height: int, width: int) -> FloatArray:
    size = (width, height)
    return np.asarray(
        cv2.resize(heat.astype(np.float32), size, interpolation=cv2.INTER_LINEAR), np.float64
    )
