"""Sequences as `.npy` files of numbers, (T, D) or (T, points, D), named by a manifest.

Never unpickles.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import DataError
from action_gru.core.paths import HEAD_BYTES, file_kind
from action_gru.dataset import Clip, read_manifest
from action_gru.series.recording import Recording
from action_gru.series.source import Measured, MeasuredClip, SeriesSource

MAGIC = b"\x93NUMPY"
NPZ = re.compile(rb"PK\x03\x04.{26}[^\0]*\.npy", re.DOTALL)  # a zip and its first name
ONE_EACH = "save one .npy a sequence, numbers (T, D), with numpy.save"


def read_array(path: Path) -> NDArray[np.float32]:
    """(T, D) float32; of (T, points, D) the points are laid side by side.

    Raises DataError for a file that is no array of numbers, has other axes, or holds infinity.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.startswith(MAGIC):
        raise DataError(f"{path}: {_other_kind(path, head)}, not .npy; {ONE_EACH}")
    array = _load(path)
    if problem := _misfit(array):
        raise DataError(f"{path}: got {array.shape} {array.dtype}: {problem}")
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        values = array.reshape(len(array), -1).astype(np.float32)
    if np.isinf(values).any():
        raise DataError(
            f"{path}: holds infinity, or a number too large for float32; write NaN where a value "
            "is missing"
        )
    return values


def _load(path: Path) -> NDArray[np.generic]:
    try:
        # Mapped, not read: a header that claims more than the file holds takes no memory.
        with np.errstate(over="ignore"):  # of a size that no file has
            array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    except Exception as error:  # NumPy parses the header as Python and lets its errors through
        if "Python objects" in str(error):
            raise DataError(
                f"{path}: an array of Python objects, such as rows of unequal length, which can "
                f"run code when it is read; {ONE_EACH}"
            ) from error
        raise DataError(f"{path}: not a NumPy array file ({error})") from error


def _misfit(array: NDArray[np.generic]) -> str | None:
    """Why an array is no sequence and what to do, or None if it is one."""
    if array.dtype.kind not in "iuf" or array.size == 0 or array.ndim == 0:
        return "a sequence is an array (T, D) of numbers with T >= 1"
    count = len(array)
    if array.ndim == 1:
        return (
            f"one frame; stack the frames of a sequence to (T, {count}), or, if these "
            f"are {count} rows of one value, reshape to ({count}, 1)"
        )
    if array.ndim == 3 and count == 1:
        return (
            f"one row of {array.shape[1]} x {array.shape[2]} values; save array[0] if the first "
            "axis is no time, or reshape to (1, -1) if the sequence has one row"
        )
    if array.ndim > 3:
        return (
            f"{array.ndim} axes; bring time to the front and reshape to (T, -1), as in "
            "numpy.moveaxis(array, TIME_AXIS, 0).reshape(T, -1)"
        )
    return None


def _other_kind(path: Path, head: bytes) -> str:
    """What a file without NumPy's first bytes is, in words."""
    if not head:
        return "an empty file"
    if NPZ.match(head):
        return "a .npz of one or more arrays"
    is_text = all(byte >= 32 or byte in b"\t\r\n" for byte in head)
    return file_kind(path) or ("text" if is_text else "a file of another kind")


class ArraySource(SeriesSource):
    """Arrays by manifest. One that cannot be read is quarantined with its reason."""

    def clips(self) -> list[Clip]:
        """Every array of the manifest, or its windows."""
        data = self.config.data
        root, classes = self.root or data.root, self.classes or data.classes
        clips = read_manifest(self.path, root, classes, **data.manifest_options)
        return [part for clip in clips for part in self._windows(clip)]

    def measure(self, clips: Sequence[Clip]) -> Measured:
        """The values of the clips, which must be as wide as the first that can be read."""
        items: dict[str, MeasuredClip] = {}
        quarantined: dict[str, str] = {}
        first: tuple[int, ...] = ()
        for clip in clips:
            try:
                item = _measured_clip(clip)
                first = first or item.rows.values.shape
                _check_width(clip, item.rows.values.shape, first)
                items[clip.name] = item
            except (DataError, OSError) as error:
                quarantined[clip.name] = str(error)
        names = tuple(f"column_{index}" for index in range(first[1] if first else 0))
        return Measured(names, items, quarantined)

    def _windows(self, clip: Clip) -> list[Clip]:
        if self.config.series.window is None:
            return [clip]
        try:
            return [item.clip for item in _measured_clip(clip).windows(self.config.series)]
        except (DataError, OSError):
            return [clip]  # quarantined with its reason when its values are read


def _check_width(clip: Clip, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    if shape[1] != first[1]:
        turned = "; save array.T if time is the second axis" if shape[0] == first[0] else ""
        raise DataError(
            f"{clip.path}: has {shape[1]} values a row, the first array {first[1]}{turned}"
        )


def _measured_clip(clip: Clip) -> MeasuredClip:
    """One array, or the rows between its clip's bounds."""
    if not clip.path.is_file():
        raise DataError(f"{clip.path}: no such file")
    values = read_array(clip.path)
    times = np.arange(len(values), dtype=np.float64)
    whole = MeasuredClip.whole(clip, Recording(clip.relative, values, times))
    if clip.start_s is None and clip.end_s is None:
        return whole
    start, end = clip.start_s or 0.0, len(values) if clip.end_s is None else clip.end_s
    if start >= len(values):
        raise DataError(f"{clip.path}: has {len(values)} rows, the clip starts at row {start:g}")
    part = whole.stretch(start, end)
    if not len(part.rows.times):
        raise DataError(f"{clip.path}: has no row from {start:g} up to {end:g}; mend the bounds")
    return part
