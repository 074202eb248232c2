"""CSV and Parquet in long form: one row an instant, an id that says whose it is.

    id,time,temperature,pressure,label
    pump-1,0,61.2,4.1,ok

A CSV may have `;`, tabs or `|` for its commas, and then commas in its numbers. `read_long_table`
reads a file as a whole, `RowReader` lines as they arrive. Knows nothing of targets that are
derived, or of windows.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from action_gru.config.inputs import SeriesSection
from action_gru.core.csv_dialect import SEPARATORS, CellReader, find_header, open_table
from action_gru.core.errors import DataError, MissingExtraError
from action_gru.dataset.channels import SECONDS
from action_gru.series.recording import Recording, Recordings, check_times, only

MOST_CELLS, MOST_TABLE_BYTES = 50_000_000, 2 << 30
LONGEST_LINE = 1_000_000
_MEND = (
    "; mend the cell, leave it empty where the value is missing, or leave the column out with "
    "series.channels"
)


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


class Row(NamedTuple):
    """One row: whose, when, what (D,) float32 with NaN where missing."""

    id: str
    time: float
    values: NDArray[np.float32]


class RowParser:
    """Cells of one table to rows. Raises DataError for a header that does not fit.

    cells: reads further cells of the table in the same way.
    """

    def __init__(
        self,
        names: Sequence[str],
        columns: LongColumns,
        where: str,
        separator: str = ",",
        mend: str = "",
    ) -> None:
        _check_header(names, where)
        for key in ("id", "time"):
            if columns.roles[key] not in names:
                raise DataError(_unknown(columns.roles[key], names, f"series.{key}", where))
        self.channels = channel_names(names, columns, where)
        self.cells = CellReader(separator, mend)
        self._id, self._time = names.index(columns.id), names.index(columns.time)
        self._channels = [names.index(name) for name in self.channels]
        self._names = names

    def parse(self, cells: Sequence[object]) -> Row:
        """One row. Raises ValueError that names the column and the cell."""
        name = _text(cells[self._id])
        if not name:
            raise ValueError(f"the column '{self._names[self._id]}' is empty")
        values = self.cells.values([cells[index] for index in self._channels], self.channels)
        time = self.cells.instant(cells[self._time], self._names[self._time])
        return Row(name, time, np.array(values, dtype=np.float32))


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()


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


def _check_header(names: Sequence[str], where: str) -> None:
    """Raise DataError where a column stands twice or has no name."""
    problems = [f"column {index} has no name" for index, name in enumerate(names, 1) if not name]
    problems += [f"the column '{name}' stands twice" for name in names if names.count(name) > 1]
    if not names:
        problems = ["is empty"]
    if problems:
        raise DataError(
            f"{where}: {problems[0]}; the first line is the header, such as id,time,speed"
        )


Rows = Iterator[tuple[str, Sequence[object]]]  # the place of a row, for errors, and its cells


def read_long_table(path: Path, columns: LongColumns) -> Recordings:
    """The recordings of a CSV or a .parquet file, in the order in which their ids first appear.

    Rows of several ids may be interleaved; the rows of each must grow in time. Raises DataError.
    """
    is_parquet = path.suffix.lower() in (".parquet", ".pq")
    by_id: dict[str, list[tuple[str, Sequence[object], Row]]] = {}
    with _open_parquet(path) if is_parquet else _open_csv(path, columns) as table:
        names, separator, rows = table
        parser = RowParser(names, columns, str(path), separator, _MEND)
        for place, cells in rows:
            try:
                row = parser.parse(cells)
            except ValueError as error:
                raise DataError(f"{place}: {error}") from error
            by_id.setdefault(row.id, []).append((place, cells, row))
    if not by_id:
        raise DataError(f"{path}: holds a header and no row")
    index = {name: number for number, name in enumerate(names)}
    items = tuple(_recording(path, rows, columns, index, parser.cells) for rows in by_id.values())
    return Recordings(parser.channels, items, SECONDS if parser.cells.are_dates else columns.time)


def _recording(
    path: Path,
    entries: Sequence[tuple[str, Sequence[object], Row]],
    columns: LongColumns,
    index: Mapping[str, int],
    reader: CellReader,
) -> Recording:
    """The rows of one id. index: column name -> its number."""
    places, cells, rows = zip(*entries, strict=True)
    name = rows[0].id

    def texts(column: str) -> list[str]:
        return [_text(row[index[column]]) for row in cells] if column in index else []

    times = np.array([row.time for row in rows])
    check_times(times, [row[index[columns.time]] for row in cells], places, f"id '{name}'")
    remaining = None
    if columns.remaining in index:
        at = index[columns.remaining]
        left = [
            _remaining(place, row[at], columns.remaining, reader)
            for place, row in zip(places, cells, strict=True)
        ]
        remaining = np.array(left)
    return Recording(
        name,
        np.stack([row.values for row in rows]),
        times,
        tuple(texts(columns.label)),
        only(texts(columns.group), f"{path}: id '{name}' is in two groups"),
        only(texts(columns.split), f"{path}: id '{name}' is in two splits"),
        remaining,
    )


def _remaining(place: str, cell: object, name: str, reader: CellReader) -> float:
    try:
        value = reader.number(cell, name)
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error
    if math.isnan(value):
        raise DataError(f"{place}: the column '{name}' is empty")
    return value


@contextmanager
def _open_csv(path: Path, columns: LongColumns) -> Iterator[tuple[list[str], str, Rows]]:
    """The columns, the separator and the rows, read as they are asked for."""
    try:
        with open_table(path, (columns.id.lower(), columns.time.lower())) as table:
            rows = ((f"{path}, line {line}", cells) for line, cells in table.rows)
            yield table.names, table.separator, rows
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


@contextmanager
def _open_parquet(path: Path) -> Iterator[tuple[list[str], str, Rows]]:
    try:
        import polars
    except ImportError:
        raise MissingExtraError("polars", "parquet", f"reading {path.name}") from None
    try:
        # A kilobyte can stand for any number of equal rows: they are counted before they are made.
        lazy = polars.scan_parquet(path)
        count = lazy.select(polars.len()).collect().item() * len(lazy.collect_schema())
        frame = lazy.collect() if count <= MOST_CELLS else None
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from error
    if frame is None or frame.estimated_size() > MOST_TABLE_BYTES:
        raise DataError(
            f"{path}: unpacks to {count} cells from {path.stat().st_size} bytes, more than "
            f"{MOST_CELLS} cells or {MOST_TABLE_BYTES >> 30} GiB; divide it into several tables"
        )
    rows = enumerate(frame.iter_rows(), start=1)
    yield frame.columns, ",", ((f"{path}, row {number}", cells) for number, cells in rows)


@dataclass
class RowReader:
    """Iterates over the good rows of CSV lines as they arrive; the first line is the header.

    The header tells what separates the fields, the first number with decimals their mark.
    channels: those a model was trained on; the header must have them, in any order, and may have
    more columns. rows, missing and bad count the rows read, their missing values, and the rows
    left out. Keeps no row.
    """

    lines: Iterable[str]
    columns: LongColumns
    channels: tuple[str, ...]
    source: str = "stdin"
    rows: int = 0
    missing: int = 0
    bad: int = 0

    def __iter__(self) -> Iterator[Row | str]:
        """Each good row, or the reason why a row is left out. Raises DataError for the header."""
        lines = iter(self.lines)
        wanted = self.columns.id.lower(), self.columns.time.lower()
        header, separator, before = find_header(lines, wanted)
        if not header:
            return
        names = [
            name.strip("\ufeff \r\n") for name in next(csv.reader([header], delimiter=separator))
        ]
        columns = replace(self.columns, channels=self.channels)
        parser = RowParser(names, columns, self.source, separator)
        for line, text in enumerate(lines, start=before + 2):
            if not text.strip():
                continue
            try:
                if len(text) > LONGEST_LINE:
                    raise ValueError(f"a line of {len(text)} characters")
                cells = next(csv.reader([text], delimiter=separator, strict=True))
                if len(cells) != len(names):
                    raise ValueError(f"has {len(cells)} fields, the header has {len(names)}")
                if any(cells):
                    row = parser.parse(cells)
                    self.rows += 1
                    self.missing += int(np.isnan(row.values).sum())
                    yield row
            except (ValueError, csv.Error) as error:
                self.bad += 1
                yield f"{self.source}, line {line}: {error}"
