"""What is made of a measured row before a model reads it, from this row and earlier ones only.

A whole sequence and its rows one by one give the same values. Knows no model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import DataError

Values = NDArray[np.float32]


def prepare(values: Values, points: int = 0, velocity: bool = False) -> list[Values]:
    """The views of a sequence (T, D): its values and, if asked for, how they change.

    points: the columns are points of so many coordinates (x, y or x, y, z). Their mean is taken out
    of each row, and they are divided by their usual distance from it, averaged over the rows so
    far: where somebody stands and how large they are no longer counts. The change then has the
    mean's own movement as its last columns.
    """
    preparer = RowPreparer(values.shape[1], points, velocity)
    if not points:
        placed, moved = values, values
    else:
        placed, moved = preparer.place(values)
    views = [placed]
    if velocity:
        views.append(np.diff(moved, axis=0, prepend=moved[:1]).astype(np.float32))
    return views


def view_dims(width: int, points: int = 0, velocity: bool = False) -> list[int]:
    """How many values each view of a row of `width` channels has. Raises DataError."""
    if points and width % points:
        raise DataError(
            f"series.points: {width} columns are no whole number of points of {points} "
            "coordinates; set series.points=0 for columns that are no points"
        )
    return [width, width + points] if velocity else [width]


class RowPreparer:
    """`prepare`, one row at a time."""

    def __init__(self, width: int, points: int = 0, velocity: bool = False) -> None:
        self.dims = view_dims(width, points, velocity)
        self.points, self.velocity = points, velocity
        self._spread_sum = 0.0
        self._rows = 0
        self._before: Values | None = None

    def push(self, row: Values) -> Values:
        """Row (D,) -> its views side by side, (sum of dims,)."""
        rows = row[None]
        placed, moved = self.place(rows) if self.points else (rows, rows)
        views = [placed]
        if self.velocity:
            views.append(moved - (moved if self._before is None else self._before))
            self._before = moved
        side_by_side: Values = np.concatenate(views, axis=1)[0]
        return side_by_side

    def place(self, values: Values) -> tuple[Values, Values]:
        """(T, D) -> points around their mean (T, D); the same with the mean's own place behind
        (T, D + coordinates). Missing coordinates stay missing and do not move the mean.
        """
        shaped = values.reshape(len(values), -1, self.points).astype(np.float64)
        known = np.isfinite(shaped)
        count = np.maximum(known.sum(1), 1)
        centre = np.where(known, shaped, 0.0).sum(1) / count
        around = shaped - centre[:, None]
        squares = np.where(known, around, 0.0) ** 2
        spread = np.sqrt(squares.sum((1, 2)) / np.maximum(known.all(2).sum(1), 1))
        rows = self._rows + np.arange(1, len(values) + 1)
        sums = self._spread_sum + np.cumsum(spread)
        self._rows, self._spread_sum = int(rows[-1]), float(sums[-1])
        scale = np.maximum(sums / rows, 1e-6)[:, None]
        placed = (around.reshape(values.shape) / scale).astype(np.float32)
        return placed, np.concatenate([placed, (centre / scale).astype(np.float32)], axis=1)
