"""What each stream of a model does along a clip: gates, memory, attention, its own answer.

Reads a model and features (T, D). Knows no videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from action_gru.evaluation.memory import memory_of
from action_gru.evaluation.result import FloatArray, LayerCurves, StreamCurves
from action_gru.model import LayerGates, LinearBranch, RecurrentBranch, cell_gates
from action_gru.model.pooling import AttentionPooling
from action_gru.scoring import ClipScores

Windows = Sequence[tuple[int, int]]
STATES = ("candidate", "cell", "hidden")  # of either sign: their size is shown


def stream_curves(scores: ClipScores, views: Sequence[str]) -> tuple[StreamCurves, ...]:
    """Every trained stream of a model along a clip; views: their names, in order.

    Gates and attention are those of the plain copy; answers are of all copies, as the clip's is.
    """
    model = scores.model
    streams = cast(list[RecurrentBranch], list(model.streams))
    count = len(streams)
    names = [(view,) for view in views] if count > 1 else [tuple(views)]
    shares = model.shares.tolist() if model.linear is not None else [1 / count] * count
    with torch.inference_mode():
        parts = torch.split(_standard(scores), model.group_dims, dim=-1)
        return tuple(
            _curves_of(stream, part, scores.windows, name, share, model.temperature)
            for stream, part, name, share in zip(streams, parts, names, shares, strict=True)
        )


def _standard(scores: ClipScores) -> Tensor:
    """All copies as the streams read them, (P, T, D), where the model stands."""
    device = next(scores.model.parameters()).device
    return scores.model.standardise(scores.copies.to(device))


def _curves_of(
    stream: RecurrentBranch,
    copies: Tensor,
    windows: Windows,
    views: tuple[str, ...],
    share: float,
    temperature: float,
) -> StreamCurves:
    layers: list[list[LayerGates]] = []
    attention = []
    for low, high in windows:
        plain = copies[:1, low:high]
        projected = stream.project(plain)
        if stream.cell is not None:
            layers.append(cell_gates(stream.cell_name, stream.cell, projected))
        if isinstance(stream.pool_hidden, AttentionPooling):
            lengths = torch.tensor([high - low], device=copies.device)
            hidden = stream.hidden_states(projected, lengths)
            attention.append(stream.pool_hidden.weights(hidden, lengths)[0])
    return StreamCurves(
        views,
        share,
        _mean_answer(stream, copies, windows, temperature),
        tuple(_layer(parts) for parts in zip(*layers, strict=True)),
        _array(torch.cat(attention)) if attention else None,
    )


def _mean_answer(
    stream: RecurrentBranch | LinearBranch, copies: Tensor, windows: Windows, temperature: float
) -> FloatArray:
    """One stream's own probabilities (C,), averaged over windows and copies as the clip's are."""
    rows = []
    for low, high in windows:
        lengths = torch.full((len(copies),), high - low, device=copies.device)
        logits = stream(copies[:, low:high], lengths)
        rows.append((logits / temperature).softmax(-1).mean(0))
    return _array(torch.stack(rows).mean(0))


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


def linear_answer(scores: ClipScores) -> tuple[float, FloatArray] | None:
    """Share and probabilities (C,) of the closed-form classifier; None where there is none."""
    model = scores.model
    if model.linear is None:
        return None
    with torch.inference_mode():
        answer = _mean_answer(model.linear, _standard(scores), scores.windows, model.temperature)
    return float(model.linear_share), answer


def _array(values: Tensor) -> FloatArray:
    return np.asarray(values.cpu().double().numpy())
