"""One measured sequence as a file gives it, and what must be true of it. Knows no file format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from action_gru.channels import ROWS, STAMPS
from action_gru.errors import DataError

LARGEST = float(np.finfo(np.float32).max)  # a measured value beyond it would be infinite


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


@dataclass(frozen=True)
class Recordings:
    """All recordings of one data set; they have the same channels, in the same order.

    unit: what their times are counted in (see channels).
    """

    channels: tuple[str, ...]
    items: tuple[Recording, ...]
    unit: str = ROWS

    @property
    def missing(self) -> int:
        """How many values are missing."""
        return sum(int(np.isnan(item.values).sum()) for item in self.items)


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
