"""A padded batch without its padding, and dropout that is the same for both. Knows no cells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Rows:
    """The valid rows of a padded batch (B, T), in the order of PackedSequence: the first step of
    all sequences, the longest first, then the second.

    places (R,): in the B * T rows. sizes (T,): how many sequences have each step.
    """

    places: Tensor
    sizes: Tensor
    count: int

    @classmethod
    def of(cls, lengths: Tensor, steps: int) -> Rows:
        order = lengths.argsort(descending=True, stable=True)
        inside = torch.arange(steps)[:, None] < lengths[order]  # (T, B)
        step, rank = inside.nonzero(as_tuple=True)
        return cls(order[rank] * steps + step, inside.sum(1), inside.numel())

    def pack(self, padded: Tensor) -> Tensor:
        """(B, T, D) -> (R, D)."""
        return padded.flatten(0, 1)[self.places]

    def pad(self, packed: Tensor) -> Tensor:
        """(R, D) -> (B, T, D), zero where nothing is."""
        whole = packed.new_zeros(self.count, packed.shape[1]).index_copy(0, self.places, packed)
        return whole.reshape(-1, len(self.sizes), packed.shape[1])


class Dropout(nn.Dropout):
    """Dropout that draws from a generator of its own where it has one, else from torch's.

    Both give the same numbers from the same seed on a CPU; its own is for one of several trainings
    in one process.
    """

    generator: torch.Generator | None = None

    def forward(self, values: Tensor, rows: Rows | None = None) -> Tensor:
        """rows: which rows of more these are; the same are drawn as if all were here."""
        own = self.generator is not None or rows is not None
        if not own or not self.training or not 0 < self.p < 1:
            dropped: Tensor = super().forward(values)
            return dropped
        shape = values.shape if rows is None else (rows.count, *values.shape[1:])
        kept = values.new_empty(shape).bernoulli_(1 - self.p, generator=self.generator)
        kept = kept if rows is None else kept[rows.places]
        return values * kept.div_(1 - self.p)
