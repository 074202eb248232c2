"""Reads rows of a long CSV one by one, as they arrive: names what is bad, and goes on.

Keeps no row. Knows no model.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import DataError
from action_gru.recordings.cells import instant, number
from action_gru.recordings.long_table import LongColumns, channel_names

LONGEST_LINE = 1_000_000


class Row(NamedTuple):
    """One row: whose, when, what (D,) float32 with NaN where missing."""

    id: str
    time: float
    values: NDArray[np.float32]


@dataclass
class RowReader:
    """Iterates over the good rows of CSV lines; the first line is the header.

    channels: those a model was trained on; the header must have them, in any order, and may have
    more columns. rows, missing and bad count the rows read, their missing values, and the rows
    left out.
    """

    lines: Iterable[str]
    columns: LongColumns
    channels: tuple[str, ...]
    source: str = "stdin"
    rows: int = 0
    missing: int = 0
    bad: int = 0

    def __iter__(self) -> Iterator[Row | str]:
        """Each good row, or the reason why a row is left out."""
        names: list[str] = []
        for line, text in enumerate(self.lines, start=1):
            where = f"{self.source}, line {line}"
            if not text.strip():
                continue
            if not names:
                names = self._header(text)
                continue
            try:
                yield self._row(self._fields(text, len(names)), names)
            except (ValueError, TypeError, OverflowError, csv.Error) as error:
                self.bad += 1
                yield f"{where}: {error}"

    def _header(self, text: str) -> list[str]:
        names = [name.strip() for name in next(csv.reader([text.lstrip("\ufeff")]))]
        wanted = replace(self.columns, channels=self.channels)
        channel_names(names, wanted, self.source)
        for key in ("id", "time"):
            if self.columns.roles[key] not in names:
                raise DataError(
                    f"{self.source}: no column '{self.columns.roles[key]}' (series.{key}) in the "
                    f"header {','.join(names)[:200]}"
                )
        return names

    def _fields(self, text: str, count: int) -> list[str]:
        if len(text) > LONGEST_LINE:
            raise ValueError(f"a line of {len(text)} characters")
        fields = next(csv.reader([text], strict=True))
        if len(fields) != count:
            raise ValueError(f"has {len(fields)} fields, the header has {count}")
        return fields

    def _row(self, fields: list[str], names: list[str]) -> Row:
        cells = dict(zip(names, fields, strict=True))
        name = cells[self.columns.id].strip()
        if not name:
            raise ValueError(f"the column '{self.columns.id}' is empty")
        values = np.array([self._number(cells[channel], channel) for channel in self.channels])
        try:
            time = instant(cells[self.columns.time])
        except ValueError:
            raise ValueError(
                f"column '{self.columns.time}' holds '{cells[self.columns.time][:40]}', no time"
            ) from None
        self.rows += 1
        self.missing += int(np.isnan(values).sum())
        return Row(name, time, values.astype(np.float32))

    def _number(self, cell: str, channel: str) -> float:
        try:
            value = number(cell)
        except ValueError:
            raise ValueError(f"column '{channel}' holds '{cell[:40]}', no number") from None
        if abs(value) > np.finfo(np.float32).max:
            raise ValueError(f"column '{channel}' holds {cell[:40]}, too large a number")
        return value
