"""Which moments an answer hangs on: what hiding a stretch of the clip does to it.

Occlusion (Zeiler and Fergus 2014, section 4.1), in time: the features of a stretch are replaced by
the clip's mean, which tells nothing of when. Knows features and a model, no pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from action_gru.model import ActionClassifier
from action_gru.sampling import windows

STRETCH_SHARE = 0.1  # of the clip, or of a window of a long one
MOST_PLACES = 128
BATCH = 64


class ClipScorer:
    """Class probabilities of one clip and of altered copies of it.

    features (T, D) float32. A clip longer than max_frames is read in windows, as `score_clips`
    reads it; an alteration lies within one of them, and only that one is read again.
    """

    def __init__(self, model: ActionClassifier, features: Tensor, max_frames: int) -> None:
        self.model, self.features = model, features
        self.windows = windows(len(features), max_frames)
        self._parts = torch.cat(
            [self._read(features[None, low:high]) for low, high in self.windows]
        )

    @property
    def probabilities(self) -> Tensor:
        """(C,)."""
        return self._parts.mean(0)

    def window_at(self, frame: int) -> int:
        """The number of the window that holds a frame."""
        return next(i for i, (_, high) in enumerate(self.windows) if frame < high)

    def with_window(self, number: int, altered: Tensor) -> Tensor:
        """The clip's probabilities if window `number` held other features.

        altered (N, T_w, D): N alternatives -> (N, C).
        """
        others = self._parts.sum(0) - self._parts[number]
        changed = torch.cat([self._read(part) for part in altered.split(BATCH)])  # type: ignore[no-untyped-call]
        return (others + changed) / len(self.windows)

    def _read(self, batch: Tensor) -> Tensor:
        device = next(self.model.parameters()).device
        lengths = torch.full((len(batch),), batch.shape[1], device=device)
        with torch.inference_mode():
            logits: Tensor = self.model(batch.to(device), lengths)
            return logits.cpu().double().softmax(-1)


def log_odds(probabilities: Tensor, number: int) -> Tensor:
    """ln(p / (1 - p)) of one class: (..., C) -> (...)."""
    return torch.logit(probabilities[..., number].double(), eps=1e-12)


def stretch_frames(scorer: ClipScorer) -> int:
    """How many frames are hidden at once."""
    return max(1, round(STRETCH_SHARE * max(high - low for low, high in scorer.windows)))


def time_importance(
    scorer: ClipScorer, number: int, columns: Sequence[slice]
) -> tuple[list[int], Tensor]:
    """How much the log-odds of class `number` fall when a stretch is hidden.

    columns: the views, by their columns. The frames at the middle of each stretch, M of them, and
    (M, 1 + V): all views hidden, then each alone. Negative where hiding helps the class.
    """
    base = log_odds(scorer.probabilities, number)
    mean = scorer.features.mean(0)
    hidden = [slice(0, scorer.features.shape[1]), *columns]
    middles: list[int] = []
    rows: list[Tensor] = []
    for window, places in enumerate(_places(scorer)):
        low, high = scorer.windows[window]
        found = []
        for part in hidden:
            altered = scorer.features[low:high].repeat(len(places), 1, 1)
            for row, (_, first, last) in enumerate(places):
                altered[row, first - low : last - low, part] = mean[part]
            found.append(base - log_odds(scorer.with_window(window, altered), number))
        middles += [middle for middle, _, _ in places]
        rows.append(torch.stack(found, 1))
    return middles, torch.cat(rows)


def _places(scorer: ClipScorer) -> Iterator[list[tuple[int, int, int]]]:
    """(middle, first, last + 1) of each stretch, window by window; the whole clip is covered."""
    width = stretch_frames(scorer)
    stride = -(-len(scorer.features) // MOST_PLACES)
    for low, high in scorer.windows:
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
