"""CSV and Parquet in long form: one row an instant, an id that says whose it is.

    id,time,temperature,pressure,label
    pump-1,0,61.2,4.1,ok

A CSV may have `;`, tabs or `|` for its commas, and then commas in its numbers. `read_long_table`
reads a file as a whole, `arriving_rows` lines as they arrive; the `series` section names the
columns. Knows nothing of targets that are derived, or of windows.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from action_gru.config.inputs import SeriesSection
from action_gru.core.csv_dialect import SEPARATORS, CellReader, find_header, open_table
from action_gru.core.errors import DataError, MissingExtraError
from action_gru.core.text import counted
from action_gru.dataset.channels import SECONDS
from action_gru.series.recording import Recording, Recordings, only, time_problem

ROLES = ("id", "time", "label", "group", "split", "remaining")  # columns that are no channel
MOST_CELLS, MOST_TABLE_BYTES = 50_000_000, 2 << 30
LONGEST_LINE = 1_000_000
_MEND = (
    "; mend the cell, leave it empty where the value is missing, or leave the column out with "
    "series.channels"
)


class Row(NamedTuple):
    """One row: whose, when, what (D,) float32 with NaN where missing."""

    id: str
    time: float
    values: NDArray[np.float32]


class RowParser:
    """Cells of one table to rows. Raises DataError for a header that does not fit."""

    def __init__(
        self,
        names: Sequence[str],
        series: SeriesSection,
        where: str,
        separator: str = ",",
        mend: str = "",
    ) -> None:
        self.column = {role: getattr(series, role) for role in ROLES}
        self.index = {
            role: names.index(name) for role, name in self.column.items() if name in names
        }
        roles = set(self.column.values())
        self.channels = series.channels or tuple(name for name in names if name not in roles)
        _check_header(names, self.column, self.channels, where)
        self.cells = CellReader(separator, mend)
        self._channels = [names.index(name) for name in self.channels]

    def parse(self, cells: Sequence[object]) -> Row:
        """One row. Raises ValueError that names the column and the cell."""
        name = self.text(cells, "id")
        if not name:
            raise ValueError(f"the column '{self.column['id']}' is empty")
        values = self.cells.values([cells[index] for index in self._channels], self.channels)
        time = self.cells.instant(cells[self.index["time"]], self.column["time"])
        return Row(name, time, np.array(values, dtype=np.float32))

    def text(self, cells: Sequence[object], role: str) -> str:
        """The text of a cell; '' where the cell is empty or the table has no such column."""
        cell = cells[self.index[role]] if role in self.index else None
        return "" if cell is None else str(cell).strip()

    def remaining(self, place: str, cells: Sequence[object]) -> float:
        """How long the id lasts after the row. Raises DataError."""
        column = self.column["remaining"]
        try:
            value = self.cells.number(cells[self.index["remaining"]], column)
        except ValueError as error:
            raise DataError(f"{place}: {error}") from error
        if math.isnan(value):
            raise DataError(f"{place}: the column '{column}' is empty")
        return value


def _check_header(
    names: Sequence[str], column: Mapping[str, str], channels: Sequence[str], where: str
) -> None:
    """Raise DataError unless each column has its own name and none is missing. column: by role."""
    problems = [f"column {index} has no name" for index, name in enumerate(names, 1) if not name]
    problems += [f"the column '{name}' appears twice" for name in names if names.count(name) > 1]
    if problems or not names:
        raise DataError(
            f"{where}: {problems[0] if names else 'is empty'}; the first line is the header, such "
            "as id,time,speed"
        )
    wanted = {column["id"]: "series.id", column["time"]: "series.time"}
    for name, key in (*wanted.items(), *((name, "series.channels") for name in channels)):
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            if len(names) == 1:
                hint = f"; separate the columns by one of {' '.join(map(repr, SEPARATORS))}"
            raise DataError(f"{where}: no column '{name}' ({key}); it has {', '.join(names)}{hint}")
    if not channels:
        raise DataError(f"{where}: has no channel, only the columns {', '.join(names)}")
    if taken := sorted(set(channels) & set(column.values())):
        raise DataError(f"{where}: series.channels names '{taken[0]}', which is no measurement")


Rows = Iterator[tuple[str, Sequence[object]]]  # the place of a row, for errors, and its cells


def read_long_table(path: Path, series: SeriesSection) -> Recordings:
    """The recordings of a CSV or a .parquet file, in the order in which their ids first appear.

    Rows of several ids may be interleaved; the rows of each must grow in time. Raises DataError.
    """
    is_parquet = path.suffix.lower() in (".parquet", ".pq")
    by_id: dict[str, list[tuple[str, Sequence[object], Row]]] = {}
    with _open_parquet(path) if is_parquet else _open_csv(path, series) as table:
        names, separator, rows = table
        parser = RowParser(names, series, str(path), separator, _MEND)
        for place, cells in rows:
            try:
                row = parser.parse(cells)
            except ValueError as error:
                raise DataError(f"{place}: {error}") from error
            by_id.setdefault(row.id, []).append((place, cells, row))
    if not by_id:
        raise DataError(f"{path}: holds a header and no row")
    items = tuple(_recording(path, entries, parser) for entries in by_id.values())
    return Recordings(parser.channels, items, SECONDS if parser.cells.are_dates else series.time)


def _recording(
    path: Path, entries: Sequence[tuple[str, Sequence[object], Row]], parser: RowParser
) -> Recording:
    places, cells, rows = zip(*entries, strict=True)
    what = f"id '{rows[0].id}'"
    times = np.array([row.time for row in rows])
    if problem := time_problem(times, [row[parser.index["time"]] for row in cells]):
        raise DataError(f"{places[problem[0]]}: {what} has {problem[1]}")
    remaining = None
    if "remaining" in parser.index:
        remaining = np.array([parser.remaining(*row) for row in zip(places, cells, strict=True)])
    return Recording(
        rows[0].id,
        np.stack([row.values for row in rows]),
        times,
        tuple(parser.text(row, "label") for row in cells),
        only((parser.text(row, "group") for row in cells), f"{path}: {what} is in two groups"),
        only((parser.text(row, "split") for row in cells), f"{path}: {what} is in two splits"),
        remaining,
    )


@contextmanager
def _open_csv(path: Path, series: SeriesSection) -> Iterator[tuple[list[str], str, Rows]]:
    """The columns, the separator and the rows, read one by one."""
    try:
        with open_table(path, (series.id.lower(), series.time.lower())) as table:
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


def arriving_rows(
    lines: Iterable[str], series: SeriesSection, channels: tuple[str, ...], source: str
) -> Iterator[Row | str]:
    """Each good row of CSV lines, or the reason why a row is left out. Keeps no row.

    The first line is the header; it must have the channels that a model was trained on, in any
    order, and may have more columns. Raises DataError for a header that does not fit.
    """
    lines = iter(lines)
    header, separator, before = find_header(lines, (series.id.lower(), series.time.lower()))
    if not header:
        return
    names = [name.strip("\ufeff \r\n") for name in next(csv.reader([header], delimiter=separator))]
    trained = series.model_copy(update={"channels": channels})
    parser = RowParser(names, trained, source, separator)
    for line, text in enumerate(lines, start=before + 2):
        if not text.strip():
            continue
        try:
            if len(text) > LONGEST_LINE:
                raise ValueError(f"a line of {len(text)} characters")
            cells = next(csv.reader([text], delimiter=separator, strict=True))
            if len(cells) != len(names):
                raise ValueError(f"has {counted(len(cells), 'field')}, the header has {len(names)}")
            if any(cells):
                yield parser.parse(cells)
        except (ValueError, csv.Error) as error:
            yield f"{source}, line {line}: {error}"
