"""Lists, times and command lines in messages."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

MOST_NAMED = 5
_CLOCK = re.compile(
    r"(?:(?P<hours>\d+):(?=[0-5]?\d:))?(?P<minutes>\d+):(?P<rest>[0-5]?\d([.,]\d*)?)"
)
# All but the ends of lines and tabs; and what turns the order of the letters after it.
_STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def name_some(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """'a, b and c', or the first few: 'a, b and 298 more'; '' for none.

    Where only one is left over, it is named too.
    """
    if not names:
        return ""
    shown = list(names) if len(names) <= most + 1 else [*names[:most], f"{len(names) - most} more"]
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)


def counted(count: int, noun: str) -> str:
    """'1 row', '3 rows', '2 entries', '2 classes'; of several words the first is the noun: '2 rows
    left'.
    """
    word, space, rest = noun.partition(" ")
    if word.endswith("y"):
        many = word[:-1] + "ies"
    elif word == "person":
        many = "people"
    else:
        many = word + ("es" if word.endswith("s") else "s")
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


def clock_seconds(text: str) -> float | None:
    """1:02:03.5 -> 3723.5, 02:03,5 -> 123.5, the way back from `clock_text`; None for another text.

    Two parts are minutes and seconds; three have hours before them.
    """
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    whole = 3600 * int(found["hours"] or 0) + 60 * int(found["minutes"])
    return whole + float(found["rest"].replace(",", "."))


def harmless(text: str) -> str:
    """The text without what steers a terminal, as names from elsewhere may: \\x1b for ESC."""
    return _STEERS.sub(lambda found: repr(found[0])[1:-1], text)


def command_line(*words: str | Path) -> str:
    """The words with quotes where the shell needs them, to paste."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)
