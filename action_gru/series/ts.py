"""Reads `.ts`, the text format of the UEA archive and sktime: many labelled sequences in a file.

    @dimensions 2
    @classLabel true walk run
    @data
    0.1,0.2,?:1.5,1.4,1.3:walk

One line a case: its dimensions between colons, the values of each between commas, the class last;
`?` is a missing value. With `@timeStamps true` a value stands beside its time or date:
(2024-05-01 12:30:00,0.1),(2024-05-01 12:31:00,0.2). Knows nothing of splits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from action_gru.core.csv_dialect import LARGEST, CellReader
from action_gru.core.errors import DataError
from action_gru.dataset.channels import ROWS, SECONDS, STAMPS
from action_gru.series.recording import Recording, Recordings, check_times

MISSING = frozenset({"?", "nan", "NaN", "NAN"})
_BRACKETS = re.compile(r"\([^()]*\)")
_STAMPED = re.compile(r"\(([^,()]+),([^,()]+)\)")


def _is_true(word: str) -> bool:
    return {"true": True, "false": False}[word.lower()]


# Key in small letters -> the part of the Header that it gives, and how its value is read.
_KEYS: dict[str, tuple[str, Callable[[str], object]]] = {
    "dimensions": ("dimensions", int),
    "dimension": ("dimensions", int),  # both spellings are in the archive
    "univariate": ("dimensions", lambda word: 1 if _is_true(word) else None),
    "serieslength": ("length", int),
    "equallength": ("equal_length", _is_true),
    "timestamps": ("stamped", _is_true),
    "missing": ("missing", _is_true),
    "classlabel": ("labelled", _is_true),
    "targetlabel": ("targets", _is_true),
}


@dataclass
class Header:
    """What the lines before @data say. A key that is not given promises nothing."""

    dimensions: int | None = None
    length: int | None = None
    equal_length: bool = False
    stamped: bool = False
    stamps: CellReader = field(default_factory=CellReader)
    classes: list[str] = field(default_factory=list)
    labelled: bool = False
    targets: bool = False
    missing: bool | None = None

    @property
    def label_hint(self) -> str:
        """What to add to an error about a case where the class may stand last."""
        if self.labelled:
            return ""
        return "; where the class stands last, the header needs '@classLabel true' with the classes"


def read_ts(path: Path) -> Recordings:
    """Every case, named after its file and number. Raises DataError with the line number."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = path.read_text(encoding="latin-1")
    stripped = enumerate(map(str.strip, text.splitlines()), start=1)
    lines = (
        (f"{path}, line {number}", line)
        for number, line in stripped
        if line and not line.startswith(("#", "%"))
    )
    header = _read_header(path, lines)
    items: list[Recording] = []
    for where, line in lines:
        items.append(_case(where, line, header, f"{path.stem}#{len(items) + 1}"))
        _check_case(where, items[-1], header, items[0])
    if not items:
        raise DataError(f"{path}: holds no case after @data; copy the file again")
    channels = tuple(f"dim_{index}" for index in range(items[0].values.shape[1]))
    stamps = SECONDS if header.stamps.are_dates else STAMPS
    return Recordings(channels, tuple(items), stamps if header.stamped else ROWS)


def _read_header(path: Path, lines: Iterator[tuple[str, str]]) -> Header:
    """The header; what is left of the lines (place, text) is after @data."""
    header = Header()
    for where, line in lines:
        if line.lower() == "@data":
            return header
        if not line.startswith("@"):
            break
        key, *values = line[1:].split() or [""]
        part, read = _KEYS.get(key.lower(), ("", str))
        try:
            if part and (value := read(values[0])) is not None:
                setattr(header, part, value)
        except (IndexError, ValueError, KeyError) as error:
            raise DataError(f"{where}: '{line}' needs a value that fits it") from error
        if part == "labelled":
            header.classes = values[1:]
        if header.targets:
            raise DataError(
                f"{where}: @targetlabel: numbers to predict (regression) are not supported; give "
                "each case a class, and write '@classLabel true' with their names"
            )
    raise DataError(
        f"{path}: no line '@data' after the header; a .ts file has lines such as "
        "'@dimensions 6' and '@classLabel true walk run', then '@data', then one line a case"
    )


