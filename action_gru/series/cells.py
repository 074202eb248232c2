"""Text cells to numbers and instants. Knows nothing of tables."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from action_gru.csv_dialect import DecimalMark
from action_gru.errors import DataError
from action_gru.series.recording import LARGEST

MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"})
A_TIME = "a time is a number or a date such as 2024-05-01T12:30:00"
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})\b")  # with dots the day is always first


def number(cell: object, mark: DecimalMark) -> float:
    """The value of a cell, NaN where it is missing. Raises ValueError with what it is instead."""
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING):
        return math.nan
    text = mark.plain(cell) if isinstance(cell, str) else cell
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError("which is no number") from None
    if math.isinf(value):
        raise ValueError("which is infinite")
    return value


def measured(cell: object, mark: DecimalMark) -> float:
    """The same for a value that is kept as float32."""
    value = number(cell, mark)
    if abs(value) > LARGEST:
        raise ValueError("which is too large for float32")
    return value


def instant(cell: object, mark: DecimalMark) -> tuple[float, bool]:
    """A time, and whether it is a date: ISO 8601 or 31.12.2024, in seconds since 1970.

    A number is taken as it stands; a date is in UTC if it names no zone. Raises ValueError.
    """
    try:
        value, is_date = number(cell, mark), False
    except ValueError as error:
        moment = _moment(cell)
        if moment is None:
            raise ValueError(f"{error}; {A_TIME}") from None
        value, is_date = moment.timestamp(), True
    if math.isnan(value):
        raise ValueError(f"which is missing; {A_TIME}")
    return value, is_date


def _moment(cell: object) -> datetime | None:
    if isinstance(cell, datetime):
        moment = cell
    else:
        text = _DAY_FIRST.sub(lambda d: f"{d[3]}-{d[2]:0>2}-{d[1]:0>2}", str(cell).strip(), count=1)
        try:
            moment = datetime.fromisoformat(text.upper())
        except ValueError:
            return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def number_column(
    cells: Sequence[object], places: Sequence[str], name: str, mark: DecimalMark
) -> NDArray[np.float32]:
    """A channel's cells, NaN where missing. Raises DataError that names the row."""
    try:  # the whole column at once, where no cell is odd
        values = np.asarray(cells, dtype=object).astype(np.float64)
        is_plain = mark.mark == "." or not any("." in str(cell) for cell in cells)
        if is_plain and not (np.abs(values) > LARGEST).any():
            return values.astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        pass
    found = np.empty(len(cells), dtype=np.float32)
    for index, cell in enumerate(cells):
        try:
            found[index] = measured(cell, mark)
        except ValueError as error:
            raise DataError(
                f"{places[index]}: column '{name}' holds '{str(cell)[:40]}', {error}; "
                "mend the cell, leave it empty where the value is missing, or leave the column "
                "out with series.channels"
            ) from None
    return found


def time_column(
    cells: Sequence[object], places: Sequence[str], name: str, mark: DecimalMark
) -> tuple[NDArray[np.float64], bool]:
    """The instants of a column, and whether they are dates. Raises DataError that names the row."""
    found = np.empty(len(cells), dtype=np.float64)
    are_dates = False
    for index, cell in enumerate(cells):
        where = f"{places[index]}: column '{name}' holds '{str(cell)[:40]}'"
        try:
            found[index], is_date = instant(cell, mark)
        except ValueError as error:
            raise DataError(f"{where}, {error}") from None
        if index and is_date != are_dates:
            kinds = ("a date", "numbers") if is_date else ("a number", "dates")
            raise DataError(f"{where}, {kinds[0]} where the rows above have {kinds[1]}")
        are_dates = is_date
    return found, are_dates
