"""How a CSV is written: its encoding, what separates its fields, how its numbers and dates look.

Programs write `,` between fields; where `,` is the decimal mark, spreadsheets write `;`. Knows
nothing of columns. Raises ValueError, which the caller gives a file's name and line.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TextIO

from action_gru.core.text import counted

SEPARATORS = (",", ";", "\t", "|")
LARGEST = 3.4028234663852886e38  # of float32, as which measured values are kept
MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"})
A_TIME = "a time is a number or a date such as 2024-05-01T12:30:00"
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})\b")  # with dots the day is always first
_ANNOUNCED = re.compile(r'\ufeff?"?sep=([^"\w])"?', re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+((?P<mark>[.,])\d*)?|(?P<first>[.,])\d+)([eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}([.,'\u2019\u00a0\u202f ]\d{3})+([.,]\d+)?")


def open_csv(path: Path, errors: str = "strict") -> TextIO:
    """The text of a file in UTF-8, or in the encoding that its first bytes name. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(4)
    return path.open(encoding=encoding_of(head), errors=errors, newline="")


def encoding_of(head: bytes) -> str:
    """What the first four bytes of a text say: UTF-8, or what their byte order mark names."""
    return next((name for mark, name in _ENCODINGS if head.startswith(mark)), "utf-8")


@dataclass(frozen=True)
class CsvTable:
    """names: the header's cells, stripped. rows: line number and cells, as many as the header has.

    Rows that are blank or hold separators alone, and empty cells behind the header's last column,
    both of which spreadsheets write, are left out.
    """

    names: list[str]
    separator: str
    rows: Iterator[tuple[int, list[str]]]


@contextmanager
def open_table(
    path: Path, wanted: Collection[str] = (), needed: Collection[str] | None = None
) -> Iterator[CsvTable]:
    """A CSV whose rows are read one by one. wanted: see `separator_of`.

    needed: the columns that each row must reach, in lower case; what is cut off behind the last of
    them is empty, as Excel leaves it out. By default a row must be whole.

    Raises ValueError, then or while rows are read, for a file that is no CSV or no text.
    """
    line = 0

    def rows() -> Iterator[tuple[int, list[str]]]:
        nonlocal line
        least = len(names) if needed is None else _reach(names, needed)
        for row in reader:
            if not any(map(str.strip, row)):
                continue
            line = before + reader.line_num
            while len(row) > len(names) and not row[-1].strip():
                row.pop()
            if len(row) >= least:
                row += [""] * (len(names) - len(row))
            if len(row) != len(names):
                raise ValueError(
                    f"line {line}: has {counted(len(row), 'field')}, the header has {len(names)}; "
                    "put quotes around a field that holds the separator"
                )
            yield line, row

    with open_csv(path) as file:
        try:
            header, separator, before = find_header(file, wanted)
            reader = csv.reader(chain([header], file), delimiter=separator, strict=True)
            names = [name.replace("\ufeff", "").strip() for name in next(reader)]
            yield CsvTable(names, separator, rows())
        except UnicodeError as error:
            raise ValueError(
                f"no text in UTF-8 or UTF-16 ({error}); save it as 'CSV UTF-8'"
            ) from error
        except csv.Error as error:
            raise ValueError(f"after line {line}: not a CSV ({error})") from error


def _reach(names: Sequence[str], needed: Collection[str]) -> int:
    """How many cells a row needs to hold all the needed columns that the header has."""
    places = [place for place, name in enumerate(names, 1) if name.lower() in needed]
    return max(places, default=len(names))


def find_header(lines: Iterator[str], wanted: Collection[str] = ()) -> tuple[str, str, int]:
    """The header line, what separates its fields, and the number of lines before it.

    Those are blank, or `sep=;`, which Excel writes. wanted: see `separator_of`.
    """
    announced = None
    for before, line in enumerate(lines):
        if found := _ANNOUNCED.fullmatch(line.rstrip("\r\n")):
            announced = found[1]
        elif line.strip():
            return line, announced or separator_of(line, wanted), before
    return "", announced or ",", 0


