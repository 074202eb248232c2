"""Reads CSV and Parquet in long form: one row an instant, an id that says whose it is.

    id,time,temperature,pressure,label
    pump-1,0,61.2,4.1,ok

A CSV may have `;`, tabs or `|` for its commas, and then commas in its numbers.
Knows nothing of targets that are derived, or of windows.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from action_gru.channels import SECONDS
from action_gru.csv_dialect import SEPARATORS, DecimalMark, csv_rows
from action_gru.errors import DataError, MissingExtraError
from action_gru.recordings.cells import number_column, time_column
from action_gru.recordings.recording import Recording, Recordings, check_times, only

MOST_CELLS, MOST_TABLE_BYTES = 50_000_000, 2 << 30


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
    rows, lines, line = [], [], 0
    try:
        with csv_rows(path, (columns.id.lower(), columns.time.lower())) as (reader, separator):
            names = header_names(next(reader, []), str(path))
            require_columns(names, columns, str(path))  # before a row is counted against it
            for row in reader:
                line = reader.line_num
                if not any(row):  # spreadsheets write rows of separators alone
                    continue
                where = f"{path}, line {line}"
                if len(row) != len(names):
                    raise DataError(f"{where}: has {len(row)} fields, the header has {len(names)}")
                rows.append(row)
                lines.append(where)
    except UnicodeError as error:
        raise DataError(
            f"{path}: no text in UTF-8 or UTF-16 ({error}); save it as 'CSV UTF-8'"
        ) from error
    except csv.Error as error:
        raise DataError(f"{path}, after line {line}: not a CSV ({error})") from error
    by_column = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return _Table(path, dict(zip(names, by_column, strict=True)), lines, separator)


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
) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    if columns.remaining not in table.cells:
        return None
    cells = table.cells[columns.remaining]
    found = number_column(cells, table.places, columns.remaining, mark).astype(np.float64)
    if np.isnan(found).any():
        row = int(np.argmax(np.isnan(found)))
        raise DataError(f"{table.places[row]}: the column '{columns.remaining}' is empty")
    return found
