"""Which moments an answer hangs on: what hiding a stretch of the clip does to it.

Occlusion (Zeiler and Fergus 2014, section 4.1), in time: the features of a stretch are replaced by
the clip's mean, which tells nothing of when. Knows features and a model, no pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from action_gru.scoring import ClipScores

STRETCH_SHARE = 0.1  # of the clip, or of a window of a long one
MOST_PLACES = 128


def log_odds(probabilities: Tensor, number: int) -> Tensor:
    """ln(p / (1 - p)) of one class: (..., C) -> (...)."""
    return torch.logit(probabilities[..., number].double(), eps=1e-12)


def stretch_frames(scores: ClipScores) -> int:
    """How many frames are hidden at once."""
    return max(1, round(STRETCH_SHARE * max(high - low for low, high in scores.windows)))


def time_importance(
    scores: ClipScores, number: int, columns: Sequence[slice]
) -> tuple[list[int], Tensor]:
    """How much the log-odds of class `number` fall when a stretch is hidden.

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