def read_rows(
    path: Path, seconds: Collection[str], needed: Collection[str] | None = None
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns in small letters, and (line number, column -> text) of each row.

    seconds: columns of numbers, perhaps with decimal commas. needed: see `open_table`. Raises
    ValueError for a bad file.
    """
    with open_table(path, needed=needed) as table:
        names = [name.lower() for name in table.names]
        rows = [(line, dict(zip(names, row, strict=True))) for line, row in table.rows]
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"the column '{twice[0]}' appears twice; keep one of the two")
    cells, numbers = CellReader(table.separator), set(seconds) & set(names)
    for line, row in rows:
        for name in numbers:
            try:
                row[name] = cells.plain(row[name])
            except ValueError as error:
                raise ValueError(f"line {line}: {name} is '{row[name]}', {error}") from error
    return names, rows


def separator_of(header: str, wanted: Collection[str] = ()) -> str:
    """The mark that gives a header the most fields, of those that give all wanted names, if any do.

    wanted: names in lower case.
    """

    def fit(mark: str) -> tuple[bool, int]:
        fields = next(csv.reader([header], delimiter=mark), [])
        names = {name.strip("\ufeff \r\n").lower() for name in fields}
        return set(wanted) <= names, len(fields)

    return max(SEPARATORS, key=fit)


class CellReader:
    """Reads the cells of one file, whose first ones decide how the others must be written.

    The decimal mark is that of the first number with decimals; `.` where `,` separates fields.
    mend: the end of errors about numbers. are_dates: whether its times are dates; None before the
    first. Each method raises ValueError that names the column, the cell and the problem.
    """

    def __init__(self, separator: str = ",", mend: str = "") -> None:
        self._mark = "." if separator == "," else None
        self._others = "a comma-separated file has" if self._mark else "this file's numbers have"
        self._mend = mend
        self.are_dates: bool | None = None

    def values(self, cells: Sequence[object], names: Sequence[str]) -> list[float]:
        """A row's measured values, NaN where one is missing."""
        try:  # all at once, where no cell is odd
            row = [float(cell) for cell in cells]  # type: ignore[arg-type]
            is_plain = self._mark == "." or not any("." in str(cell) for cell in cells)
            if is_plain and min(row) >= -LARGEST and max(row) <= LARGEST:
                return row
        except (TypeError, ValueError, OverflowError):
            pass
        return [self.number(cell, name) for cell, name in zip(cells, names, strict=True)]

    def number(self, cell: object, name: str) -> float:
        """The value of a cell, NaN where it is missing; it fits into float32."""
        try:
            return self._number(cell, LARGEST)
        except ValueError as error:
            raise _named(cell, name, f"{error}{self._mend}") from None

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

    def plain(self, text: str) -> str:
        """The text of a number with `.`; any other text as it is. Raises ValueError."""
        found = _NUMBER.fullmatch(text.strip())
        if found is None and _GROUPED.fullmatch(text.strip()):
            raise ValueError("which has marks between thousands: write it without")
        mark = found and (found["mark"] or found["first"])
        if not mark:
            return text
        self._mark = self._mark or mark
        if mark != self._mark:
            raise ValueError(
                f"which has '{mark}' before its decimals, where {self._others} '{self._mark}': "
                "write all alike"
            )
        return text.replace(",", ".")

    def _number(self, cell: object, largest: float = math.inf) -> float:
        if cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING):
            return math.nan
        text = self.plain(cell) if isinstance(cell, str) else cell
        try:
            value = float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            raise ValueError("which is no number") from None
        if math.isinf(value) or abs(value) > largest:
            too_large = "which is too large for float32"
            raise ValueError("which is infinite" if math.isinf(value) else too_large)
        return value


def _named(cell: object, name: str, problem: str) -> ValueError:
    return ValueError(f"column '{name}' holds '{str(cell)[:40]}', {problem}")


def _moment(cell: object) -> datetime | None:
    text = _DAY_FIRST.sub(lambda d: f"{d[3]}-{d[2]:0>2}-{d[1]:0>2}", str(cell).strip(), count=1)
    try:
        moment = cell if isinstance(cell, datetime) else datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
