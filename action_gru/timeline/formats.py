"""Timelines as files: one function a format, chosen by the file's suffix; and the way back.

.json  everything, with the scores over time; for programs
.csv   the events; for spreadsheets, and `read_segments` reads it back
.vtt   WebVTT, for a web page's video element
.srt   SubRip, for video players
.eaf   ELAN, for annotators (see elan.py)

Beside these `write_sentences` writes a .txt for readers (see sentences.py).
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from action_gru.core.csv_dialect import read_rows
from action_gru.core.errors import ConfigError, DataError
from action_gru.core.files import write_or_raise
from action_gru.timeline.elan import elan_document
from action_gru.timeline.events import Event, Timeline

COLUMNS = ("start_s", "end_s", "label")


def write_timeline(timeline: Timeline, path: Path) -> None:
    """Write it whole or not at all, in the format that the suffix names. Raises ConfigError."""
    document = FORMATS.get(path.suffix.lower())
    if document is None:
        raise ConfigError(
            f"{path}: no timeline format has the suffix '{path.suffix}'; "
            f"name the file with one of {', '.join(FORMATS)}"
        )
    _write(path, document(timeline))


def write_sentences(timeline: Timeline, path: Path) -> None:
    """Write a timeline in words as text, a line a sentence. Raises ConfigError."""
    _write(path, _encoded("".join(f"{sentence}\n" for sentence in timeline.sentences)))


def _write(path: Path, document: bytes) -> None:
    failed, mend = "the timeline cannot be written", "name a folder you may write to"
    write_or_raise(path, document, ConfigError, failed, mend)


def json_document(timeline: Timeline) -> bytes:
    """Strict JSON, one line an event and one a bin of scores."""
    track = timeline.scores
    fields = {
        "source": _json(timeline.source),
        "complete": _json(timeline.complete),
        "duration_s": _json(round(timeline.duration_s, 3)),
        "classes": _json(list(timeline.classes)),
        "restarts": _json(timeline.restarts),
        **({} if timeline.people is None else {"people": _json(timeline.people)}),
        "events": _json_lines(event.to_json() for event in timeline.events),
        **({"sentences": _json_lines(timeline.sentences)} if timeline.sentences else {}),
        "scores": "{"
        f'"bin_s": {_json(track.bin_s)},\n'
        f'  "times_s": {_json(track.times_s.round(4).tolist())},\n'
        f'  "values": {_json_lines(track.values.round(4).tolist())}'
        "}",
    }
    body = ",\n".join(f' "{key}": {value}' for key, value in fields.items())
    # A path that is no text holds lone surrogates; \udc80 is how JSON writes them.
    return f"{{\n{body}\n}}\n".encode("utf-8", "backslashreplace")


def csv_document(timeline: Timeline) -> bytes:
    """Times to the millisecond; a column `person` where people are told apart."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    apart = timeline.people is not None
    writer.writerow(("start_s", "end_s", "label", "score", *(["person"] if apart else [])))
    for event in timeline.events:
        times = (f"{event.start_s:.3f}", f"{event.end_s:.3f}")
        who = [event.person] if apart else []
        writer.writerow((*times, event.label, f"{event.score:.4f}", *who))
    return _encoded(text.getvalue())


def vtt_document(timeline: Timeline) -> bytes:
    """WebVTT (W3C): one cue an event, and a note if reading stopped early."""
    blocks = ["WEBVTT"]
    if not timeline.complete:
        stopped = _clock(round(timeline.duration_s * 1000), ".")
        blocks.append(f"NOTE incomplete: reading was stopped at {stopped}")
    # Escaping > as well leaves no --> in a text.
    blocks += [
        f"{_span(event, '.')}\n{html.escape(_cue(event), False)}" for event in timeline.events
    ]
    return _encoded("\n\n".join(blocks) + "\n")


def srt_document(timeline: Timeline) -> bytes:
    """SubRip: numbered cues. It has no escapes, so that < and > become look-alikes."""
    look_alike = str.maketrans("<>", "\u2039\u203a")  # ‹ and ›
    return _encoded(
        "".join(
            f"{number}\n{_span(event, ',')}\n{_cue(event).translate(look_alike)}\n\n"
            for number, event in enumerate(timeline.events, 1)
        )
    )


FORMATS: dict[str, Callable[[Timeline], bytes]] = {
    ".json": json_document,
    ".csv": csv_document,
    ".vtt": vtt_document,
    ".srt": srt_document,
    ".eaf": elan_document,
}


def _cue(event: Event) -> str:
    """'label (0.87)' on one line, or 'person 3: label (0.87)'."""
    label = "".join(char if char.isprintable() else " " for char in event.label)
    who = "" if event.person is None else f"person {event.person}: "
    return f"{who}{' '.join(label.split())} ({event.score:.2f})"


def _span(event: Event, point: str) -> str:
    """A cue lasts a millisecond at least: players drop those that last none."""
    start_ms = max(0, round(event.start_s * 1000))
    end_ms = max(round(event.end_s * 1000), start_ms + 1)
    return f"{_clock(start_ms, point)} --> {_clock(end_ms, point)}"


def _clock(time_ms: int, point: str) -> str:
    """3_723_004 -> 01:02:03.004."""
    seconds, thousandths = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{thousandths:03d}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _json_lines(items: Iterable[object]) -> str:
    lines = ",\n  ".join(_json(item) for item in items)
    return f"[\n  {lines}\n ]" if lines else "[]"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def read_segments(path: Path) -> tuple[Event, ...]:
    """The timeline that a person wrote as CSV start_s,end_s,label, in order of time.

    Further columns are ignored, every score is 1. Seconds from the start of the video, one action
    at a time; only a header: nothing happens.
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
