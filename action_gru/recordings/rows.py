"""Reads rows of a long CSV one by one, as they arrive: names what is bad, and goes on.

Keeps no row. Knows no model.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from action_gru.csv_dialect import DecimalMark, announced_separator, separator_of
from action_gru.recordings.cells import instant, measured
from action_gru.recordings.long_table import (
    LongColumns,
    channel_names,
    header_names,
    require_columns,
)

LONGEST_LINE = 1_000_000
Value = TypeVar("Value")


class Row(NamedTuple):
    """One row: whose, when, what (D,) float32 with NaN where missing."""

    id: str
    time: float
    values: NDArray[np.float32]


@dataclass
class RowReader:
    """Iterates over the good rows of CSV lines; the first line is the header.

    The header tells what separates the fields, the first number with decimals their mark.
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
    _separator: str | None = field(default=None, init=False)
    _mark: DecimalMark | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[Row | str]:
        """Each good row, or the reason why a row is left out."""
        names: list[str] = []
        for line, text in enumerate(self.lines, start=1):
            where = f"{self.source}, line {line}"
            if not text.strip() or self._announces(text):
                continue
            if not names:
                names = self._header(text)
                continue
            try:
                fields = self._fields(text, len(names))
                if any(fields):
                    yield self._row(dict(zip(names, fields, strict=True)))
            except (ValueError, csv.Error) as error:
                self.bad += 1
                yield f"{where}: {error}"

    def _announces(self, text: str) -> bool:
        """Whether it is the line `sep=;`, which may stand before the header."""
        said = None if self._mark else announced_separator(text)
        self._separator = said or self._separator
        return said is not None

    def _header(self, text: str) -> list[str]:
        wanted = self.columns.id.lower(), self.columns.time.lower()
        self._separator = self._separator or separator_of(text, wanted)
        self._mark = DecimalMark(self._separator)
        fields = next(csv.reader([text.lstrip("\ufeff")], delimiter=self._separator))
        names = header_names(fields, self.source)
        channel_names(names, replace(self.columns, channels=self.channels), self.source)
        require_columns(names, self.columns, self.source)
        return names

    def _fields(self, text: str, count: int) -> list[str]:
        if len(text) > LONGEST_LINE:
            raise ValueError(f"a line of {len(text)} characters")
        assert self._separator is not None
        fields = next(csv.reader([text], delimiter=self._separator, strict=True))
        if len(fields) != count:
            raise ValueError(f"has {len(fields)} fields, the header has {count}")
        return fields

    def _row(self, cells: dict[str, str]) -> Row:
        name = cells[self.columns.id].strip()
        if not name:
            raise ValueError(f"the column '{self.columns.id}' is empty")
        values = np.array([self._value(cells, channel, measured) for channel in self.channels])
        time, _ = self._value(cells, self.columns.time, instant)
        self.rows += 1
        self.missing += int(np.isnan(values).sum())
        return Row(name, time, values.astype(np.float32))

    def _value(
        self, cells: dict[str, str], column: str, read: Callable[[object, DecimalMark], Value]
    ) -> Value:
        assert self._mark is not None
        try:
            return read(cells[column], self._mark)
        except ValueError as error:
            raise ValueError(f"column '{column}' holds '{cells[column][:40]}', {error}") from None
