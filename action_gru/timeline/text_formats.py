"""Readers of annotations that people write as lines: subtitles, label tracks, plain CSV.

Each takes a `Source` and adds what it finds to `Annotations`; times are given as they stand there.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from action_gru.core.errors import DataError
from action_gru.timeline.segments import Annotations, Source

COLUMNS = ("start_s", "end_s", "label")
VIDEO_COLUMNS = ("path", "video")
_CUE_TIMES = re.compile(r"\s*([\d:.,]+)\s*-->\s*([\d:.,]+)(?:\s.*)?")
_MARKUP = re.compile(r"</?[^<>]*>|\{\\[^{}]*\}")
# What our own cues say beside the label.
_CUE = re.compile(r"(?:person (\d+): )?(.*?)(?: \(([01]\.\d\d)\))?", re.DOTALL)
_NO_CUE = ("WEBVTT", "NOTE", "STYLE", "REGION")
# The bracket of a name may lack its second half: `Falling (BW[5.9 to 10]`.
# A name has an end: from each letter on it is sought anew.
_CLASS = re.compile(r"([^\[\];:\s][^\[\];]{0,200}?)\s*\[([^\[\]]*)\][\s:;]*")
_TO = re.compile(r"\s*([\d.,]+)\s*to\s*([\d.,]+)\s*")


def read_cues(source: Source, found: Annotations) -> None:
    """WebVTT (https://www.w3.org/TR/webvtt1/) and SubRip (https://en.wikipedia.org/wiki/SubRip).

    Times are [hh:]mm:ss.fff, in SubRip with a comma. A cue's text is its label, without markup; the
    score and the person that this program writes beside it are read back.
    """
    found.videos[""] = None
    for line, block in _blocks(source.text):
        times = next((index for index, text in enumerate(block) if "-->" in text), None)
        if times is None:
            if not block[0].startswith(_NO_CUE):
                found.leave_out(f"line {line}", f"no cue: '{block[0][:40]}'")
            continue
        where, match = f"line {line + times}", _CUE_TIMES.fullmatch(block[times])
        if match is None:
            found.leave_out(where, f"no two times around -->: '{block[times][:60]}'")
            continue
        text = html.unescape(_MARKUP.sub("", " ".join(map(str.strip, block[times + 1 :]))))
        person, label, score = _CUE.fullmatch(text.strip()).groups()  # type: ignore[union-attr]
        more: dict[str, Any] = {"person": int(person) if person else None}
        found.add(where, label, match.groups(), score=float(score or 1.0), **more)


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines between blank lines, with the number of the first. A second line of times begins
    another block, with the number above it where the first has one, as in SubRip.
    """
    block: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        is_next = bool(_CUE_TIMES.fullmatch(line)) and any("-->" in earlier for earlier in block)
        if line.strip() and not is_next:
            block.append(line)
        elif block:
            numbered = is_next and block[0].strip().isdecimal() and block[-1].strip().isdecimal()
            begun = block[-1:] if numbered else []
            yield number - len(block), block[: len(block) - len(begun)]
            block = [*begun, line] if is_next else []


def read_audacity(source: Source, found: Annotations) -> None:
    r"""Label track of Audacity: start, end and label between tabs, seconds. A line that begins with
    a backslash holds frequencies.

    https://manual.audacityteam.org/man/importing_and_exporting_labels.html
    """
    found.videos[""] = None
    for number, line in enumerate(source.text.splitlines(), 1):
        if line.strip() and not line.startswith("\\"):
            start, end, label = [*line.split("\t", 2), "", ""][:3]
            found.add(f"line {number}", label, (start, end))


def is_audacity(source: Source) -> bool:
    first = next(filter(str.strip, source.text.splitlines()), "")
    return re.match(r"[\d.,]+\t[\d.,]+(\t|$)", first) is not None


def is_text(source: Source) -> bool:
    return source.json is None and source.xml is None


def read_csv(source: Source, found: Annotations) -> None:
    """CSV with columns start_s, end_s, label, perhaps path or video; what timelines are written as.

    Seconds, mm:ss or hh:mm:ss; an empty cell is the start or the end of the video. A row with an
    empty label says that nothing else happens, and is no segment. Only a header: nothing happens.
    """
    names, rows = source.table
    _check_columns(names, source)
    video = next((name for name in VIDEO_COLUMNS if name in names), "")
    for line, row in rows:
        name, score = row.get(video, "").strip(), _score(row.get("score", "").strip())
        start, end = (row[column].strip() for column in ("start_s", "end_s"))
        who = row.get("person", "").strip()
        more: dict[str, Any] = {"score": score, "person": int(who) if who.isdecimal() else None}
        if video and not row["label"].strip():
            found.videos[name] = None
        else:
            found.add(f"line {line}", row["label"], (start or 0.0, end or None), name, **more)
    if not video:
        found.videos[""] = None


def _score(text: str) -> float:
    """A score as timelines are written with; 1 for a column of the user's own."""
    return float(text) if re.fullmatch(r"[01]\.\d+", text) else 1.0


def _check_columns(names: list[str], source: Source) -> None:
    lacking = [name for name in COLUMNS if name not in names]
    if lacking:
        spare = [name for name in names if name not in COLUMNS]
        hints = [
            f"; did you mean {name} by '{close}'?"
            for name in lacking
            for close in get_close_matches(name, spare, n=1, cutoff=0.7)
        ]
        raise DataError(
            f"{source.path}: the column {' and '.join(lacking)} is missing; the first line must be "
            f"{','.join(COLUMNS)}, got {','.join(names) or 'an empty file'}{''.join(hints)}"
        )


def read_gmdcsa24(source: Source, found: Annotations) -> None:
    """GMDCSA24: a column `Classes` that holds `Walking[0 to 3]; Standing[0 to 0.5; 4.2 to 6.5]`.

    Seconds. `13.mp4` in `Subject 1/Fall.csv` is the video `Subject 1/Fall/13.mp4`. The published
    files hold typing errors; a missing bracket of a name and a `:` behind a segment are read over.
    https://github.com/ekramalam/GMDCSA24-A-Dataset-for-Human-Fall-Detection-in-Videos
    """
    for line, row in source.table[1]:
        folder = f"{source.path.parent.name}/{source.path.stem}"
        video = f"{folder}/{row['file name'].strip()}"
        found.videos[video] = None
        read_classes(row["classes"], f"line {line}", video, found)


def read_classes(text: str, where: str, video: str, found: Annotations) -> None:
    """A cell of the column `Classes` (see read_gmdcsa24)."""
    end = 0
    for match in _CLASS.finditer(text):
        _tell_rest(text[end : match.start()], where, found)
        end, label = match.end(), _closed(match[1])
        for span in filter(str.strip, match[2].split(";")):
            times = _TO.fullmatch(span)
            if times is None:
                found.leave_out(where, f"{label}: '{span}' is no 'START to END'")
            else:
                found.add(f"{where}, {label}", label, times.groups(), video)
    _tell_rest(text[end:], where, found)


def _closed(label: str) -> str:
    """`Falling (BW` -> `Falling (BW)`."""
    return label + ")" * (label.count("(") - label.count(")"))


def _tell_rest(text: str, where: str, found: Annotations) -> None:
    if rest := text.strip(" ;:\t"):
        found.leave_out(where, f"'{rest[:60]}' is no 'CLASS[START to END]'")
