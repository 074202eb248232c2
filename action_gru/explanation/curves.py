"""What each stream of a model does along a clip: gates, memory, attention, running scores.

Reads a model and features (T, D). Knows no videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from action_gru.explanation.memory import memory_of
from action_gru.explanation.result import FloatArray, LayerCurves, StreamCurves
from action_gru.model import ActionClassifier, SequenceStream
from action_gru.model.gates import LayerGates, cell_gates

Windows = Sequence[tuple[int, int]]
STATES = ("candidate", "cell", "hidden")  # of either sign: their size is shown


def stream_curves(
    model: ActionClassifier, features: Tensor, windows: Windows, views: Sequence[str]
) -> tuple[StreamCurves, ...]:
    """features (T, D) on the model's device, read in windows; views: their names, in order."""
    streams = cast(list[SequenceStream], list(model.streams))
    count = len(streams)
    names = [(view,) for view in views] if count > 1 else [tuple(views)]
    shares = model.shares.tolist() if model.linear is not None else [1 / count] * count
    with torch.inference_mode():
        standard = model.standardise(features)
        parts = torch.split(standard, model.group_dims, dim=-1)
        return tuple(
            _curves_of(stream, part, windows, name, share)
            for stream, part, name, share in zip(streams, parts, names, shares, strict=True)
        )


def _curves_of(
    stream: SequenceStream, features: Tensor, windows: Windows, views: tuple[str, ...], share: float
) -> StreamCurves:
    layers: list[list[LayerGates]] = []
    attention, probabilities = [], []
    for low, high in windows:
        batch = features[None, low:high]
        lengths = torch.tensor([high - low], device=features.device)
        projected = stream.project(batch)
        if stream.cell is not None:
            layers.append(cell_gates(stream.cell, projected))
        if stream.pool_hidden.kind == "attention":
            hidden = stream.hidden_states(projected, lengths)
            attention.append(stream.pool_hidden.weights(hidden, lengths)[0])
        probabilities.append(stream(batch, lengths).softmax(-1)[0])
    return StreamCurves(
        views,
        share,
        _array(torch.stack(probabilities).mean(0)),
        tuple(_layer(parts) for parts in zip(*layers, strict=True)),
        _array(torch.cat(attention)) if attention else None,
    )


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


def running_scores(
    model: ActionClassifier, features: Tensor, windows: Windows
) -> FloatArray | None:
    """The probabilities after each frame, (T, C), each window from its start; None for a model
    that reads backwards too and so has no answer before the end.
    """
    if not model.can_stream:
        return None
    rows = []
    with torch.inference_mode():
        for low, high in windows:
            state = None
            for feature in features[low:high]:
                logits, state = model.step(feature[None], state)
                rows.append(logits.softmax(-1)[0])
    return _array(torch.stack(rows))


def linear_answer(
    model: ActionClassifier, features: Tensor, windows: Windows
) -> tuple[float, FloatArray] | None:
    """Share and probabilities (C,) of the closed-form classifier; None where there is none."""
    if model.linear is None:
        return None
    rows = []
    with torch.inference_mode():
        standard = model.standardise(features)
        for low, high in windows:
            lengths = torch.tensor([high - low], device=features.device)
            rows.append(model.linear(standard[None, low:high], lengths).softmax(-1)[0])
    return float(model.linear_share), _array(torch.stack(rows).mean(0))


def _array(values: Tensor) -> FloatArray:
    return np.asarray(values.cpu().double().numpy())
