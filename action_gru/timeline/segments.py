"""What an annotation file says: labels from when to when, of which video, as its format counts.

Knows no format. `Source` is the file as readers ask for it, `Annotations` what they found in it.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

from action_gru.core.csv_dialect import encoding_of, read_rows
from action_gru.core.errors import DataError
from action_gru.core.text import clock_seconds

MOST_TIME = 1e15  # seconds or frames; further ones overflow on the way
MOST_BYTES = 1 << 26  # parsed XML takes six times as much memory
_SECONDS = ("start_s", "end_s", "start (s)", "stop (s)")


@dataclass(frozen=True)
class Segment:
    """A label from start to end of a video.

    start, end: seconds; where in_frames, numbers of frames, from 0, in the order they are shown:
    the first one, and the one after the last. end None: the end of the video. video: its name in
    the file; '' where there is none. where: its place in the file, for messages.
    """

    label: str
    start: float
    end: float | None
    video: str = ""
    where: str = ""
    in_frames: bool = False
    score: float = 1.0
    person: int | None = None

    def seconds(self, time_of_frame: Callable[[float], float]) -> tuple[float, float]:
        """(start, end) in seconds. time_of_frame: the instant of a frame by its number; of number
        infinity the end of the video.
        """
        end = math.inf if self.end is None else self.end
        if self.in_frames:
            return time_of_frame(self.start), time_of_frame(end)
        return self.start, time_of_frame(end) if self.end is None else end


@dataclass
class Annotations:
    """videos: the names of all that were annotated, in the file's order; '' for the one that a file
    without names is about. problems: what could not be read, and where. passed_over: what is no
    stretch of a video, such as a region of a picture, and where.
    """

    videos: dict[str, None] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)

    def add(
        self,
        where: str,
        label: object,
        span: Sequence[object],
        video: str = "",
        offset_s: float = 0.0,
        **more: Any,
    ) -> None:
        """Take in one segment as it is written. span: start and end, as numbers or text; None for
        the video's end. offset_s: the time that the file gives to the start of the video. more:
        further fields of Segment. What is no segment becomes a problem.
        """
        self.videos[video] = None
        try:
            if isinstance(label, bool) or not isinstance(label, (str, int, float)):
                raise ValueError(f"label must be text, got {str(label)[:40]!r}")
            if len(span) != 2:
                raise ValueError(f"a segment has a start and an end, got {str(span)[:40]}")
            text, (start, end) = clean_label(str(label)), span
            start_s = round(seconds_of(start, "start") - offset_s, 9)
            end_s = None if end is None else round(seconds_of(end, "end") - offset_s, 9)
            if start_s < 0:
                raise ValueError(f"the start lies {-start_s:g} s before the video begins")
            if not text:
                raise ValueError("label must not be empty")
            if end_s is not None and end_s < start_s:
                raise ValueError(f"the end lies before the start, got {start_s:g} to {end_s:g}")
        except ValueError as error:
            self.problems.append(f"{where}: {error}")
        else:
            self.segments.append(Segment(text, start_s, end_s, video, where, **more))

    def leave_out(self, where: str, why: str) -> None:
        self.problems.append(f"{where}: {why}")

    def pass_over(self, where: str, why: str) -> None:
        self.passed_over.append(f"{where}: {why}")


def clean_label(text: str) -> str:
    """On one line, without characters that steer a terminal."""
    unfit = ("Cc", "Cs", "Zl", "Zp")
    return "".join(" " if unicodedata.category(char) in unfit else char for char in text).strip()


def names_of(label: str) -> tuple[str, ...]:
    """The names in a label such as 'walk; read', each once."""
    return tuple(dict.fromkeys(name for part in label.split(";") if (name := part.strip())))


def seconds_of(value: Any, name: str) -> float:
    """The time that a cell or a number gives: seconds, or text as mm:ss or hh:mm:ss.

    Decimals stand behind a point or a comma. Raises ValueError unless 0 <= time < MOST_TIME.
    """
    try:
        time = clock_seconds(value) if isinstance(value, str) else None
        if time is None:
            time = float(value.replace(",", ".") if isinstance(value, str) else value)
        time = round(time, 9)  # 1:40.252 is 100.252, and not 100.25200000000001
    except (TypeError, ValueError, OverflowError):
        time = math.nan
    if not 0 <= time < MOST_TIME:
        raise ValueError(
            f"{name} is seconds from the start of the file, such as 75.5 or 1:15.5, got "
            f"'{str(value)[:40]}'"
        )
    return time


class Source:
    """An annotation file; each form of it is made when first asked for. All raise DataError."""

    def __init__(self, path: Path) -> None:
        self.path, self.suffix = path, path.suffix.lower()

    @cached_property
    def data(self) -> bytes:
        if not self.path.is_file():
            if self.path.is_dir():
                raise DataError(f"{self.path} is a folder; name the files in it")
            raise DataError(f"no file at {self.path} (looked up as {self.path.absolute()})")
        if self.path.stat().st_size > MOST_BYTES:
            raise DataError(
                f"{self.path}: is larger than {MOST_BYTES >> 20} MB; export fewer videos into one "
                "file"
            )
        return self.path.read_bytes()

    @cached_property
    def text(self) -> str:
        try:
            return self.data.decode(encoding_of(self.data[:4])).removeprefix("\ufeff")
        except UnicodeError as error:
            raise DataError(
                f"{self.path}: no text in UTF-8 or UTF-16 ({error}); save it as UTF-8"
            ) from error

    @cached_property
    def json(self) -> Any:
        """The parsed document; None for a file that is no JSON by its first character."""
        if not self.text.lstrip().startswith(("{", "[")):
            return None
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.path}: damaged JSON ({error}); export it again") from error

    @cached_property
    def xml(self) -> ET.Element | None:
        """The root; None for a file that is no XML by its first character."""
        if not re.match(rb"(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\0?\s*\0?<", self.data[:64]):
            return None
        try:
            return parse_xml(self.data)
        except (LookupError, ValueError, ET.ParseError, expat.ExpatError) as error:
            raise DataError(f"{self.path}: damaged XML ({error}); export it again") from error

    @cached_property
    def table(self) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
        """The columns in small letters, and (line number, column -> text) of each row."""
        self.data  # noqa: B018  (is it there, and of a size?)
        try:
            return read_rows(self.path, _SECONDS)
        except ValueError as error:
            raise DataError(f"{self.path}: {error}") from error

    def summary(self) -> str:
        """What is in it, in a few words, for the error that says that no reader knows it."""
        if isinstance(self.json, dict):
            return f"JSON with the keys {', '.join(islice(self.json, 8)) or 'of an empty object'}"
        if self.json is not None:
            return "JSON, a list of other things"
        return "text" if self.xml is None else f"XML whose root is <{self.xml.tag}>"


def parse_xml(data: bytes) -> ET.Element:
    """The root. Raises ValueError for a document type, whose entities could expand without limit,
    and expat.ExpatError or ET.ParseError for what is no XML.
    """

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type, which no annotation tool writes")

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    guard.Parse(data, True)
    return ET.fromstring(data)
