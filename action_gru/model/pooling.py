"""One vector for a sequence, over the whole of it or step by step. Knows no cells."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Pooled(NamedTuple):
    """A pooling's running state: weighted sum (B, H), sum of weights and top score (B, 1)."""

    total: Tensor
    weight: Tensor
    peak: Tensor


class Pooling(nn.Module):
    """One vector for a sequence: (B, T, H) -> (B, H).

    last: the newest step. max: the largest value of each unit. mean and attention: a weighted mean
    with weights exp(score); the score is 0, or learned and linear (Bahdanau et al. 2015, without a
    query). Their streaming form is the online softmax of Milakov and Gimelshein (2018), which
    never overflows.
    """

    def __init__(self, kind: str, size: int) -> None:
        super().__init__()
        self.kind = kind
        self.score = nn.Linear(size, 1) if kind == "attention" else None

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """hidden (B, T, H), lengths (B,) -> (B, H). Steps after a length count for nothing."""
        if self.kind == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
        if self.kind == "max":
            return hidden.masked_fill(_beyond(hidden, lengths)[..., None], -torch.inf).amax(1)
        return (hidden * self.weights(hidden, lengths)[..., None]).sum(1)

    def running(self, hidden: Tensor) -> Tensor:
        """The pooled vector after each step: (B, T, H) -> (B, T, H), as `step` gives them."""
        if self.kind == "last":
            return hidden
        if self.kind == "max":
            return hidden.cummax(1).values
        scores = self._scores(hidden)
        # The largest score of the sequence keeps every exponential within 0 to 1.
        shares = (scores - scores.amax(1, keepdim=True)).exp()[..., None]
        return (hidden * shares).cumsum(1) / shares.cumsum(1).clamp_min(1e-30)

    def weights(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Share of each step in a weighted mean, (B, T), summing to 1 over the valid steps."""
        return self._scores(hidden).masked_fill(_beyond(hidden, lengths), -torch.inf).softmax(1)

    def initial(self, like: Tensor) -> Pooled:
        """The state before the first step, for B streams. like (B, H)."""
        start = -torch.inf if self.kind == "max" else 0.0
        nothing = like.new_zeros(len(like), 1)
        return Pooled(torch.full_like(like, start), nothing, nothing - torch.inf)

    def step(self, hidden: Tensor, state: Pooled) -> tuple[Tensor, Pooled]:
        """Take in one step (B, H): the pooled vector so far (B, H), and the state to carry."""
        if self.kind == "last":
            return hidden, state
        if self.kind == "max":
            largest = torch.maximum(state.total, hidden)
            return largest, state._replace(total=largest)
        score = self._scores(hidden)[:, None]
        peak = torch.maximum(state.peak, score)
        kept, added = (state.peak - peak).exp(), (score - peak).exp()
        total, weight = state.total * kept + hidden * added, state.weight * kept + added
        return total / weight, Pooled(total, weight, peak)

    def _scores(self, hidden: Tensor) -> Tensor:
        if self.score is None:
            return hidden.new_zeros(hidden.shape[:-1])
        scores: Tensor = self.score(hidden).squeeze(-1)
        return scores


def _beyond(hidden: Tensor, lengths: Tensor) -> Tensor:
    """Which steps lie after the end of their sequence: (B, T, H), (B,) -> (B, T) bool."""
    return torch.arange(hidden.shape[1], device=hidden.device) >= lengths[:, None]
