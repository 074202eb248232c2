"""Reads a timeline that a person wrote: CSV start_s,end_s,label. Knows nothing of videos."""

from __future__ import annotations

import math
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from action_gru.csv_dialect import read_rows
from action_gru.errors import DataError
from action_gru.timeline.events import Event

COLUMNS = ("start_s", "end_s", "label")


def read_segments(path: Path) -> tuple[Event, ...]:
    """What happens in one video, in order of time; further columns are ignored, every score is 1.

    Seconds from the start of the video, one action at a time; only a header: nothing happens.
    Raises DataError with the line number.
    """
    if not path.is_file():
        raise DataError(f"no timeline at {path} (looked up as {path.absolute()})")
    try:
        names, rows = read_rows(path, ("start_s", "end_s"))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    _check_columns(names, path)
    segments: list[tuple[Event, int]] = []
    for line, row in rows:
        try:
            segments.append((_segment(row), line))
        except ValueError as error:
            raise DataError(f"{path}, line {line}: {error}") from error
    segments.sort(key=lambda segment: (segment[0].start_s, segment[0].end_s))
    for (one, line), (other, other_line) in pairwise(segments):
        if other.start_s < one.end_s:
            raise DataError(
                f"{path}, lines {line} and {other_line}: '{one.label}' lasts until {one.end_s:g}, "
                f"'{other.label}' begins at {other.start_s:g}; one action at a time"
            )
    return tuple(segment for segment, _ in segments)


def _check_columns(names: list[str], path: Path) -> None:
    lacking = [name for name in COLUMNS if name not in names]
    if not lacking:
        return
    spare = [name for name in names if name not in COLUMNS]
    hints = [
        f"; did you mean {name} by '{close}'?"
        for name in lacking
        for close in get_close_matches(name, spare, n=1, cutoff=0.7)
    ]
    raise DataError(
        f"{path}: the column {' and '.join(lacking)} is missing; the first line must be "
        f"{','.join(COLUMNS)}, got {','.join(names) or 'an empty file'}{''.join(hints)}"
    )


def _segment(row: dict[str, str]) -> Event:
    label = row["label"].strip()
    if not label:
        raise ValueError("label must not be empty")
    start_s, end_s = _seconds(row, "start_s"), _seconds(row, "end_s")
    if end_s < start_s:
        raise ValueError(f"end_s must not lie before start_s, got {start_s:g} to {end_s:g}")
    return Event(label, start_s, end_s)


def _seconds(row: dict[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{column} is seconds from the start of the video, got '{row[column]}'")
    return value
