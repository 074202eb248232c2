"""One measured sequence: its rows, the windows it is cut into, the views that a model reads of it.

A view of a row depends on this row and earlier ones only: a whole sequence and its rows one by one
give the same values. Knows no file and no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from action_gru.config.inputs import SeriesSection
from action_gru.core.errors import DataError
from action_gru.dataset.channels import ROWS, ChannelSpec

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """Rows of one thing in the order of time. NaN is a missing value.

    values (T, D) float32, times (T,) growing. labels: one a row, or one for all rows.
    remaining (T,): how long it still lasts after each row, in the unit of time, where known.
    """

    id: str
    values: Values
    times: NDArray[np.float64]
    labels: tuple[str, ...] = ()
    group: str = ""
    split: str = ""
    remaining: NDArray[np.float64] | None = None

    def between(self, start: float, end: float) -> Recording:
        """The rows with start <= time < end. Needs labels of all rows, or none."""
        inside = (self.times >= start) & (self.times < end)
        return replace(
            self,
            values=self.values[inside],
            times=self.times[inside],
            labels=tuple(x for x, keep in zip(self.labels, inside, strict=False) if keep),
            remaining=None if self.remaining is None else self.remaining[inside],
        )


@dataclass(frozen=True)
class Recordings:
    """All recordings of one data set; they have the same channels, in the same order.

    unit: what their times are counted in (see channels).
    """

    channels: tuple[str, ...]
    items: tuple[Recording, ...]
    unit: str = ROWS


def time_problem(times: NDArray[np.float64], shown: Sequence[object]) -> tuple[int, str] | None:
    """The first row whose time is not after the one above, and why; None where times (T,) grow.

    shown: the times as they were written.
    """
    steps = np.diff(times)
    if (steps > 0).all():
        return None
    row = int(np.argmax(~(steps > 0))) + 1
    problem = "the same time as" if steps[row - 1] == 0 else "a time before"
    return row, (
        f"{problem} the row above it ({shown[row]} after {shown[row - 1]}); sort the rows of each "
        "id by time and keep one row a time"
    )


def only(values: Iterable[str], what: str) -> str:
    """The one value that all rows share; '' if none has one. Raises DataError for several."""
    found = list(dict.fromkeys(values))
    if len(found) > 1:
        raise DataError(f"{what}: {' and '.join(repr(one) for one in found[:3])}")
    return found[0] if found else ""


def window_bounds(
    times: NDArray[np.float64], window: float, stride: float
) -> list[tuple[float, float]]:
    """[start, end) of the windows of a sequence: one each stride, the last one up to its end.

    times (T,) growing. A sequence shorter than a window gives one. Windows without a row, in a gap,
    are left out. times 0 to 9, window 4, stride 4 -> (0, 4), (4, 8), (6, 10).
    """
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    first, end = float(times[0]), float(times[-1]) + usual
    starts = list(np.arange(first, max(end - window, first) + 1e-9, stride))
    if starts[-1] + window < end - 1e-9:
        starts.append(end - window)
    bounds = [(float(start), float(start + window)) for start in starts]
    return [b for b in bounds if ((times >= b[0]) & (times < b[1])).any()]


class Preparer:
    """Makes the views of one sequence: its values and, with spans, how they change.

    spans: over how many rows each, the shortest first; before the first row nothing had changed.
    averages: the values are followed by their running averages over about so many rows. elapsed:
    the last column of the values is how long the sequence has run. points: the columns are points
    of so many coordinates (x, y or x, y, z), read around their mean and divided by their usual
    distance from it, averaged over the rows so far, so that place and size no longer count; the
    change then has the mean's own movement as its last columns. origin: the number of a point that
    stands for the mean; unit: of two points, whose distance stands for that from the mean. These
    points measure the others and are not among the values.

    dims: how many values each view has. Raises DataError for columns that are no whole points.
    """

    def __init__(
        self,
        width: int,
        points: int = 0,
        spans: Sequence[int] = (),
        averages: Sequence[float] = (),
        elapsed: bool = False,
        origin: int | None = None,
        unit: tuple[int, int] | None = None,
    ) -> None:
        if points and width % points:
            raise DataError(
                f"series.points: {width} columns are no whole number of points of {points} "
                "coordinates; set series.points=0 for columns that are no points"
            )
        self.points, self.spans, self.elapsed = points, tuple(spans), elapsed
        self.origin, self.unit = origin, unit
        measures = {*(() if origin is None else (origin,)), *(unit or ())}
        kept = [column for column in range(width) if column // (points or 1) not in measures]
        if not kept:
            raise DataError("series.points: origin and unit leave no point that could be read")
        self._columns = kept if measures else slice(None)
        width = len(kept)
        values = width * (1 + len(averages)) + elapsed
        self.dims = [values, (width + points) * len(spans)] if spans else [values]
        self._kept = np.array([1 - 2 / (span + 1) for span in averages])[:, None]
        self._total = np.zeros((len(averages), width))
        self._weight = np.zeros((len(averages), width))
        self._start: float | None = None
        self._before: Values | None = None
        self._size_sum, self._rows = 0.0, 0

    def push(self, rows: Values, times: NDArray[np.float64]) -> Values:
        """The next rows (T, D) at times (T,) -> their views side by side, (T, sum of dims)."""
        self._start = float(times[0]) if self._start is None else self._start
        placed, moved = self._place(rows) if self.points else (rows, rows)
        views = [placed]
        if len(self._kept):
            views.append(np.stack([self._average(row) for row in placed]))
        if self.elapsed:
            views.append((times - self._start).astype(np.float32)[:, None])
        if self.spans:
            longest = self.spans[-1]
            before = moved[:1].repeat(longest, 0) if self._before is None else self._before
            known = np.concatenate([before, moved])
            ends = [len(known) - span for span in self.spans]
            changes = [moved - known[end - len(moved) : end] for end in ends]
            views.append(np.concatenate(changes, axis=1).astype(np.float32))
            self._before = known[-longest:]
        return np.concatenate(views, axis=1)

    def views(self, rows: Values, times: NDArray[np.float64]) -> list[Values]:
        """The views (T, dim) of a whole sequence."""
        return np.split(self.push(rows, times), self.dims[:1], axis=1)[: len(self.dims)]

    def _place(self, values: Values) -> tuple[Values, Values]:
        """(T, D) -> points around their mean or origin (T, D); the same with its own place behind
        (T, D + coordinates). Missing coordinates stay missing and do not move the mean; without the
        origin a row is missing, and before the first size all are.
        """
        shaped = values.reshape(len(values), -1, self.points).astype(np.float64)
        known = np.isfinite(shaped)
        count = np.maximum(known.sum(1), 1)
        centre = np.where(known, shaped, 0.0).sum(1) / count
        if self.origin is not None:
            centre = shaped[:, self.origin]
        around = shaped - centre[:, None]
        if self.unit is None:
            whole = np.asarray(known.all(2))
            squares = np.where(whole[:, :, None], around, 0.0) ** 2
            number = whole.sum(1)
            size = np.sqrt(squares.sum((1, 2)) / np.where(number, number, np.nan))
        else:
            first, second = self.unit
            size = np.sqrt(((shaped[:, first] - shaped[:, second]) ** 2).sum(1))
            size[size == 0] = np.nan  # two points in one place measure nothing
        counts = self._rows + np.cumsum(np.isfinite(size))
        sums = self._size_sum + np.cumsum(np.nan_to_num(size))
        self._rows, self._size_sum = int(counts[-1]), float(sums[-1])
        usual = np.maximum(sums / np.maximum(counts, 1), 1e-6)
        scale = np.where(counts > 0, usual, np.nan)[:, None]
        placed = (around.reshape(values.shape) / scale).astype(np.float32)[:, self._columns]
        return placed, np.concatenate([placed, (centre / scale).astype(np.float32)], axis=1)

    def _average(self, row: Values) -> Values:
        """A row (D,) -> the exponential averages of each span side by side, (spans * D,).

        A row that is `span` rows old weighs about an eighth of the newest. A missing value counts
        for nothing; before the first value, the average is missing.
        """
        known = np.isfinite(row)
        self._total = self._total * self._kept + np.where(known, row, 0.0)
        self._weight = self._weight * self._kept + known
        average = np.full_like(self._total, np.nan)
        np.divide(self._total, self._weight, out=average, where=self._weight > 0)
        return average.ravel().astype(np.float32)


def point_names(channels: Sequence[str], points: int) -> list[str]:
    """What the names of each point's columns begin or end with alike; else its number, from 0 on.

    hip_x, hip_y, head_x, head_y -> hip, head.
    """
    names = []
    for low in range(0, len(channels), points):
        columns = channels[low : low + points]
        ending = _beginning([column[::-1] for column in columns])[::-1]
        name = (_beginning(columns) or ending).strip(" _-.")
        names.append(name or str(low // points))
    return names


def _beginning(words: Sequence[str]) -> str:
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*words, strict=False))
    return "".join(letters[0] for letters in alike)


def preparer_of(series: SeriesSection, channels: Sequence[str]) -> Preparer:
    """The preparer of a sequence of these channels, as the `series` section says.

    Raises DataError where an origin or unit is no point of them.
    """
    names = point_names(channels, series.points) if series.points else []
    numbers = {name: number for number, name in enumerate(names)}
    origin = () if series.origin is None else (series.origin,)
    for key, asked in (("origin", origin), ("unit", series.unit or ())):
        if unknown := [name for name in asked if name not in numbers]:
            raise DataError(
                f"series.{key}: no point '{unknown[0]}'; by the names of their columns the points "
                f"are {', '.join(names)}"
            )
    return Preparer(
        len(channels),
        series.points,
        series.spans,
        series.averages,
        series.elapsed,
        numbers[series.origin] if series.origin is not None else None,
        (numbers[series.unit[0]], numbers[series.unit[1]]) if series.unit else None,
    )


def specs_of(series: SeriesSection, channels: tuple[str, ...]) -> tuple[ChannelSpec, ...]:
    """What each view of these channels is, as the `series` section prepares them."""
    words = {
        f"points of {series.points}": series.points,
        f"around {series.origin}": series.origin,
        f"in units of {' to '.join(series.unit or ())}": series.unit,
        f"changes over {', '.join(map(str, series.spans))}": series.spans not in ((), (1,)),
        f"averages over {', '.join(f'{span:g}' for span in series.averages)}": series.averages,
        "elapsed": series.elapsed,
    }
    preparation = "; ".join(word for word, is_set in words.items() if is_set) or "none"
    dims = preparer_of(series, channels).dims
    return tuple(
        ChannelSpec(view, channels, dim, preparation)
        for view, dim in zip(("values", "velocity"), dims, strict=False)
    )
