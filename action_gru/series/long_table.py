"""CSV and Parquet in long form: one row an instant, an id that says whose it is.

    id,time,temperature,pressure,label
    pump-1,0,61.2,4.1,ok

A CSV may have `;`, tabs or `|` for its commas, and then commas in its numbers. Read as a whole by
`read_long_table`, row by row as they arrive by `RowReader`. Knows nothing of targets that are
derived, or of windows.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from action_gru.channels import SECONDS
from action_gru.config.inputs import SeriesSection
from action_gru.csv_dialect import (
    SEPARATORS,
    DecimalMark,
    announced_separator,
    open_table,
    separator_of,
)
from action_gru.errors import DataError, MissingExtraError
from action_gru.series.cells import instant, measured, number_column, time_column
from action_gru.series.recording import Recording, Recordings, check_times, only

MOST_CELLS, MOST_TABLE_BYTES = 50_000_000, 2 << 30
LONGEST_LINE = 1_000_000
Value = TypeVar("Value")


@dataclass(frozen=True)
class LongColumns:
    """How the columns are called. channels None: every column that has no other part to play."""

    id: str = "id"
    time: str = "time"
    label: str = "label"
    group: str = "group"
    split: str = "split"
    remaining: str = "remaining"
    channels: tuple[str, ...] | None = None

    @property
    def roles(self) -> dict[str, str]:
        """Config key -> column name, of the columns that are no channel."""
        keys = ("id", "time", "label", "group", "split", "remaining")
        return {key: getattr(self, key) for key in keys}


def long_columns(series: SeriesSection) -> LongColumns:
    """How the columns of the config's tables are called."""
    s = series
    return LongColumns(s.id, s.time, s.label, s.group, s.split, s.remaining, s.channels)


@dataclass(frozen=True)
class _Table:
    """cells: column name -> one cell a row. places: how each row is called in an error.

    separator: what stood between the cells.
    """

    path: Path
    cells: dict[str, Sequence[object]]
    places: Sequence[str]
    separator: str = ","


def read_long_table(path: Path, columns: LongColumns) -> Recordings:
    """The recordings of a CSV or a .parquet file, in the order in which their ids first appear.

    Rows of several ids may be interleaved; the rows of each must grow in time. Raises DataError.
    """
    table = (
        _read_parquet(path)
        if path.suffix.lower() in (".parquet", ".pq")
        else _read_csv(path, columns)
    )
    require_columns(tuple(table.cells), columns, str(path))
    if not table.places:
        raise DataError(f"{path}: holds a header and no row")
    channels = channel_names(tuple(table.cells), columns, str(path))
    mark = DecimalMark(table.separator)
    values = np.stack(
        [number_column(table.cells[name], table.places, name, mark) for name in channels], axis=1
    )
    shown = table.cells[columns.time]
    times, are_dates = time_column(shown, table.places, columns.time, mark)
    remaining = _remaining(table, columns, mark)
    items = []
    for name, rows in _rows_by_id(table, columns.id).items():
        places = [table.places[row] for row in rows]
        check_times(times[rows], [shown[row] for row in rows], places, f"id '{name}'")
        items.append(
            Recording(
                name,
                values[rows],
                times[rows],
                tuple(_texts(table, columns.label, rows)),
                only(_texts(table, columns.group, rows), f"{path}: id '{name}' is in two groups"),
                only(_texts(table, columns.split, rows), f"{path}: id '{name}' is in two splits"),
                None if remaining is None else remaining[rows],
            )
        )
    return Recordings(channels, tuple(items), SECONDS if are_dates else columns.time)


def channel_names(names: Sequence[str], columns: LongColumns, where: str) -> tuple[str, ...]:
    """The channels among a table's columns, in the order asked for. Raises DataError."""
    roles = set(columns.roles.values())
    if columns.channels is None:
        found = tuple(name for name in names if name not in roles)
        if not found:
            raise DataError(f"{where}: has no channel, only the columns {', '.join(names)}")
        return found
    for name in columns.channels:
        if name not in names:
            raise DataError(_unknown(name, names, "series.channels", where))
        if name in roles:
            raise DataError(f"{where}: series.channels names '{name}', which is no measurement")
    return columns.channels


