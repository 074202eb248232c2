"""Rows of a CSV by the names of its columns, as spreadsheets write it. Knows no column."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection
from pathlib import Path


def read_rows(
    path: Path, seconds: Collection[str]
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns in small letters, and (line number, column -> text) of each row.

    Fields are parted by commas, semicolons or tabs, as the first line is. Where it is not by
    commas, the numbers in the columns of seconds may have decimal commas: `2,5` becomes `2.5`.
    Raises ValueError for a file that is no CSV in UTF-8, and a column that stands twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=header.count)
            reader = csv.DictReader(file, strict=True, delimiter=delimiter)
            names = [name.replace("\ufeff", "").strip().lower() for name in reader.fieldnames or []]
            reader.fieldnames = names
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"not a CSV in UTF-8 ({error})") from error
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise ValueError(f"the column '{twice[0]}' stands twice; keep one of the two")
    if delimiter != ",":
        for _, row in rows:
            row |= {name: row[name].replace(",", ".") for name in seconds if row.get(name)}
    return names, rows
