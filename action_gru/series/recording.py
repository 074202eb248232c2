"""One measured sequence, what must be true of it, and the windows it is cut into. Knows no file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import DataError
from action_gru.dataset.channels import ROWS, STAMPS


@dataclass(frozen=True)
class Recording:
    """Rows of one thing in the order of time. NaN is a missing value.

    values (T, D) float32, times (T,) growing. labels: one a row, or one for all rows.
    remaining (T,): how long it still lasts after each row, in the unit of time, where known.
    """

    id: str
    values: NDArray[np.float32]
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


def merge(parts: Sequence[tuple[str, Recordings]]) -> Recordings:
    """Several files as one data set: (name, what it holds).

    Raises DataError where channels differ or an id stands in two files.
    """
    first, found = parts[0]
    home: dict[str, str] = {}
    for name, recordings in parts:
        if recordings.channels != found.channels:
            raise DataError(
                f"{name}: has the channels {', '.join(recordings.channels)}, {first} has "
                f"{', '.join(found.channels)}; files of one data set need the same, in this order"
            )
        for item in recordings.items:
            if home.setdefault(item.id, name) != name:
                raise DataError(
                    f"id '{item.id}' stands in {home[item.id]} and in {name}; give each its own id"
                )
    units = {part.unit for _, part in parts}
    items = tuple(item for _, part in parts for item in part.items)
    return Recordings(found.channels, items, found.unit if len(units) == 1 else STAMPS)


def check_times(
    times: NDArray[np.float64], shown: Sequence[object], places: Sequence[str], what: str
) -> None:
    """Raise DataError unless times grow. shown: as they were written; places: where."""
    steps = np.diff(times)
    if (steps > 0).all():
        return
    row = int(np.argmax(~(steps > 0))) + 1
    problem = "the same time as" if steps[row - 1] == 0 else "a time before"
    raise DataError(
        f"{places[row]}: {what} has {problem} the row above it ({shown[row]} after "
        f"{shown[row - 1]}); sort the rows of each id by time and keep one row a time"
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
