"""Scores over time in bounded memory, for pictures of videos of any length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FIRST_BIN_S = 0.05


class ScoreTrack:
    """The mean score of each class in equal bins of time.

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
        half = self.capacity // 2
        sums, counts = np.zeros_like(self._sums), np.zeros_like(self._counts)
        sums[:half] = self._sums[0::2] + self._sums[1::2]
        counts[:half] = self._counts[0::2] + self._counts[1::2]
        begins = np.zeros_like(self._begins)
        begins[:half] = self._begins[0::2] | self._begins[1::2]
        self._sums, self._counts, self._begins = sums, counts, begins
        self.bin_s *= 2
