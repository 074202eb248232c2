"""Curves of each model branch along a clip: gates, memory, attention, and its own answer.

Memory: the gate that keeps (a GRU's update gate, an LSTM's forget gate) multiplies the state at
each step, so the share of an old state that is still there is the product of the gates since. A
gate of constant value z loses 1 / e of it in -1 / ln z steps, about 1 / (1 - z): the characteristic
time of a unit (Tallec and Ollivier 2018, arXiv 1804.11188, section 2). What a state passes on
through the candidate is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from action_gru.model import LayerGates, LinearBranch, RecurrentBranch, cell_gates
from action_gru.model.pooling import AttentionPooling
from action_gru.report.metrics import FloatArray
from action_gru.training.scoring import ClipScores

FADED = 1 / math.e
STATES = ("candidate", "cell", "hidden")  # of either sign: their size is shown


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


@dataclass(frozen=True)
class LayerCurves:
    """One layer of one stream in one direction.

    curves: by gate, the mean over the units, (T,); of states and candidates the mean size |x|.
    spread: by gate, the 10% and 90% quantiles over the units, (2, T). memory: None for a plain RNN,
    which has no gate that keeps.
    """

    layer: int
    backwards: bool
    curves: dict[str, FloatArray]
    spread: dict[str, FloatArray]
    memory: Memory | None

    @property
    def direction(self) -> str:
        return "backwards " if self.backwards else ""


@dataclass(frozen=True)
class StreamCurves:
    """One trained stream of the model.

    share: its weight among the trained streams. probabilities (C,): its answer alone. layers: none
    for a model without a cell. attention (T,): each frame's weight in the pooling, summing to 1
    over each window; None for other poolings.
    """

    views: tuple[str, ...]
    share: float
    probabilities: FloatArray
    layers: tuple[LayerCurves, ...]
    attention: FloatArray | None

    @property
    def name(self) -> str:
        return " + ".join(self.views)


def stream_curves(scores: ClipScores, views: Sequence[str]) -> tuple[StreamCurves, ...]:
    """Every trained stream of a model along a clip; views: their names, in order.

    Gates and attention are those of the plain copy; answers are of all copies, as the clip's is.
    """
    model = scores.model
    streams = cast(list[RecurrentBranch], list(model.streams))
    count = len(streams)
    groups = len(model.group_dims)
    names = ([(view,) for view in views] if groups > 1 else [tuple(views)]) * (count // groups)
    shares = model.shares.tolist() if model.linear is not None else [1 / count] * count
    with torch.inference_mode():
        parts = model.parts(_standardised(scores))
        return tuple(
            StreamCurves(name, share, _answer(scores, stream, part), *_inside(scores, stream, part))
            for stream, part, name, share in zip(streams, parts, names, shares, strict=True)
        )


def linear_answer(scores: ClipScores) -> tuple[float, FloatArray] | None:
    """Share and probabilities (C,) of the closed-form classifier; None where there is none."""
    model = scores.model
    if model.linear is None:
        return None
    with torch.inference_mode():
        return float(model.linear_share), _answer(scores, model.linear, _standardised(scores))


def _standardised(scores: ClipScores) -> Tensor:
    """All copies as the streams read them, (P, T, D), on the model's device."""
    device = next(scores.model.parameters()).device
    return scores.model.standardise(scores.copies.to(device))


def _answer(
    scores: ClipScores, stream: RecurrentBranch | LinearBranch, copies: Tensor
) -> FloatArray:
    """One stream's own probabilities (C,), averaged over windows and copies as the clip's are."""
    rows = []
    for low, high in scores.windows:
        lengths = torch.full((len(copies),), high - low, device=copies.device)
        logits = stream(copies[:, low:high], lengths)
        rows.append(scores.model.probabilities(logits / scores.model.temperature).mean(0))
    return _array(torch.stack(rows).mean(0))


def _inside(
    scores: ClipScores, stream: RecurrentBranch, copies: Tensor
) -> tuple[tuple[LayerCurves, ...], FloatArray | None]:
    """The layers and the attention (T,) of one stream."""
    layers: list[list[LayerGates]] = []
    attention = []
    for low, high in scores.windows:
        projected = stream.project(copies[:1, low:high])
        if stream.cell is not None:
            layers.append(cell_gates(stream.cell_name, stream.cell, projected))
        if isinstance(stream.pool_hidden, AttentionPooling):
            lengths = torch.tensor([high - low], device=copies.device)
            hidden = stream.hidden_states(projected, lengths)
            attention.append(stream.pool_hidden.weights(hidden, lengths)[0])
    curves = tuple(_layer(parts) for parts in zip(*layers, strict=True))
    return curves, _array(torch.cat(attention)) if attention else None


def _layer(parts: Sequence[LayerGates]) -> LayerCurves:
    """One layer in one direction, from its gates in each window."""
    first = parts[0]
    curves, spread = {}, {}
    for name in first.values:
        values = torch.cat([part.values[name][0] for part in parts])
        values = values.abs() if name in STATES else values
        curves[name] = _array(values.mean(-1))
        spread[name] = _array(values.quantile(values.new_tensor([0.1, 0.9]), -1))
    keeps = [part.keep[0] for part in parts if part.keep is not None]
    memory = memory_of(keeps, first.backwards) if keeps else None
    return LayerCurves(first.layer, first.backwards, curves, spread, memory)


def _array(values: Tensor) -> FloatArray:
    return np.asarray(values.cpu().double().numpy())


def memory_of(keeps: Sequence[Tensor], backwards: bool = False) -> Memory:
    """keeps: each window's gates, (T, H) in 0 to 1, in the order of the clip.

    The share carried over k frames is a mean over units; for `frames` over all places too, at most
    half a window back, so that each lag has many places.
    """
    tables = [carried_shares(keep.flip(0) if backwards else keep) for keep in keeps]
    reaches: list[tuple[float | None, int]] = []
    for shares in tables:
        rows = [(_crossing(row[: past + 1]), past) for past, row in enumerate(shares, 1)]
        reaches += rows[::-1] if backwards else rows
    half = max(map(len, tables)) // 2
    by_lag = [
        torch.cat([shares[max(0, lag - 1) :, lag] for shares in tables if lag <= len(shares)])
        for lag in range(half + 1)
    ]
    return Memory(
        tuple(float(past) if reach is None else reach for reach, past in reaches),
        tuple(reach is not None for reach, _ in reaches),
        _crossing(torch.stack([shares.mean() for shares in by_lag])),
    )


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


def _crossing(share: Tensor) -> float | None:
    """Where a falling share (K,) by lag first passes 1 / e, between two lags; None: nowhere."""
    below = (share < FADED).nonzero()
    if not len(below):
        return None
    lag = int(below[0])
    before, after = map(float, share[lag - 1 : lag + 1])
    return lag - 1 + (before - FADED) / (before - after)
