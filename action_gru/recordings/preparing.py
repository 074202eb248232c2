"""What is made of a measured row before a model reads it, from this row and earlier ones only.

A whole sequence and its rows one by one give the same values. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import DataError

Values = NDArray[np.float32]


def prepare(
    values: Values,
    points: int = 0,
    velocity: bool = False,
    averages: Sequence[float] = (),
    elapsed: NDArray[np.float64] | None = None,
) -> list[Values]:
    """The views of a sequence (T, D): its values and, if asked for, how they change.

    averages: the values then have beside them their running averages over about so many rows.
    elapsed (T,): how long the sequence has run at each row; the last column of the values.

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
    columns = [placed, *running_averages(placed, averages)]
    if elapsed is not None:
        columns.append(elapsed.astype(np.float32)[:, None])
    views = [np.concatenate(columns, axis=1)]
    if velocity:
        views.append(np.diff(moved, axis=0, prepend=moved[:1]).astype(np.float32))
    return views


def view_dims(
    width: int,
    points: int = 0,
    velocity: bool = False,
    averages: Sequence[float] = (),
    elapsed: bool = False,
) -> list[int]:
    """How many values each view of a row of `width` channels has. Raises DataError."""
    if points and width % points:
        raise DataError(
            f"series.points: {width} columns are no whole number of points of {points} "
            "coordinates; set series.points=0 for columns that are no points"
        )
    values = width * (1 + len(averages)) + elapsed
    return [values, width + points] if velocity else [values]


def running_averages(values: Values, spans: Sequence[float]) -> list[Values]:
    """(T, D) -> for each span (T, D).

    Exponential: a row that is `span` rows old weighs about an eighth of the newest. The first rows
    average over what there is. A missing value counts for nothing; before the first, it is missing.
    """
    averager = RunningAverages(values.shape[1], spans)
    if not spans:
        return []
    rows = np.stack([averager.push(row) for row in values])
    return list(np.split(rows, len(spans), axis=1))


class RunningAverages:
    """`running_averages`, one row at a time."""

    def __init__(self, width: int, spans: Sequence[float]) -> None:
        self._kept = np.array([1 - 2 / (span + 1) for span in spans])[:, None]
        self._total = np.zeros((len(spans), width))
        self._weight = np.zeros((len(spans), width))

    def push(self, row: Values) -> Values:
        """Row (D,) -> the averages side by side, (spans * D,)."""
        known = np.isfinite(row)
        self._total = self._total * self._kept + np.where(known, row, 0.0)
        self._weight = self._weight * self._kept + known
        average = np.full_like(self._total, np.nan)
        np.divide(self._total, self._weight, out=average, where=self._weight > 0)
        return average.ravel().astype(np.float32)


class RowPreparer:
    """`prepare`, one row at a time."""

    def __init__(
        self,
        width: int,
        points: int = 0,
        velocity: bool = False,
        averages: Sequence[float] = (),
        elapsed: bool = False,
    ) -> None:
        self.dims = view_dims(width, points, velocity, averages, elapsed)
        self.points, self.velocity = points, velocity
        self._averages = RunningAverages(width, averages) if averages else None
        self._elapsed, self._start = elapsed, 0.0
        self._started = False
        self._spread_sum = 0.0
        self._rows = 0
        self._before: Values | None = None

    def push(self, row: Values, time: float = 0.0) -> Values:
        """Row (D,), its time -> its views side by side, (sum of dims,)."""
        if not self._started:
            self._start, self._started = time, True
        rows = row[None]
        placed, moved = self.place(rows) if self.points else (rows, rows)
        views = [placed]
        if self._averages is not None:
            views.append(self._averages.push(placed[0])[None])
        if self._elapsed:
            views.append(np.array([[time - self._start]], dtype=np.float32))
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
