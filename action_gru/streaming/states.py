"""Several states of one model, started one after another, so that none outruns the window.

Knows nothing of frames or classes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from action_gru.model import State


class OverlappingWindows:
    """Says when each of K states of one stream starts afresh, and which one answers.

    State k restarts at k, K + k, 2 K + k, ... times window_s / K. The oldest one answers: it rests
    on the last (K - 1) / K to 1 times window_s seconds, and before window_s on all there was.
    In a window without end one state is enough.
    """

    def __init__(self, count: int, window_s: float) -> None:
        if count < 2 and window_s < math.inf:
            raise ValueError(f"one state that restarts would forget all at once; got {count}")
        self.count = count
        self.step_s = window_s / count
        self.since_s = [0.0] * count  # when each one began
        self._begun = [-1] * count  # the stage in which it began
        self._origin_s = 0.0
        self._stage = -1

    def restarting(self, time_s: float) -> list[int]:
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

    def oldest_first(self) -> list[int]:
        """The states that have begun, the one that rests on the longest stretch first."""
        begun = [number for number in range(self.count) if self._begun[number] >= 0]
        return sorted(begun, key=lambda number: self._begun[number])


class Lookahead:
    """Which instant the newest answer of a model of instants is about: the one `count` steps
    before it, as it had read so many further ones.
    """

    def __init__(self, count: int) -> None:
        self._times_s: deque[float] = deque(maxlen=count + 1)

    def push(self, time_s: float) -> float:
        """The next step's instant; the one that its answer is about. Until count + 1 steps are
        read, that is the first.
        """
        self._times_s.append(time_s)
        return self._times_s[0]

    @property
    def is_full(self) -> bool:
        """Does the newest answer rest on as many further steps as the model was trained with?"""
        return len(self._times_s) == self._times_s.maxlen

    def left(self) -> list[float]:
        """At the end: the instants without a full answer, for as many more steps that repeat the
        last one (`is_full` afterwards); oldest first.
        """
        return list(self._times_s)[self.is_full :]


def reset_rows(state: State, rows: Sequence[int], fresh: State) -> None:
    """Start some streams of a batch afresh, in place. fresh: `initial_state(1)` of the model."""
    if not rows:
        return
    index = torch.tensor(rows)
    for carried, start in zip(state, fresh, strict=True):
        carried[..., index, :] = start  # the batch is the last axis but one


def join(states: Sequence[State]) -> State:
    """One state whose batch is the others' batches, one after another."""
    if len(states) == 1:
        return states[0]
    return tuple(torch.cat(tensors, -2) for tensors in zip(*states, strict=True))


def split(state: State, sizes: Sequence[int]) -> list[State]:
    """The inverse of `join`; the parts share memory with the whole."""
    if len(sizes) == 1:
        return [state]
    parts: list[tuple[Tensor, ...]] = [torch.split(tensor, list(sizes), -2) for tensor in state]
    return [tuple(tensors[index] for tensors in parts) for index in range(len(sizes))]
