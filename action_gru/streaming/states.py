"""Several states of one model, started one after another, so that none outruns the window.

Knows nothing of frames or classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from action_gru.model import Pooled, State, StreamState


class StaggeredStates:
    """Says when each of K states of one stream starts afresh, and which one answers.

    State k restarts at k, K + k, 2 K + k, ... times window_s / K. The oldest one answers: it rests
    on the last (K - 1) / K to 1 times window_s seconds, and before window_s on all there was.
    """

    def __init__(self, count: int, window_s: float) -> None:
        if count < 2:
            raise ValueError(f"one state that restarts would forget all at once; got {count}")
        self.count = count
        self.step_s = window_s / count
        self.since_s = [0.0] * count  # when each one began
        self._begun = [-1] * count  # the stage in which it began
        self._origin_s = 0.0
        self._stage = -1

    def due(self, time_s: float) -> list[int]:
        """The states that start afresh with the frame at this instant, seconds."""
        if self._stage < 0:
            self._origin_s = time_s
        stage = int((time_s - self._origin_s) / self.step_s + 1e-6)
        first = max(self._stage + 1, stage - self.count + 1)
        self._stage = stage
        for begun in range(first, stage + 1):
            self.since_s[begun % self.count] = time_s
            self._begun[begun % self.count] = begun
        return [begun % self.count for begun in range(first, stage + 1)]

    def by_age(self) -> list[int]:
        """The states that have begun, the one that rests on the longest stretch first."""
        begun = [number for number in range(self.count) if self._begun[number] >= 0]
        return sorted(begun, key=lambda number: self._begun[number])


def reset_rows(state: State, rows: Sequence[int], fresh: State) -> None:
    """Start some streams of a batch afresh, in place. fresh: `initial_state(1)` of the model."""
    if not rows:
        return
    index = torch.tensor(rows)
    for stream, start in zip(state, fresh, strict=True):
        for carried, value in zip(stream.cell, start.cell, strict=True):
            carried[:, index] = value
        pooled, values = (stream.hidden, *stream.around), (start.hidden, *start.around)
        for old, new in zip(pooled, values, strict=True):
            for tensor, value in zip(old, new, strict=True):
                tensor[index] = value


def join(states: Sequence[State]) -> State:
    """One state whose batch is the others' batches, one after another."""
    if len(states) == 1:
        return states[0]
    return tuple(_join_streams(parts) for parts in zip(*states, strict=True))


def split(state: State, sizes: Sequence[int]) -> list[State]:
    """The inverse of `join`; the parts share memory with the whole."""
    if len(sizes) == 1:
        return [state]
    parts = [_split_stream(stream, sizes) for stream in state]
    return [tuple(stream[index] for stream in parts) for index in range(len(sizes))]


def _join_streams(parts: Sequence[StreamState]) -> StreamState:
    return StreamState(
        tuple(
            torch.cat(tensors, 1) for tensors in zip(*(part.cell for part in parts), strict=True)
        ),
        _join_pooled([part.hidden for part in parts]),
        tuple(_join_pooled(each) for each in zip(*(part.around for part in parts), strict=True)),
    )


def _join_pooled(parts: Sequence[Pooled]) -> Pooled:
    return Pooled(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _split_stream(stream: StreamState, sizes: Sequence[int]) -> list[StreamState]:
    lengths = list(sizes)
    cells = [torch.split(tensor, lengths, 1) for tensor in stream.cell]
    hidden = _split_pooled(stream.hidden, lengths)
    around = [_split_pooled(pooled, lengths) for pooled in stream.around]
    return [
        StreamState(
            tuple(cell[index] for cell in cells),
            hidden[index],
            tuple(pooled[index] for pooled in around),
        )
        for index in range(len(lengths))
    ]


def _split_pooled(pooled: Pooled, sizes: list[int]) -> list[Pooled]:
    parts: list[tuple[Tensor, ...]] = [torch.split(tensor, sizes) for tensor in pooled]
    return [Pooled(*tensors) for tensors in zip(*parts, strict=True)]
