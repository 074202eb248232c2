"""Text cells to numbers and instants. Knows nothing of tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import DataError
from action_gru.recordings.recording import LARGEST

MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})


def number(text: object) -> float:
    """The value of a cell, NaN where it is missing. Raises ValueError for anything else."""
    if isinstance(text, str):
        if text.strip().lower() in MISSING:
            return math.nan
        value = float(text)
    elif text is None:
        return math.nan
    else:
        value = float(text)  # type: ignore[arg-type]
    if math.isinf(value):
        raise ValueError("infinite")
    return value


def instant(text: object) -> float:
    """A time: a number as it stands, a date (ISO 8601) in seconds since 1970, UTC by default."""
    try:
        value = number(text)
    except (TypeError, ValueError):
        moment = text if isinstance(text, datetime) else datetime.fromisoformat(str(text).strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        value = moment.timestamp()
    if not math.isfinite(value):
        raise ValueError("missing")
    return value


def is_date(text: object) -> bool:
    """Whether `instant` reads it as a date, in seconds."""
    try:
        number(text)
    except (TypeError, ValueError):
        return True
    return False


def number_column(cells: Sequence[object], places: Sequence[str], name: str) -> NDArray[np.float32]:
    """A channel's cells, NaN where missing. Raises DataError that names the row."""
    try:  # the whole column at once, where no cell is odd
        values = np.asarray(cells, dtype=object).astype(np.float64)
        if not (np.abs(values) > LARGEST).any():
            return values.astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        pass
    found = np.empty(len(cells), dtype=np.float32)
    for index, cell in enumerate(cells):
        try:
            value = number(cell)
            if abs(value) > LARGEST:
                raise ValueError("too large for float32")
            found[index] = value
        except (TypeError, ValueError, OverflowError):
            raise DataError(
                f"{places[index]}: column '{name}' holds '{str(cell)[:40]}', which is no number; "
                "mend the cell, leave it empty where the value is missing, or leave the column "
                "out with series.channels"
            ) from None
    return found


def time_column(cells: Sequence[object], places: Sequence[str], name: str) -> NDArray[np.float64]:
    """The instants of a column. Raises DataError that names the row."""
    found = np.empty(len(cells), dtype=np.float64)
    for index, cell in enumerate(cells):
        try:
            found[index] = instant(cell)
        except (TypeError, ValueError, OverflowError):
            raise DataError(
                f"{places[index]}: column '{name}' holds '{str(cell)[:40]}'; a time is a number "
                "or a date such as 2024-05-01T12:30:00"
            ) from None
    return found
