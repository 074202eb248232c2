"""The same clips with their frames in another order, or fewer of them. Knows no models."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from action_gru.dataset.sequences import SequenceSet

SHUFFLES = 5
FROZEN_AT = (0.25, 0.5, 0.75)

Rule = Callable[[int, torch.Generator], Tensor]  # (T, random source) -> the rows to read


def _shuffled(length: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(length, generator=generator)


def _reversed(length: int, generator: torch.Generator) -> Tensor:
    return torch.arange(length).flip(0)


def _frozen(share: float) -> Rule:
    return lambda length, generator: torch.full((length,), round(share * (length - 1)))


def _first_half(length: int, generator: torch.Generator) -> Tensor:
    return torch.arange((length + 1) // 2)


def _every_second(length: int, generator: torch.Generator) -> Tensor:
    return torch.arange(0, length, 2)


# Each is made so many times, and what it costs is the average.
REARRANGEMENTS: dict[str, tuple[Rule, ...]] = {
    "shuffled": (_shuffled,) * SHUFFLES,
    "reversed": (_reversed,),
    "frozen": tuple(_frozen(share) for share in FROZEN_AT),
    "first_half": (_first_half,),
    "every_second": (_every_second,),
}


def rearrangements(sequences: SequenceSet, seed: int) -> Iterator[tuple[str, SequenceSet]]:
    """(name, the same clips so rearranged), some names several times.

    A clip and its mirrored copy are rearranged alike; a clip that is read in windows, as a whole.
    """
    for name, rules in REARRANGEMENTS.items():
        for number, rule in enumerate(rules):
            generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
            rows = [rule(length, generator) for length in sequences.lengths.tolist()]
            yield name, sequences.with_rows(rows)


def prefixes(sequences: SequenceSet, shares: tuple[float, ...]) -> Iterator[SequenceSet]:
    """The first share of the frames of each clip, at least one, for each of the shares."""
    for share in shares:
        counts = [max(1, round(share * length)) for length in sequences.lengths.tolist()]
        yield sequences.with_rows([torch.arange(count) for count in counts])
