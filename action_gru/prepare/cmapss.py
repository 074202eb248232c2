"""NASA's turbofan engines (C-MAPSS) as one long table. Reads text files only.

Layout: train_FD001.txt, test_FD001.txt and RUL_FD001.txt, likewise FD002 to FD004. A row is an
engine's number, the cycle, three settings and 21 sensors, between spaces; training engines run to
failure, test engines stop before, and the RUL file says how many cycles before.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from action_gru.core.errors import DataError
from action_gru.prepare.rows import Content
from action_gru.prepare.tree import read_lines

CHANNELS = [f"setting_{n}" for n in (1, 2, 3)] + [f"sensor_{n}" for n in range(1, 22)]
HEADER = ["id", "time", "split", "remaining", *CHANNELS]
SUBSETS = ("FD001", "FD002", "FD003", "FD004")
_GET = "pass the folder with the three files of the subset, such as train_, test_ and RUL_FD001.txt"


def build_cmapss(root: Path, subset: str) -> Content:
    """The table of a subset; its splits count engines. Raises DataError."""
    if subset not in SUBSETS:
        raise DataError(f"C-MAPSS has the subsets {', '.join(SUBSETS)}; got '{subset}'")
    after = [
        _whole(root / f"RUL_{subset}.txt", n, line) for n, line in _lines(root, f"RUL_{subset}.txt")
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    counts = {}
    for split in ("train", "test"):
        path = root / f"{split}_{subset}.txt"
        engines = _engines(path, _lines(root, path.name))
        counts[split] = len(engines)
        left = dict.fromkeys(engines, 0) if split == "train" else _left(path, engines, after)
        for engine, rows in engines.items():
            last = int(rows[-1][1])
            for row in rows:
                remaining = last - int(row[1]) + left[engine]
                writer.writerow([f"{split}-{int(engine):03d}", row[1], split, remaining, *row[2:]])
    return Content(text.getvalue(), counts, f"{subset}.csv")


def _lines(root: Path, name: str) -> list[tuple[int, str]]:
    if not (root / name).is_file():
        raise DataError(f"{root}: has no {name}; {_GET}")
    return [(n, line) for n, line in enumerate(read_lines(root / name), start=1) if line.strip()]


def _engines(path: Path, lines: list[tuple[int, str]]) -> dict[str, list[list[str]]]:
    """Engine number -> its rows, cycles 1, 2, 3, ..."""
    engines: dict[str, list[list[str]]] = {}
    for number, line in lines:
        fields = line.split()
        if len(fields) != 2 + len(CHANNELS):
            raise DataError(
                f"{path}, line {number}: has {len(fields)} numbers, expected {2 + len(CHANNELS)}; "
                f"{_GET}"
            )
        rows = engines.setdefault(fields[0], [])
        if _whole(path, number, fields[1]) != len(rows) + 1:
            raise DataError(
                f"{path}, line {number}: engine {fields[0]} is at cycle {fields[1]}, expected "
                f"{len(rows) + 1}; {_GET}, unedited"
            )
        rows.append(fields)
    if not engines:
        raise DataError(f"{path}: holds no row; {_GET}")
    return engines


def _left(path: Path, engines: dict[str, list[list[str]]], after: list[int]) -> dict[str, int]:
    if len(after) != len(engines):
        raise DataError(
            f"{path}: has {len(engines)} engines, its RUL file {len(after)} lines; {_GET}"
        )
    return dict(zip(engines, after, strict=True))


def _whole(path: Path, number: int, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{path}, line {number}: '{text}' is no whole number; {_GET}") from None
