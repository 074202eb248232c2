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
_TOKEN = re.compile(r"\([^()]*\)|:|[^:()]+|[()]")  # each letter is looked at a few times at most
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
        """What to add to a complaint about a case where the class may stand last."""
        if self.labelled:
            return ""
        return "; where the class stands last, the header needs '@classLabel true' with the classes"


Lines = Iterator[tuple[str, str]]  # the place of a line, for errors, and its text


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


def _read_header(path: Path, lines: Lines) -> Header:
    """The header; what is left of the lines is after @data."""
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
    parts = list(_dimensions(where, body, header))
    lengths = {len(values) for _, values in parts}
    if len(lengths) > 1:
        raise DataError(
            f"{where}: its dimensions have {' and '.join(map(str, sorted(lengths)))} values; "
            f"all dimensions of a case need as many (write ? for one that is missing)"
            f"{header.label_hint}"
        )
    times = parts[0][0]
    if any(not np.array_equal(times, other) for other, _ in parts[1:]):
        raise DataError(f"{where}: its dimensions have different time stamps; resample them first")
    values = np.stack([values for _, values in parts], axis=1)
    return Recording(name, values, times, (label,) if header.labelled else ())


def _dimensions(
    where: str, body: str, header: Header
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float32]]]:
    """(times, values) of each dimension of a case; without stamps time counts 0, 1, 2, ..."""
    parts = _split_stamped(body) if header.stamped else body.split(":")
    for number, part in enumerate(parts, start=1):
        place = f"{where}, dimension {number}"
        texts = part.split(",")
        times = np.arange(len(texts), dtype=np.float64)
        if header.stamped:
            pairs = _pairs(place, part, header)
            texts = [value for _, value in pairs]
            times = _times(place, [time for time, _ in pairs], header)
        values = [_number(place, text, header) for text in texts]
        yield times, np.array(values, dtype=np.float32)


def _pairs(where: str, part: str, header: Header) -> list[tuple[str, str]]:
    """The (time, value) pairs of a dimension, in their text."""
    pairs: list[tuple[str, str]] = _STAMPED.findall(part)
    rest = _STAMPED.sub("", part).replace(",", "").strip()
    if rest:
        raise DataError(
            f"{where}: '{rest[:40]}' is no pair (time,value), as '@timeStamps true' promises"
            f"{header.label_hint}"
        )
    if not pairs:
        raise DataError(f"{where}: holds no value")
    return pairs


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


def _split_stamped(body: str) -> list[str]:
    """Time stamps such as 2004-10-01 00:03 hold colons of their own, always between brackets."""
    parts = [""]
    for token in _TOKEN.findall(body):
        if token == ":":
            parts.append("")
        else:
            parts[-1] += token
    return parts


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
    if header.equal_length and length != (header.length or len(first.values)):
        raise DataError(
            f"{where}: has {length} values a dimension, the header promises "
            f"{header.length or len(first.values)} (@equalLength true); mend the header or the case"
        )
    if header.missing is False and np.isnan(case.values).any():
        raise DataError(
            f"{where}: a value is missing, the header says '@missing false'; mend one of them"
        )
