"""Feature rows on disk while a long clip is read, so that memory does not grow with its length."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import CacheError

CHUNK_ROWS = 2048


class RowFile:
    """(T, D) float16 rows in a temporary file that has no name: nothing of it stays, come what may.

    Raises CacheError when the temporary folder is full.
    """

    def __init__(self) -> None:
        self.shape = (0, 0)
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 closed by `close`
        except OSError as error:
            raise _no_space(error) from error

    def append(self, rows: NDArray[np.float16]) -> None:
        """rows (N, D): the next ones."""
        try:
            self._file.write(np.ascontiguousarray(rows).data)
        except OSError as error:
            raise _no_space(error) from error
        self.shape = (self.shape[0] + len(rows), rows.shape[1])

    def chunks(self) -> Iterator[NDArray[np.float16]]:
        """The rows from the first on, (at most CHUNK_ROWS, D) at a time."""
        count, dim = self.shape
        self._file.seek(0)
        for first in range(0, count, CHUNK_ROWS):
            size = min(CHUNK_ROWS, count - first) * dim
            yield np.fromfile(self._file, np.float16, size).reshape(-1, dim)

    def close(self) -> None:
        self._file.close()


def _no_space(error: OSError) -> CacheError:
    return CacheError(
        f"{tempfile.gettempdir()}: the features of a long clip cannot be kept there "
        f"({error.strerror or error}); free space or set TMPDIR to a folder you may write"
    )
