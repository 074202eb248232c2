"""NASA's turbofan engines (C-MAPSS) as one long table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from action_gru.core.errors import DataError
from action_gru.prepare.files import match_lines
from action_gru.prepare.rows import Content, csv_text

CMAPSS_SUBSETS = ("FD001", "FD002", "FD003", "FD004")
_CMAPSS_CHANNELS = [f"setting_{n}" for n in (1, 2, 3)] + [f"sensor_{n}" for n in range(1, 22)]
_CMAPSS_ROW = re.compile(r"(?P<engine>\d+)\s+(?P<cycle>\d+)(?P<values>(?:\s+\S+){24})")
_CMAPSS_FILES = (
    "pass the folder with the three files of the subset, such as train_, test_ and RUL_FD001.txt"
)


def build_cmapss(root: Path, subset: str) -> Content:
    """NASA's turbofan engines as one long table; its splits count engines. Raises DataError.

    Layout: train_FD001.txt, test_FD001.txt and RUL_FD001.txt, likewise FD002 to FD004. A row is an
    engine's number, the cycle, three settings and 21 sensors, between spaces; training engines run
    to failure, test engines stop before, and the RUL file says how many cycles before.
    """
    if subset not in CMAPSS_SUBSETS:
        raise DataError(f"C-MAPSS has the subsets {', '.join(CMAPSS_SUBSETS)}; got '{subset}'")
    cycles = _cmapss_lines(root / f"RUL_{subset}.txt", re.compile(r"\d+"), "a whole number")
    after = [int(line[0]) for _, line in cycles]
    lines: list[list[object]] = [["id", "time", "split", "remaining", *_CMAPSS_CHANNELS]]
    counts = {}
    for split in ("train", "test"):
        path = root / f"{split}_{subset}.txt"
        engines = _engines(path)
        counts[split] = len(engines)
        left = [0] * len(engines) if split == "train" else after
        if len(left) != len(engines):
            raise DataError(
                f"{path}: has {len(engines)} engines, its RUL file {len(after)} lines; "
                f"{_CMAPSS_FILES}"
            )
        for (engine, rows), unseen in zip(engines.items(), left, strict=True):
            lines += [
                [f"{split}-{int(engine):03d}", cycle, split, len(rows) - cycle + unseen, *values]
                for cycle, values in enumerate(rows, start=1)
            ]
    items = f"{counts['train']} training and {counts['test']} test engines"
    name, config = f"{subset}.csv", "configs/turbofan.yaml"
    return Content(csv_text(lines), counts, name, items=items, config=config)


def _cmapss_lines(
    path: Path, pattern: re.Pattern[str], expected: str
) -> Iterator[tuple[str, re.Match[str]]]:
    if not path.is_file():
        raise DataError(f"{path.parent}: has no {path.name}; {_CMAPSS_FILES}")
    return match_lines(path, pattern, expected, _CMAPSS_FILES)


def _engines(path: Path) -> dict[str, list[list[str]]]:
    """Engine number -> the settings and sensors of its cycles 1, 2, 3, ..."""
    engines: dict[str, list[list[str]]] = {}
    for where, row in _cmapss_lines(path, _CMAPSS_ROW, "an engine, a cycle and 24 numbers"):
        rows = engines.setdefault(row["engine"], [])
        if int(row["cycle"]) != len(rows) + 1:
            raise DataError(
                f"{where}: engine {row['engine']} is at cycle {row['cycle']}, expected "
                f"{len(rows) + 1}; {_CMAPSS_FILES}, unedited"
            )
        rows.append(row["values"].split())
    if not engines:
        raise DataError(f"{path}: holds no row; {_CMAPSS_FILES}")
    return engines
