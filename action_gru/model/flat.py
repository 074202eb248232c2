"""One step of the classifier with its state as a flat list of named tensors, for other runtimes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from action_gru.errors import ConfigError
from action_gru.model.classifier import ActionClassifier, State
from action_gru.model.pooling import Pooled
from action_gru.model.streams import StreamState

# What a pooling changes from step to step; the rest of its state says nothing.
CARRIED = {
    "last": (),
    "max": ("total",),
    "mean": ("total", "weight", "peak"),
    "attention": ("total", "weight", "peak"),
}


@dataclass(frozen=True)
class StateTensor:
    """One tensor of the state. shape: without the batch. batch_axis: where the batch goes.

    start: what every element is before the first frame; minus infinity for a running maximum.
    """

    name: str
    shape: tuple[int, ...]
    batch_axis: int
    start: float

    def to_json(self) -> dict[str, Any]:
        """JSON knows no infinity: start is the text '-inf' then, which float() reads."""
        start = self.start if self.start > float("-inf") else "-inf"
        shape = list(self.shape)
        return {
            "name": self.name, "shape": shape, "batch_axis": self.batch_axis, "start": start
        }  # fmt: skip


class FlatStep(nn.Module):
    """`ActionClassifier.step` over named tensors: (feature, *state) -> (logits, *state).

    Raises ConfigError for a bidirectional model.
    """

    def __init__(self, model: ActionClassifier) -> None:
        super().__init__()
        if not model.can_stream:
            raise ConfigError(
                "model.bidirectional: a model that reads the clip backwards has no one-step form "
                "and cannot be exported; train one with model.bidirectional=false"
            )
        self.model = model
        self._kinds = [_pool_kinds(stream) for stream in model._all_streams()]
        self._template = model.initial_state(1)
        named = self._flatten(self._template)
        self.state = tuple(_describe(name, tensor) for name, tensor in named)

    def initial(self, batch_size: int) -> list[Tensor]:
        """The state before the first frame, of B streams."""
        return [tensor for _, tensor in self._flatten(self.model.initial_state(batch_size))]

    def forward(self, feature: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """feature (B, D), the tensors of `state` -> logits (B, C), the tensors to carry."""
        logits, after = self.model.step(feature, self._unflatten(state))
        return logits, *(tensor for _, tensor in self._flatten(after))

    def _flatten(self, state: State) -> list[tuple[str, Tensor]]:
        named = []
        for index, (stream, kinds) in enumerate(zip(state, self._kinds, strict=True)):
            for number, tensor in enumerate(stream.cell):
                named.append((f"stream{index}_cell{number}", tensor))
            for place, (pooled, kind) in enumerate(
                zip((stream.hidden, *stream.around), kinds, strict=True)
            ):
                named += [
                    (f"stream{index}_pool{place}_{field}", getattr(pooled, field))
                    for field in CARRIED[kind]
                ]
        return named

    def _unflatten(self, tensors: tuple[Tensor, ...]) -> State:
        """What is not carried is taken from the template: no step reads it."""
        waiting = iter(tensors)
        streams = []
        for stream, kinds in zip(self._template, self._kinds, strict=True):
            cell = tuple(next(waiting) for _ in stream.cell)
            pools = [
                _filled(pooled, kind, waiting)
                for pooled, kind in zip((stream.hidden, *stream.around), kinds, strict=True)
            ]
            streams.append(StreamState(cell, pools[0], tuple(pools[1:])))
        return tuple(streams)


def _filled(pooled: Pooled, kind: str, tensors: Any) -> Pooled:
    return pooled._replace(**{field: next(tensors) for field in CARRIED[kind]})


def _pool_kinds(stream: nn.Module) -> list[str]:
    """The kinds of a stream's poolings, in the order of its state."""
    pools: Any = getattr(stream, "pools", None)
    if pools is None:
        pools = [stream.pool_hidden, *stream.pool_around]  # type: ignore[misc]
    return [pool.kind for pool in pools]


def _describe(name: str, tensor: Tensor) -> StateTensor:
    axis = 1 if "_cell" in name else 0  # a cell's state is (layers, B, H)
    shape = tuple(size for place, size in enumerate(tensor.shape) if place != axis)
    start = float(tensor.flatten()[0])
    assert torch.all(tensor == start)
    return StateTensor(name, shape, axis, start)
