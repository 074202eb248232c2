"""Reads `.ts`, the text format of the UEA archive and sktime: many labelled sequences in a file.

    @dimensions 2
    @classLabel true walk run
    @data
    0.1,0.2,?:1.5,1.4,1.3:walk

One line a case: its dimensions between colons, the values of each between commas, the class last;
`?` is a missing value. With `@timeStamps true` a value follows its time or date:
(2024-05-01 12:30:00,0.1),(2024-05-01 12:31:00,0.2). Knows nothing of splits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from action_gru.core.csv_dialect import LARGEST, CellReader
from action_gru.core.errors import DataError
from action_gru.dataset.channels import ROWS, SECONDS, STAMPS
from action_gru.series.recording import Recording, Recordings, time_problem

MISSING = frozenset({"?", "nan", "NaN", "NAN"})
_BRACKETS = re.compile(r"\([^()]*\)")
_STAMPED = re.compile(r"\(([^,()]+),([^,()]+)\)")
_NO_LABEL = "; where the class stands last, the header needs '@classLabel true' with the classes"


def _is_true(words: list[str]) -> bool:
    return {"true": True, "false": False}[words[0].lower()]


def _refuse_numbers(words: list[str]) -> None:
    if _is_true(words):
        raise DataError(
            "@targetlabel: numbers to predict (regression) are not supported; give each case a "
            "class, and write '@classLabel true' with their names"
        )


# Key in small letters -> the part of the Header that it gives, and how its words are read; None
# leaves the part as it is.
_KEYS: dict[str, tuple[str, Callable[[list[str]], object]]] = {
    "dimensions": ("dimensions", lambda words: int(words[0])),
    "dimension": ("dimensions", lambda words: int(words[0])),  # both are in the archive
    "univariate": ("dimensions", lambda words: 1 if _is_true(words) else None),
    "serieslength": ("length", lambda words: int(words[0])),
    "equallength": ("equal_length", _is_true),
    "timestamps": ("stamped", _is_true),
    "missing": ("missing", _is_true),
    "classlabel": ("classes", lambda words: words[1:] if _is_true(words) else None),
    "targetlabel": ("", _refuse_numbers),
}


@dataclass
class Header:
    """What the lines before @data say. A key that is not given promises nothing.

    classes: None if a case has no class.
    """

    dimensions: int | None = None
    length: int | None = None
    equal_length: bool = False
    stamped: bool = False
    stamps: CellReader = field(default_factory=CellReader)
    classes: list[str] | None = None
    missing: bool | None = None

    def read(self, line: str) -> None:
        """Take in a line. Raises DataError."""
        key, *words = line[1:].split() or [""]
        part, read = _KEYS.get(key.lower(), ("", lambda words: None))
        try:
            if (value := read(words)) is not None:
                setattr(self, part, value)
        except (IndexError, ValueError, KeyError) as error:
            raise DataError(f"'{line}' needs a value that fits it") from error


def read_ts(path: Path) -> Recordings:
    """Every case, named after its file and number. Raises DataError with the line number."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = path.read_text(encoding="latin-1")
    header, is_data, items = Header(), False, list[Recording]()
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line or line.startswith(("#", "%")):
            continue
        try:
            if is_data:
                items.append(_case(line, header, f"{path.stem}#{len(items) + 1}"))
                _check_case(items[-1], header, items[0])
            elif line.startswith("@"):
                is_data = line.lower() == "@data"
                header.read(line)
            else:
                break
        except (DataError, ValueError) as error:
            hint = _NO_LABEL if is_data and header.classes is None else ""
            raise DataError(f"{path}, line {number}: {error}{hint}") from error
    if not is_data:
        raise DataError(
            f"{path}: no line '@data' after the header; a .ts file has lines such as "
            "'@dimensions 6' and '@classLabel true walk run', then '@data', then one line a case"
        )
    if not items:
        raise DataError(f"{path}: holds no case after @data; copy the file again")
    channels = tuple(f"dim_{index}" for index in range(items[0].values.shape[1]))
    stamps = SECONDS if header.stamps.are_dates else STAMPS
    return Recordings(channels, tuple(items), stamps if header.stamped else ROWS)


def _case(text: str, header: Header, name: str) -> Recording:
    body, labels = text, tuple[str, ...]()
    if header.classes is not None:
        body, colon, label = text.rpartition(":")
        labels = (label.strip(),)
        if not colon or (header.classes and labels[0] not in header.classes):
            raise ValueError(
                f"the class after the last ':' is '{labels[0][:40]}', @classLabel names "
                f"{', '.join(header.classes)}"
            )
    if header.stamped:  # a colon between brackets is one of a date's
        body = _BRACKETS.sub(lambda pair: pair[0].replace(":", "\0"), body)
    times, values = [], []
    for number, part in enumerate(body.split(":"), start=1):
        try:
            instants, numbers = _dimension(part.replace("\0", ":"), header)
        except ValueError as error:
            raise ValueError(f"dimension {number}: {error}") from error
        times.append(instants)
        values.append(numbers)
    lengths = sorted({len(numbers) for numbers in values})
    if len(lengths) > 1:
        raise ValueError(
            f"its dimensions have {' and '.join(map(str, lengths))} values; all dimensions of a "
            "case need as many (write ? for one that is missing)"
        )
    if any(not np.array_equal(times[0], other) for other in times[1:]):
        raise ValueError("its dimensions have different time stamps; resample them first")
    return Recording(name, np.stack(values, axis=1), times[0], labels)


def _dimension(part: str, header: Header) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """(times, values) of a dimension; without stamps time counts 0, 1, 2, ..."""
    if not header.stamped:
        values = np.array([_number(text) for text in part.split(",")], dtype=np.float32)
        return np.arange(len(values), dtype=np.float64), values
    pairs = _STAMPED.findall(part)
    rest = _STAMPED.sub("", part).replace(",", "").strip()
    if rest:
        raise ValueError(f"'{rest[:40]}' is no pair (time,value), as '@timeStamps true' promises")
    if not pairs:
        raise ValueError("holds no value")
    stamps = [stamp for stamp, _ in pairs]
    times = np.array([header.stamps.instant(stamp, "time") for stamp in stamps])
    if problem := time_problem(times, stamps):
        raise ValueError(f"value {problem[0] + 1} has {problem[1]}")
    return times, np.array([_number(text) for _, text in pairs], dtype=np.float32)


def _number(text: str) -> float:
    text = text.strip()
    if text in MISSING:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        value = float("inf")
    if not abs(value) <= LARGEST:
        hint = ", '@timeStamps true' for (time,value)" if "(" in text else ""
        raise ValueError(f"'{text[:40]}' is no number; write ? for a missing value{hint}")
    return value


def _check_case(case: Recording, header: Header, first: Recording) -> None:
    length, width = case.values.shape
    wanted = header.dimensions or first.values.shape[1]
    promised = header.length or len(first.values)
    if width != wanted:
        source = "@dimensions says" if header.dimensions else "the first case has"
        raise ValueError(f"has {width} dimensions, {source} {wanted}")
    if header.equal_length and length != promised:
        raise ValueError(
            f"has {length} values a dimension, the header promises {promised} "
            "(@equalLength true); mend the header or the case"
        )
    if header.missing is False and np.isnan(case.values).any():
        raise ValueError("a value is missing, the header says '@missing false'; mend one of them")
