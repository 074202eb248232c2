"""Reads a `.npy` file of numbers, (T, D) or (T, ...), as one sequence. Never unpickles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import DataError


def read_array(path: Path) -> NDArray[np.float32]:
    """(T, D) float32; further axes, such as (T, joints, 3), are laid side by side.

    Raises DataError for a file that is no array of numbers, is empty, or holds infinity.
    """
    try:
        # Mapped, not read: a header that claims more than the file holds takes no memory.
        with np.errstate(over="ignore"):  # of a size that no file has
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python and lets its errors through
        raise DataError(f"{path}: not a NumPy array file ({error})") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: holds several arrays; save one .npy a sequence")
    if array.ndim < 2 or array.size == 0 or array.dtype.kind not in "iuf":
        raise DataError(
            f"{path}: a sequence is an array (T, D) of numbers with T >= 1, got {array.shape} "
            f"{array.dtype}; save one value a row as (T, 1)"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        values = array.reshape(len(array), -1).astype(np.float32)
    if np.isinf(values).any():
        raise DataError(
            f"{path}: holds infinity, or a number too large for float32; write NaN where a value "
            "is missing"
        )
    return values
