"""What happened from when to when, and the scores it rests on. Knows no model and no frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import DataError

FIRST_BIN_S = 0.05


@dataclass(frozen=True)
class Event:
    """One action from start_s to end_s; score: its mean probability over that time.

    person: the number of the one who does it, where people are told apart.
    """

    label: str
    start_s: float
    end_s: float
    score: float = 1.0
    person: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s)):
            raise DataError(f"an event needs finite times; got {self.start_s} to {self.end_s}")
        if self.end_s < self.start_s:
            raise DataError(f"an event ends after it began; got {self.start_s} to {self.end_s}")

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps; times to the millisecond."""
        document: dict[str, object] = {
            "label": self.label,
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "score": round(self.score, 4),
        }
        return document if self.person is None else document | {"person": self.person}


class ScoreTrack:
    """The mean score of each class in equal bins of time, in bounded memory.

    There are never more than `capacity` bins: when they are full, neighbours are merged in pairs.
    `begins` says which bins do not go on from the one before, because frames are missing between.
    """

    def __init__(self, capacity: int = 2048) -> None:
        self.capacity = capacity
        self.bin_s = FIRST_BIN_S
        self._sums: NDArray[np.float64] | None = None
        self._counts = np.zeros(capacity, dtype=np.int64)
        self._begins = np.zeros(capacity, dtype=np.bool_)

    def add(self, time_s: float, scores: NDArray[np.float64], begins: bool = False) -> None:
        """Take in the scores (C,) of one instant, seconds >= 0. begins: the first after a gap."""
        if self._sums is None:
            self._sums = np.zeros((self.capacity, len(scores)))
        while time_s >= self.bin_s * self.capacity:
            self._halve()
        index = int(max(time_s, 0.0) / self.bin_s)
        self._sums[index] += scores
        self._counts[index] += 1
        self._begins[index] |= begins

    @property
    def times_s(self) -> NDArray[np.float64]:
        """The middle of each bin that holds anything, (N,) seconds."""
        return ((np.flatnonzero(self._counts) + 0.5) * self.bin_s).astype(np.float64)

    @property
    def values(self) -> NDArray[np.float64]:
        """The mean scores of those bins, (N, C)."""
        filled = self._counts > 0
        if self._sums is None:
            return np.zeros((0, 0))
        return (self._sums[filled] / self._counts[filled][:, None]).astype(np.float64)

    @property
    def begins(self) -> NDArray[np.bool_]:
        """Whether a gap lies before each of those bins, (N,)."""
        return self._begins[self._counts > 0]

    def _halve(self) -> None:
        assert self._sums is not None
        for values, merge in (
            (self._sums, np.add),
            (self._counts, np.add),
            (self._begins, np.logical_or),
        ):
            half = len(values) // 2
            values[:half] = merge(values[0::2], values[1::2])
            values[half:] = 0
        self.bin_s *= 2


@dataclass(frozen=True)
class Timeline:
    """The events of one video, in order of time, with the scores they rest on.

    duration_s: how far it was read. complete: False when reading was stopped before the end.
    restarts: how often the state was reset because frames were missing. people: how many were
    followed, where they are told apart. sentences: one an event, where it is told in words.
    """

    source: str
    classes: tuple[str, ...]
    events: tuple[Event, ...]
    duration_s: float
    complete: bool = True
    restarts: int = 0
    scores: ScoreTrack = field(default_factory=ScoreTrack)
    people: int | None = None
    sentences: tuple[str, ...] = ()
