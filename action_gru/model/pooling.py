"""One vector for a sequence, over the whole of it or step by step. Knows no cells.

A further pooling is a class here and an entry in `POOLINGS`, from which `model.pooling` of the
config has its names. Imports torch inside the functions, so that a config is checked without it;
`pooling_module` makes the module.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    Carried = tuple[Tensor, ...]


class LastPooling:
    """The newest step.

    start: width and start value of each tensor of the state by name; each is (B, width).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.start: dict[str, tuple[int, float]] = {}

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """hidden (B, T, H), lengths (B,) -> (B, H). Steps after a length count for nothing."""
        import torch

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
        self.start = {"total": (size, -math.inf)}

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        return hidden.masked_fill(_beyond(hidden, lengths)[..., None], -math.inf).amax(1)

    def running(self, hidden: Tensor) -> Tensor:
        return hidden.cummax(1).values

    def step(self, hidden: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        largest = state[0].maximum(hidden)
        return largest, (largest,)


class MeanPooling(LastPooling):
    """A weighted mean with weights exp(score); here the score is 0.

    Its streaming form is the online softmax of Milakov and Gimelshein (2018), which never
    overflows: weighted sum (B, H), sum of weights and largest score (B, 1).
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.start = {"total": (size, 0.0), "weight": (1, 0.0), "peak": (1, -math.inf)}

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
        peak = before.maximum(score)
        kept, added = (before - peak).exp(), (score - peak).exp()
        total, weight = total * kept + hidden * added, weight * kept + added
        return total / weight, (total, weight, peak)

    def weights(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Share of each step, (B, T), summing to 1 over the valid steps."""
        return self.scores(hidden).masked_fill(_beyond(hidden, lengths), -math.inf).softmax(1)

    def scores(self, hidden: Tensor) -> Tensor:
        """(..., H) -> (...)."""
        return hidden.new_zeros(hidden.shape[:-1])


class AttentionPooling(MeanPooling):
    """A weighted mean with learned, linear scores (Bahdanau et al. 2015, without a query)."""

    def __init__(self, size: int) -> None:
        from torch import nn

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


def pooling_module(name: str, size: int) -> Any:
    """The pooling of that name over vectors of a size, as a torch module."""
    from torch import nn

    kind = POOLINGS[name]
    return type(kind.__name__, (kind, nn.Module), {})(size)


def _beyond(hidden: Tensor, lengths: Tensor) -> Tensor:
    """Which steps are after the end of their sequence: (B, T, H), (B,) -> (B, T) bool."""
    import torch

    return torch.arange(hidden.shape[1], device=hidden.device) >= lengths[:, None]
