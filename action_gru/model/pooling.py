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

TREND = 3  # polynomials of time, the constant one included
# Shifted Legendre polynomials on 0 to 1 by powers of u, each times the root of 2 k + 1
# (Abramowitz and Stegun 1964, 22.2.11).
LEGENDRE = (
    (1.0, 0.0, 0.0),
    (-(3**0.5), 2 * 3**0.5, 0.0),
    (5**0.5, -6 * 5**0.5, 6 * 5**0.5),
)
CONTEXT = 64  # steps that the transformer's block looks back, itself included


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


class TrendPooling(LastPooling):
    """How each value goes over time: its mean, its slope and how that bends, (B, H) -> (B, 3 H).

    The inner products with the first three Legendre polynomials over the time so far, each of unit
    mean square. Its streaming form carries the means of x, x u and x u^2, where u is 0 at the start
    and 1 now, and shrinks u as time goes on; sums: these three (B, 3 H), steps: how many, (B, 1).
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.start = {"sums": (TREND * size, 0.0), "steps": (1, 0.0)}

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        import torch

        count = lengths.to(hidden.device)[:, None]
        time = (torch.arange(hidden.shape[1], device=hidden.device) + 0.5) / count
        time = time.masked_fill(_beyond(hidden, lengths), 0.0)
        inside = (time > 0).to(hidden.dtype) / count
        powers = torch.stack([inside, inside * time, inside * time.square()], 1)  # (B, 3, T)
        return self._polynomials(powers @ hidden)

    def running(self, hidden: Tensor) -> Tensor:
        import torch

        steps = hidden.shape[1]
        now = torch.arange(1, steps + 1, device=hidden.device)[:, None]
        time, grown = (now - 0.5) / steps, steps / now  # time as a share of all: no large powers
        sums = [(hidden * time**k).cumsum(1) * grown**k / now for k in range(TREND)]
        return self._polynomials(torch.stack(sums, -2))

    def step(self, hidden: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        import torch

        before, steps = state
        kept, now = steps / (steps + 1), (steps + 0.5) / (steps + 1)
        shrunk = torch.cat([kept, kept * kept, kept * kept * kept], -1)
        added = torch.cat([torch.ones_like(now), now, now * now], -1) / (steps + 1)
        past = before.reshape(*hidden.shape[:-1], TREND, hidden.shape[-1])
        sums = past * shrunk[..., None] + added[..., None] * hidden[..., None, :]
        return self._polynomials(sums), (sums.flatten(-2), steps + 1)

    def _polynomials(self, sums: Tensor) -> Tensor:
        """From the means of x u^k, (..., 3, H), those of x times a polynomial: (..., 3 H)."""
        return (sums.new_tensor(LEGENDRE) @ sums).flatten(-2)


class AttentionPooling(MeanPooling):
    """A weighted mean with learned, linear scores (Bahdanau et al. 2015, without a query)."""

    def __init__(self, size: int) -> None:
        from torch import nn

        super().__init__(size)
        self.score = nn.Linear(size, 1)

    def scores(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self.score(hidden).squeeze(-1)
        return scores


class TransformerPooling(MeanPooling):
    """A block of causal self-attention over the newest CONTEXT steps, then a learned weighting.

    Positions in time are a learned bias for each distance (Press et al. 2022 give its start), so
    the block tells a sequence from its reverse and works on endless streams. The weighting by one
    learned query over all that was seen follows STEP (arXiv 2503.24298). Unlike `attention` it
    reads which step came before which.
    """

    def __init__(self, size: int) -> None:
        import torch
        from torch import nn

        super().__init__(size)
        self.heads, self.depth = max(1, min(4, size // 16)), min(16, size)
        width = self.heads * self.depth
        self.norm, self.norm_after = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.key = nn.Linear(size, width), nn.Linear(size, width)
        self.value, self.out = nn.Linear(size, width), nn.Linear(width, size)
        self.mix = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, size))
        self.score = nn.Linear(size, 1)
        slopes = 2.0 ** -(8 * torch.arange(1.0, self.heads + 1) / self.heads)
        distances = torch.arange(CONTEXT - 1.0, -1.0, -1.0)  # the newest step is the last
        self.by_distance = nn.Parameter(-slopes[:, None] * distances)
        # Keys and values of the newest steps, oldest first, and which of them there are.
        past = {"keys": CONTEXT * width, "values": CONTEXT * width, "there": CONTEXT}
        self.start |= {name: (count, 0.0) for name, count in past.items()}

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        return super().forward(self._encode(hidden), lengths)

    def running(self, hidden: Tensor) -> Tensor:
        return super().running(self._encode(hidden))

    def step(self, hidden: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        import torch

        *pooled, keys, values, there = state
        query, key, value = self._project(hidden)
        width = key.shape[-1]
        keys = torch.cat([keys[:, width:], key], -1)
        values = torch.cat([values[:, width:], value], -1)
        there = torch.cat([there[:, 1:], torch.ones_like(there[:, :1])], -1)
        past = [part.reshape(-1, CONTEXT, width) for part in (keys, values)]
        encoded = self._attend(hidden, query, past[0], past[1], there)
        vector, carried = super().step(encoded, tuple(pooled))
        return vector, (*carried, keys, values, there)

    def scores(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self.score(hidden).squeeze(-1)
        return scores

    def _encode(self, hidden: Tensor) -> Tensor:
        """(B, T, H) -> (B, T, H): each step with what it knows of those before."""
        from torch.nn.functional import pad

        def windows(part: Tensor) -> Tensor:  # (B, T, ...) -> (B, T, CONTEXT, ...)
            before = pad(part, (0, 0) * (part.dim() - 2) + (CONTEXT - 1, 0))
            return before.unfold(1, CONTEXT, 1).movedim(-1, 2)

        query, key, value = self._project(hidden)
        there = windows(hidden.new_ones(hidden.shape[:2]))
        return self._attend(hidden, query, windows(key), windows(value), there)

    def _project(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        normed = self.norm(hidden)
        return self.query(normed), self.key(normed), self.value(normed)

    def _attend(
        self, hidden: Tensor, query: Tensor, keys: Tensor, values: Tensor, there: Tensor
    ) -> Tensor:
        """hidden (..., H), query (..., W), keys and values (..., CONTEXT, W), there (..., CONTEXT)
        -> (..., H).
        """

        def by_head(part: Tensor) -> Tensor:
            return part.reshape(*part.shape[:-1], self.heads, self.depth)

        match = (by_head(query)[..., None, :, :] * by_head(keys)).sum(-1) / math.sqrt(self.depth)
        match = match + self.by_distance.T
        shares = match.masked_fill(there[..., None] == 0, -math.inf).softmax(-2)
        read = (shares[..., None] * by_head(values)).sum(-3).flatten(-2)
        encoded = hidden + self.out(read)
        mixed: Tensor = encoded + self.mix(self.norm_after(encoded))
        return mixed


POOLINGS: dict[str, type[LastPooling]] = {
    "last": LastPooling,
    "max": MaxPooling,
    "mean": MeanPooling,
    "attention": AttentionPooling,
    "transformer": TransformerPooling,
}


def pooling_module(name: str, size: int) -> Any:
    """The pooling of that name over vectors of a size, as a torch module."""
    from torch import nn

    kind = TrendPooling if name == "trend" else POOLINGS[name]
    return type(kind.__name__, (kind, nn.Module), {})(size)


def _beyond(hidden: Tensor, lengths: Tensor) -> Tensor:
    """Which steps are after the end of their sequence: (B, T, H), (B,) -> (B, T) bool."""
    import torch

    return torch.arange(hidden.shape[1], device=hidden.device) >= lengths[:, None]