def _unknown(name: str, names: Sequence[str], key: str, where: str) -> str:
    close = get_close_matches(name, names, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    if len(names) == 1:
        hint = f"; separate the columns by one of {' '.join(map(repr, SEPARATORS))}"
    return f"{where}: no column '{name}' ({key}); it has {', '.join(names)}{hint}"


def require_columns(names: Sequence[str], columns: LongColumns, where: str) -> None:
    """Raise DataError unless there is a column of ids and one of times."""
    for key in ("id", "time"):
        if columns.roles[key] not in names:
            raise DataError(_unknown(columns.roles[key], names, f"series.{key}", where))


def _read_csv(path: Path, columns: LongColumns) -> _Table:
    rows, places = [], []
    try:
        with open_table(path, (columns.id.lower(), columns.time.lower())) as table:
            names = header_names(table.names, str(path))
            require_columns(names, columns, str(path))  # before a row is counted against it
            for line, row in table.rows:
                rows.append(row)
                places.append(f"{path}, line {line}")
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    by_column = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return _Table(path, dict(zip(names, by_column, strict=True)), places, table.separator)


def header_names(header: Sequence[str], where: str) -> list[str]:
    """The columns' names. Raises DataError where one stands twice or has none."""
    names = [name.strip() for name in header]
    problems = [f"column {index} has no name" for index, name in enumerate(names, 1) if not name]
    problems += [f"the column '{name}' stands twice" for name in names if names.count(name) > 1]
    if not names:
        problems = ["is empty"]
    if problems:
        raise DataError(
            f"{where}: {problems[0]}; the first line is the header, such as id,time,speed"
        )
    return names


def _read_parquet(path: Path) -> _Table:
    try:
        import polars
    except ImportError:
        raise MissingExtraError("polars", "parquet", f"reading {path.name}") from None
    try:
        # A kilobyte can stand for any number of equal rows: they are counted before they are made.
        rows = polars.scan_parquet(path)
        count = rows.select(polars.len()).collect().item() * len(rows.collect_schema())
        frame = rows.collect() if count <= MOST_CELLS else None
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from error
    if frame is None or frame.estimated_size() > MOST_TABLE_BYTES:
        raise DataError(
            f"{path}: unpacks to {count} cells from {path.stat().st_size} bytes, more than "
            f"{MOST_CELLS} cells or {MOST_TABLE_BYTES >> 30} GiB; divide it into several tables"
        )
    places = [f"{path}, row {index + 1}" for index in range(frame.height)]
    return _Table(path, {name: frame[name].to_list() for name in frame.columns}, places)


def _rows_by_id(table: _Table, column: str) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for index, cell in enumerate(table.cells[column]):
        name = "" if cell is None else str(cell).strip()
        if not name:
            raise DataError(f"{table.places[index]}: the column '{column}' is empty")
        rows.setdefault(name, []).append(index)
    return rows


def _texts(table: _Table, column: str, rows: Sequence[int]) -> list[str]:
    """The cells of a column that need not be there; nothing where it is not."""
    if column not in table.cells:
        return []
    cells = table.cells[column]
    return ["" if cells[row] is None else str(cells[row]).strip() for row in rows]


def _remaining(
    table: _Table, columns: LongColumns, mark: DecimalMark
) -> NDArray[np.float64] | None:
    if columns.remaining not in table.cells:
        return None
    cells = table.cells[columns.remaining]
    found = number_column(cells, table.places, columns.remaining, mark).astype(np.float64)
    if np.isnan(found).any():
        row = int(np.argmax(np.isnan(found)))
        raise DataError(f"{table.places[row]}: the column '{columns.remaining}' is empty")
    return found


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
