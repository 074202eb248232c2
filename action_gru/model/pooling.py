"""One vector for a sequence, over the whole of it or step by step. Knows no cells.

A further pooling is a class here and its name in `POOLINGS` and in `model.pooling` of the config.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Carried = tuple[Tensor, ...]


class LastPooling(nn.Module):
    """The newest step.

    start: width and start value of each tensor of the state by name; each is (B, width).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.start: dict[str, tuple[int, float]] = {}

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """hidden (B, T, H), lengths (B,) -> (B, H). Steps after a length count for nothing."""
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]

    def running(self, hidden: Tensor) -> Tensor:
        """The pooled vector after each step: (B, T, H) -> (B, T, H), as `step` gives them."""
        return hidden

    def step(self, hidden: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        """Take in one step (B, H): the pooled vector so far (B, H), and the state to carry."""
        return hidden, state


class MaxPooling(LastPooling):
    """The largest value of each unit."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.start = {"total": (size, -torch.inf)}

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        return hidden.masked_fill(_beyond(hidden, lengths)[..., None], -torch.inf).amax(1)

    def running(self, hidden: Tensor) -> Tensor:
        return hidden.cummax(1).values

    def step(self, hidden: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        largest = torch.maximum(state[0], hidden)
        return largest, (largest,)


class MeanPooling(LastPooling):
    """A weighted mean with weights exp(score); here the score is 0.

    Its streaming form is the online softmax of Milakov and Gimelshein (2018), which never
    overflows: weighted sum (B, H), sum of weights and largest score (B, 1).
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.start = {"total": (size, 0.0), "weight": (1, 0.0), "peak": (1, -torch.inf)}

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        return (hidden * self.weights(hidden, lengths)[..., None]).sum(1)

    def running(self, hidden: Tensor) -> Tensor:
        scores = self.scores(hidden)
        # The largest score of the sequence keeps every exponential within 0 to 1.
        shares = (scores - scores.amax(1, keepdim=True)).exp()[..., None]
        return (hidden * shares).cumsum(1) / shares.cumsum(1).clamp_min(1e-30)

    def step(self, hidden: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        total, weight, before = state
        score = self.scores(hidden)[:, None]
        peak = torch.maximum(before, score)
        kept, added = (before - peak).exp(), (score - peak).exp()
        total, weight = total * kept + hidden * added, weight * kept + added
        return total / weight, (total, weight, peak)

    def weights(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Share of each step, (B, T), summing to 1 over the valid steps."""
        return self.scores(hidden).masked_fill(_beyond(hidden, lengths), -torch.inf).softmax(1)

    def scores(self, hidden: Tensor) -> Tensor:
        """(..., H) -> (...)."""
        return hidden.new_zeros(hidden.shape[:-1])


class AttentionPooling(MeanPooling):
    """A weighted mean with learned, linear scores (Bahdanau et al. 2015, without a query)."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.score = nn.Linear(size, 1)

    def scores(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self.score(hidden).squeeze(-1)
        return scores


POOLINGS: dict[str, type[LastPooling]] = {
    "last": LastPooling,
    "max": MaxPooling,
    "mean": MeanPooling,
    "attention": AttentionPooling,
}


def _beyond(hidden: Tensor, lengths: Tensor) -> Tensor:
    """Which steps lie after the end of their sequence: (B, T, H), (B,) -> (B, T) bool."""
    return torch.arange(hidden.shape[1], device=hidden.device) >= lengths[:, None]
