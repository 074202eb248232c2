"""UCI's Gesture Phase Segmentation as one long table: five labels a frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from action_gru.core.csv_dialect import read_rows
from action_gru.core.errors import DataError
from action_gru.core.text import counted
from action_gru.prepare.rows import Content, csv_text

SUFFIX = "_raw.csv"
_PARTS = ("lh", "rh", "h", "s", "lw", "rw")  # left and right hand, head, spine, wrists
CHANNELS = tuple(f"{part}{axis}" for part in _PARTS for axis in "xyz")
PHASES = ("Rest", "Preparation", "Stroke", "Hold", "Retraction")
_SPELLINGS = {"Preparação": "Preparation"}  # one row of the published b1_raw.csv
CONFIG = "configs/gesture_phases.yaml"


def build_gesture_phases(root: Path) -> Content:
    """The recordings of a folder as one table: id,time,label and 18 coordinates. Raises DataError.

    Layout: a1_raw.csv, a2_raw.csv, ..., each with the coordinates of six points, `timestamp` in
    milliseconds and `phase`. https://archive.ics.uci.edu/dataset/302/gesture+phase+segmentation
    An id is a recording, such as a1: person a, story 1.
    """
    files = sorted(path for path in root.iterdir() if path.name.endswith(SUFFIX))
    if not files:
        raise DataError(f"{root}: has no file *{SUFFIX}; pass the folder with a1{SUFFIX} and so on")
    lines: list[list[object]] = [["id", "time", "label", *CHANNELS]]
    for path in files:
        lines += _recording(path)
    name, config = "gesture_phases.csv", CONFIG
    return Content(csv_text(lines), {}, name, items=counted(len(files), "recording"), config=config)


def _recording(path: Path) -> Iterator[list[object]]:
    try:
        names, rows = read_rows(path, ())
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    wanted = [*CHANNELS, "timestamp", "phase"]
    if lacking := [name for name in wanted if name not in names]:
        raise DataError(f"{path}: the column {' and '.join(lacking)} is missing; use it unedited")
    for line, row in rows:
        label = _SPELLINGS.get(row["phase"].strip(), row["phase"].strip())
        if label not in PHASES:
            raise DataError(
                f"{path}, line {line}: phase is one of {', '.join(PHASES)}, got '{row['phase']}'"
            )
        try:
            time_s = float(row["timestamp"]) / 1000
        except ValueError:
            raise DataError(
                f"{path}, line {line}: timestamp is milliseconds, got '{row['timestamp']}'"
            ) from None
        yield [path.name.removesuffix(SUFFIX), time_s, label, *(row[name] for name in CHANNELS)]
