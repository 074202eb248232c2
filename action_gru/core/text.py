"""Lists, times and command lines in messages."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

MOST_NAMED = 5
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?((?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?)")


def name_some(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """'a, b and c', or the first few: 'a, b and 298 more'; '' for none.

    Where only one is left over, it is named too.
    """
    if not names:
        return ""
    shown = list(names) if len(names) <= most + 1 else [*names[:most], f"{len(names) - most} more"]
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)


def counted(count: int, noun: str) -> str:
    """'1 row', '3 rows', '2 entries'; of two words the first is the noun: '2 rows left'."""
    word, space, rest = noun.partition(" ")
    many = word[:-1] + "ies" if word.endswith("y") else word + "s"
    return f"{count} {word if count == 1 else many}{space}{rest}"


def name_or_count(labels: Sequence[str], of: int) -> str:
    """The labels where they are few, else how many of all classes they are."""
    return name_some(labels) if len(labels) <= MOST_NAMED else f"{len(labels)} of {of} classes"


def clock_text(time_s: float, decimals: int = 1) -> str:
    """3.21 -> 0:03.2, 3723.0 -> 1:02:03.0; with 0 decimals 0:03 and 1:02:03."""
    rounded_s = round(abs(time_s), decimals)
    minutes, seconds = divmod(rounded_s, 60)
    hours, minutes = divmod(int(minutes), 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    sign = "-" if time_s < 0 and rounded_s else ""
    width = 3 + decimals if decimals else 2
    return f"{sign}{head}:{seconds:0{width}.{decimals}f}"


def clock_seconds(text: str) -> float:
    """Seconds of a time as people and tools write it: 62.5, 62,5, 1:02.5, 00:01:02,500.

    Raises ValueError for anything else, and for minutes or seconds past 59 below a larger unit.
    """
    match = _CLOCK.fullmatch(text.strip())
    hours, minutes, seconds = match.groups() if match else (None, None, "")
    values = [float((part or "0").replace(",", ".")) for part in (hours, minutes, seconds)]
    if not match or (minutes and values[2] >= 60) or (hours and values[1] >= 60):
        raise ValueError(f"'{text[:40]}' is no time in seconds, mm:ss or hh:mm:ss")
    return values[0] * 3600 + values[1] * 60 + values[2]


def command_line(*words: str | Path) -> str:
    """The words with quotes where the shell needs them, to paste."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)