def _case(where: str, text: str, header: Header, name: str) -> Recording:
    label, body = "", text
    if header.labelled:
        body, colon, label = text.rpartition(":")
        label = label.strip()
        if not colon or (header.classes and label not in header.classes):
            raise DataError(
                f"{where}: the class after the last ':' is '{label[:40]}', @classLabel names "
                f"{', '.join(header.classes)}"
            )
    if header.stamped:  # a colon between brackets is one of a date's
        body = _BRACKETS.sub(lambda pair: pair[0].replace(":", "\0"), body)
    times, values = zip(
        *(
            _dimension(f"{where}, dimension {number}", part.replace("\0", ":"), header)
            for number, part in enumerate(body.split(":"), start=1)
        ),
        strict=True,
    )
    lengths = sorted({len(row) for row in values})
    if len(lengths) > 1:
        raise DataError(
            f"{where}: its dimensions have {' and '.join(map(str, lengths))} values; all "
            f"dimensions of a case need as many (write ? for one that is missing)"
            f"{header.label_hint}"
        )
    if any(not np.array_equal(times[0], other) for other in times[1:]):
        raise DataError(f"{where}: its dimensions have different time stamps; resample them first")
    return Recording(name, np.stack(values, axis=1), times[0], (label,) if header.labelled else ())


def _dimension(
    where: str, part: str, header: Header
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """(times, values) of a dimension; without stamps time counts 0, 1, 2, ..."""
    if header.stamped:
        stamps, texts = _stamps_and_texts(where, part, header)
        times = _times(where, stamps, header)
    else:
        texts = part.split(",")
        times = np.arange(len(texts), dtype=np.float64)
    return times, np.array([_number(where, text, header) for text in texts], dtype=np.float32)


def _stamps_and_texts(where: str, part: str, header: Header) -> tuple[list[str], list[str]]:
    """The times and values of a dimension, in their text."""
    pairs = _STAMPED.findall(part)
    rest = _STAMPED.sub("", part).replace(",", "").strip()
    if rest:
        raise DataError(
            f"{where}: '{rest[:40]}' is no pair (time,value), as '@timeStamps true' promises"
            f"{header.label_hint}"
        )
    if not pairs:
        raise DataError(f"{where}: holds no value")
    return [time for time, _ in pairs], [value for _, value in pairs]


def _times(where: str, texts: list[str], header: Header) -> NDArray[np.float64]:
    """Instants that grow, all numbers or all dates in the whole file."""
    places = [f"{where}, value {index}" for index in range(1, len(texts) + 1)]
    times = np.empty(len(texts))
    for index, text in enumerate(texts):
        try:
            times[index] = header.stamps.instant(text, "time")
        except ValueError as error:
            raise DataError(f"{places[index]}: {error}") from None
    check_times(times, texts, places, "a dimension")
    return times


def _number(where: str, text: str, header: Header) -> float:
    text = text.strip()
    if text in MISSING:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        value = float("inf")
    if not abs(value) <= LARGEST:
        hint = "" if header.stamped or "(" not in text else ", '@timeStamps true' for (time,value)"
        raise DataError(
            f"{where}: '{text[:40]}' is no number; write ? for a missing value{hint}"
            f"{header.label_hint}"
        )
    return value


def _check_case(where: str, case: Recording, header: Header, first: Recording) -> None:
    """The case against what the header promises and against the first case."""
    length, width = case.values.shape
    wanted = header.dimensions or first.values.shape[1]
    if width != wanted:
        source = "@dimensions says" if header.dimensions else "the first case has"
        raise DataError(f"{where}: has {width} dimensions, {source} {wanted}")
    promised = header.length or len(first.values)
    if header.equal_length and length != promised:
        raise DataError(
            f"{where}: has {length} values a dimension, the header promises {promised} "
            "(@equalLength true); mend the header or the case"
        )
    if header.missing is False and np.isnan(case.values).any():
        raise DataError(
            f"{where}: a value is missing, the header says '@missing false'; mend one of them"
        )
