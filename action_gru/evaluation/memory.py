"""How far back a gated cell's state reaches. Knows gates, no videos.

The gate that keeps (a GRU's update gate, an LSTM's forget gate) multiplies the state at each step,
so the share of an old state that is still there is the product of the gates since. A gate of
constant value z loses 1 / e of it in -1 / ln z steps, about 1 / (1 - z): the characteristic time of
a unit (Tallec and Ollivier 2018, arXiv 1804.11188, section 2). What a state passes on through the
candidate is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FADED = 1 / math.e


@dataclass(frozen=True)
class Memory:
    """How far the state reaches, in frames.

    reach_frames (T,): after each frame, how many frames back the carried share falls below 1 / e.
    faded (T,): False where even the state before the first frame is above that: the reach is then
    cut by the clip's start, and the true one is longer. frames: the reach over the whole clip,
    None when the share never falls so low.
    """

    reach_frames: tuple[float, ...]
    faded: tuple[bool, ...]
    frames: float | None


def memory_of(keeps: Sequence[Tensor], backwards: bool = False) -> Memory:
    """keeps: a window's gates each, (T, H), values from 0 to 1, in the order of the clip.

    The carried share over k frames is the mean over the units. `frames` rests on its mean over all
    places of the clip too, and looks at most half a window back, so that each lag has many places.
    """
    tables = [carried_shares(keep.flip(0) if backwards else keep) for keep in keeps]
    frames: list[float] = []
    faded: list[bool] = []
    for shares in tables:
        reaches = [_crossing(row[: index + 2]) for index, row in enumerate(shares)]
        if backwards:
            reaches.reverse()
        past = range(len(reaches), 0, -1) if backwards else range(1, len(reaches) + 1)
        frames += [float(n) if r is None else r for n, r in zip(past, reaches, strict=True)]
        faded += [reach is not None for reach in reaches]
    return Memory(tuple(frames), tuple(faded), _crossing(_mean_share(tables)))


def carried_shares(keep: Tensor) -> Tensor:
    """(T, H) -> (T, T + 1): the share of the state k frames earlier that is carried to frame t.

    Row t, column k: the mean over the units of the product of the last k gates, for k to t + 1;
    zeros after that. Column 0 is 1.
    """
    steps = len(keep)
    shares = keep.new_zeros(steps, steps + 1)
    shares[:, 0] = 1.0
    product = torch.ones_like(keep)
    for lag in range(1, steps + 1):
        product = product[-(steps - lag + 1) :] * keep[: steps - lag + 1]
        shares[lag - 1 :, lag] = product.mean(-1)
    return shares


def _mean_share(tables: Sequence[Tensor]) -> Tensor:
    """By lag, averaged over the places that have so much past: several (T, T + 1) -> (K,)."""
    most = max(len(shares) for shares in tables) // 2
    return torch.stack(
        [
            torch.cat(
                [shares[max(0, lag - 1) :, lag] for shares in tables if lag <= len(shares)]
            ).mean()
            for lag in range(most + 1)
        ]
    )


def _crossing(share: Tensor) -> float | None:
    """Where a falling share (K,) by lag first passes 1 / e, between two lags; None: nowhere."""
    below = (share < FADED).nonzero()
    if not len(below):
        return None
    lag = int(below[0])
    before, after = float(share[lag - 1]), float(share[lag])
    return lag - 1 + (before - FADED) / (before - after)
