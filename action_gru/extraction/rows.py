"""The features of one stream of a clip as they come. Knows nothing of pictures or caches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from action_gru.cache import RowFile
from action_gru.cache.entry import check_finite

# 5 MB at 1280 values: clips of under three minutes, at 12 frames a second, never touch the disk.
MOST_IN_MEMORY = 2048


class Rows:
    """Rows by place, which arrive in nearly their order; a long clip's go to a temporary file."""

    def __init__(self) -> None:
        self._rows: list[NDArray[np.float16] | None] = []
        self._first = 0  # the place of the first row that is still in memory
        self._file: RowFile | None = None

    def expect(self) -> None:
        """One more row will come."""
        self._rows.append(None)

    def put(self, place: int, row: NDArray[np.float16]) -> None:
        """row (D,)."""
        self._rows[place - self._first] = row
        if len(self._rows) >= MOST_IN_MEMORY:
            self._spill()

    def whole(self) -> NDArray[np.float16] | RowFile:
        """All rows (T, D); every expected one must have come."""
        if self._file is not None:
            self._spill()
        assert all(row is not None for row in self._rows)
        if self._file is not None:
            assert not self._rows
            return self._file
        return np.stack([row for row in self._rows if row is not None])

    def close(self) -> None:
        self._rows = []
        if self._file is not None:
            self._file.close()

    def _spill(self) -> None:
        """Write what has come of the rows in memory, up to the first that has not."""
        came: list[NDArray[np.float16]] = []
        for row in self._rows:
            if row is None:
                break
            came.append(row)
        if not came:
            return
        block = np.stack(came)
        check_finite(block)
        self._file = self._file or RowFile()
        self._file.append(block)
        self._first += len(came)
        del self._rows[: len(came)]
