"""Text cells to numbers and instants. Knows nothing of tables."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from action_gru.csv_dialect import DecimalMark
from action_gru.series.recording import LARGEST

MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"})
A_TIME = "a time is a number or a date such as 2024-05-01T12:30:00"
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})\b")  # with dots the day is always first


class CellReader:
    """Reads the cells of one file, whose first ones decide how the others must be written.

    separator: of the fields. mend: what errors of numbers end in. are_dates: whether its times are
    dates; None before the first. Each method raises ValueError that names the column, the cell, and
    what it is instead.
    """

    def __init__(self, separator: str = ",", mend: str = "") -> None:
        self._mark, self._mend = DecimalMark(separator), mend
        self.are_dates: bool | None = None

    def values(self, cells: Sequence[object], names: Sequence[str]) -> NDArray[np.float32]:
        """A row's measured values (D,), NaN where one is missing."""
        try:  # all at once, where no cell is odd
            row = [float(cell) for cell in cells]  # type: ignore[arg-type]
            is_plain = self._mark.mark == "." or not any("." in str(cell) for cell in cells)
            if is_plain and min(row) >= -LARGEST and max(row) <= LARGEST:
                return np.array(row, dtype=np.float32)
        except (TypeError, ValueError, OverflowError):
            pass
        row = [self.number(cell, name) for cell, name in zip(cells, names, strict=True)]
        return np.array(row, dtype=np.float32)

    def number(self, cell: object, name: str) -> float:
        """The value of a cell, NaN where it is missing; it fits into float32."""
        try:
            value = self._number(cell)
            if abs(value) > LARGEST:
                raise ValueError("which is too large for float32")
        except ValueError as error:
            raise _named(cell, name, f"{error}{self._mend}") from None
        return value

    def instant(self, cell: object, name: str) -> float:
        """A time: a number as it stands, or a date, ISO 8601 or 31.12.2024, in seconds since 1970.

        A date is in UTC if it names no zone.
        """
        try:
            value, is_date = self._number(cell), False
        except ValueError as error:
            moment = _moment(cell)
            if moment is None:
                raise _named(cell, name, f"{error}; {A_TIME}") from None
            value, is_date = moment.timestamp(), True
        if math.isnan(value):
            raise _named(cell, name, f"which is missing; {A_TIME}")
        if self.are_dates not in (None, is_date):
            kinds = ("a date", "numbers") if is_date else ("a number", "dates")
            raise _named(cell, name, f"{kinds[0]} where the rows above have {kinds[1]}")
        self.are_dates = is_date
        return value

    def _number(self, cell: object) -> float:
        if cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING):
            return math.nan
        text = self._mark.plain(cell) if isinstance(cell, str) else cell
        try:
            value = float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            raise ValueError("which is no number") from None
        if math.isinf(value):
            raise ValueError("which is infinite")
        return value


def _named(cell: object, name: str, problem: str) -> ValueError:
    return ValueError(f"column '{name}' holds '{str(cell)[:40]}', {problem}")


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
