"""Lays the rows of many sequences end to end, in memory or, where they do not fit, in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import DataError

Rows = NDArray[Any]  # float16 or float32


def stack_rows(parts: Iterable[Rows], most_bytes: int | None) -> tuple[Rows, list[int]]:
    """(sum of T, D) and the length of each part. parts: (T, D) each, taken one at a time.

    With more than most_bytes the rows go to a temporary file without a name and come back mapped
    into memory: the system reads what is asked for. Raises DataError where there is no room.
    """
    kept: list[Rows] = []
    lengths: list[int] = []
    file: BinaryIO | None = None
    size = width = 0
    kind: Any = np.float32
    for part in parts:
        lengths.append(len(part))
        width, kind = part.shape[1], part.dtype
        size += part.nbytes
        kept.append(part)
        if most_bytes is not None and size > most_bytes:
            file = file or tempfile.TemporaryFile()  # noqa: SIM115 closed below
            _move(kept, file)
    if not lengths:
        raise DataError("a set of sequences needs at least one")
    if file is None:
        return np.concatenate(kept), lengths
    with file:  # the map holds on to it by itself
        return np.memmap(file, kind, "r+", shape=(sum(lengths), width)), lengths


def _move(kept: list[Rows], file: BinaryIO) -> None:
    try:
        for one in kept:
            file.write(np.ascontiguousarray(one).data)
        file.flush()
    except OSError as error:
        raise DataError(
            f"{tempfile.gettempdir()}: the features do not fit into memory, and cannot be kept "
            f"there ({error.strerror or error}); free space, set TMPDIR, or raise "
            "features.memory_gb"
        ) from error
    kept.clear()
