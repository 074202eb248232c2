"""What is made of a measured row before a model reads it, from this row and earlier ones only.

A whole sequence and its rows one by one give the same values. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from action_gru.config.inputs import SeriesSection
from action_gru.core.errors import DataError
from action_gru.dataset.channels import ChannelSpec

Values = NDArray[np.float32]


class Preparer:
    """Makes the views of one sequence: its values and, with velocity, how they change.

    averages: the values then have beside them their running averages over about so many rows.
    elapsed: the last column of the values is how long the sequence has run at each row.

    points: the columns are points of so many coordinates (x, y or x, y, z). Their mean is taken out
    of each row, and they are divided by their usual distance from it, averaged over the rows so
    far: where somebody stands and how large they are no longer counts. The change then has the
    mean's own movement as its last columns.

    dims: how many values each view has. Raises DataError for columns that are no whole points.
    """

    def __init__(
        self,
        width: int,
        points: int = 0,
        velocity: bool = False,
        averages: Sequence[float] = (),
        elapsed: bool = False,
    ) -> None:
        if points and width % points:
            raise DataError(
                f"series.points: {width} columns are no whole number of points of {points} "
                "coordinates; set series.points=0 for columns that are no points"
            )
        self.points, self.velocity, self.elapsed = points, velocity, elapsed
        values = width * (1 + len(averages)) + elapsed
        self.dims = [values, width + points] if velocity else [values]
        self._averages = RunningAverages(width, averages) if averages else None
        self._start: float | None = None
        self._before: Values | None = None
        self._spread_sum = 0.0
        self._rows = 0

    def push(self, rows: Values, times: NDArray[np.float64]) -> Values:
        """The next rows (T, D) at times (T,) -> their views side by side, (T, sum of dims)."""
        self._start = float(times[0]) if self._start is None else self._start
        placed, moved = self._place(rows) if self.points else (rows, rows)
        views = [placed]
        if self._averages is not None:
            views.append(self._averages.push(placed))
        if self.elapsed:
            views.append((times - self._start).astype(np.float32)[:, None])
        if self.velocity:
            before = moved[:1] if self._before is None else self._before
            views.append(np.diff(moved, axis=0, prepend=before).astype(np.float32))
            self._before = moved[-1:]
        return np.concatenate(views, axis=1)

    def views(self, rows: Values, times: NDArray[np.float64]) -> list[Values]:
        """The views (T, dim) of a whole sequence."""
        return np.split(self.push(rows, times), self.dims[:1], axis=1)[: len(self.dims)]

    def _place(self, values: Values) -> tuple[Values, Values]:
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


class RunningAverages:
    """Exponential averages: a row that is `span` rows old weighs about an eighth of the newest.

    The first rows average over what there is. A missing value counts for nothing; before the first,
    the average is missing.
    """

    def __init__(self, width: int, spans: Sequence[float]) -> None:
        self._kept = np.array([1 - 2 / (span + 1) for span in spans])[:, None]
        self._total = np.zeros((len(spans), width))
        self._weight = np.zeros((len(spans), width))

    def push(self, rows: Values) -> Values:
        """Rows (T, D) -> the averages of each span side by side, (T, spans * D)."""
        return np.stack([self._push(row) for row in rows])

    def _push(self, row: Values) -> Values:
        known = np.isfinite(row)
        self._total = self._total * self._kept + np.where(known, row, 0.0)
        self._weight = self._weight * self._kept + known
        average = np.full_like(self._total, np.nan)
        np.divide(self._total, self._weight, out=average, where=self._weight > 0)
        return average.ravel().astype(np.float32)


def preparer_of(series: SeriesSection, width: int) -> Preparer:
    """The preparer of a sequence of `width` channels, as the `series` section says."""
    return Preparer(width, series.points, series.velocity, series.averages, series.elapsed)


def specs_of(series: SeriesSection, channels: tuple[str, ...]) -> tuple[ChannelSpec, ...]:
    """What each view of these channels is, as the `series` section prepares them."""
    asked = {
        f"points of {series.points}": series.points,
        f"averages over {', '.join(f'{span:g}' for span in series.averages)}": series.averages,
        "elapsed": series.elapsed,
    }
    words = "; ".join(word for word, is_asked in asked.items() if is_asked) or "none"
    dims = preparer_of(series, len(channels)).dims
    return tuple(
        ChannelSpec(view, channels, dim, words)
        for view, dim in zip(("values", "velocity"), dims, strict=False)
    )
