"""Timelines as files: one function a format, chosen by the file's suffix.

.json  everything, with the scores over time; for programs
.csv   the events; for spreadsheets
.vtt   WebVTT, for a web page's video element
.srt   SubRip, for video players
.eaf   ELAN, for annotators

Each is read back by readers.py. Beside these `write_sentences` writes a .txt for readers (see
sentences.py).
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from xml.etree import ElementTree as ET

from action_gru.core.errors import ConfigError
from action_gru.core.files import write_or_raise
from action_gru.timeline.events import Event, Timeline


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


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _json_lines(items: Iterable[object]) -> str:
    lines = ",\n  ".join(map(_json, items))
    return f"[\n  {lines}\n ]" if lines else "[]"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def csv_document(timeline: Timeline) -> bytes:
    """Times to the millisecond; a column `person` where people are tracked one by one."""
    width = 4 if timeline.people is None else 5
    rows: list[tuple[object, ...]] = [("start_s", "end_s", "label", "score", "person")]
    for e in timeline.events:
        rows.append((f"{e.start_s:.3f}", f"{e.end_s:.3f}", e.label, f"{e.score:.4f}", e.person))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(row[:width] for row in rows)
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


def _cue(event: Event) -> str:
    """'label (0.87)' on one line, or 'person 3: label (0.87)'."""
    label = "".join(char if char.isprintable() else " " for char in event.label)
    who = "" if event.person is None else f"person {event.person}: "
    return f"{who}{' '.join(label.split())} ({event.score:.2f})"


def _span(event: Event, point: str) -> str:
    start_ms, end_ms = _milliseconds(event)
    return f"{_clock(start_ms, point)} --> {_clock(end_ms, point)}"


def _milliseconds(event: Event, from_ms: int = 0) -> tuple[int, int]:
    """(start, end) from from_ms on; a millisecond at least, since no player shows less."""
    start_ms = max(round(event.start_s * 1000), from_ms)
    return start_ms, max(round(event.end_s * 1000), start_ms + 1)


def _clock(time_ms: int, point: str) -> str:
    """3_723_004 -> 01:02:03.004."""
    seconds, thousandths = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{thousandths:03d}"


XSI = "http://www.w3.org/2001/XMLSchema-instance"
ELAN_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
MIME_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
}
# The language is ELAN's of labels in no language.
ELAN_TYPES = """<types>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="action" TIME_ALIGNABLE="true" GRAPHIC_REFERENCES="false"
 CONTROLLED_VOCABULARY_REF="classes" />
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="score" TIME_ALIGNABLE="false" GRAPHIC_REFERENCES="false"
 CONSTRAINTS="Symbolic_Association" />
<LANGUAGE LANG_ID="und" LANG_DEF="http://cdb.iso.org/lg/CDB-00130975-001"
 LANG_LABEL="undetermined (und)" />
<CONSTRAINT STEREOTYPE="Symbolic_Association" DESCRIPTION="1-1 association with a parent annotation"
 />
</types>"""
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def elan_document(timeline: Timeline) -> bytes:
    """ELAN annotation document, format 3.0; it expects the video where it was read, else beside
    itself. https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf

    A tier `action` holds one annotation an event; its vocabulary is the list of classes, so that a
    label is corrected by choosing another. A tier `score` below it holds each event's score, which
    can be hidden or deleted without a loss to the annotations. Events that overlap stand in further
    tiers: `action 2` and `score 2`. Where people are tracked one by one, each has tiers of its own:
    `person 3` and `score 3`.
    """
    root = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "action-gru",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": XSI,
            "xsi:noNamespaceSchemaLocation": ELAN_SCHEMA,
        },
    )
    labels = dict.fromkeys([*timeline.classes, *(event.label for event in timeline.events)])
    entries = {label: f"cve{number}" for number, label in enumerate(labels)}
    _add_header(root, timeline)
    _add_tiers(root, timeline, entries)
    root.extend(ET.fromstring(ELAN_TYPES))
    vocabulary = _add(root, "CONTROLLED_VOCABULARY", CV_ID="classes")
    _add(vocabulary, "DESCRIPTION", "the classes of the model", LANG_REF="und")
    for label, entry in entries.items():
        _add(_add(vocabulary, "CV_ENTRY_ML", CVE_ID=entry), "CVE_VALUE", label, LANG_REF="und")
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _add_header(root: ET.Element, timeline: Timeline) -> None:
    header = _add(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    source = timeline.source
    if "://" in source:
        _add(header, "MEDIA_DESCRIPTOR", MEDIA_URL=source, MIME_TYPE="video/*")
    elif Path(source).suffix:  # a camera's number has none
        path = Path(source).absolute()
        _add(
            header,
            "MEDIA_DESCRIPTOR",
            # ELAN strips file:// and takes the rest as it is: no %20 for a space.
            MEDIA_URL=f"file:///{path.as_posix().lstrip('/')}",
            MIME_TYPE=MIME_TYPES.get(path.suffix.lower(), "video/*"),
            RELATIVE_MEDIA_URL=f"./{path.name}",
        )
    _add(header, "PROPERTY", str(2 * len(timeline.events)), NAME="lastUsedAnnotationId")
    if not timeline.complete:
        _add(header, "PROPERTY", f"{timeline.duration_s:.3f}", NAME="incomplete: stopped at second")


def _add_tiers(root: ET.Element, timeline: Timeline, entries: dict[str, str]) -> None:
    """The time slots and the tiers of annotations; entries: label -> its id in the vocabulary."""
    order, numbers, total = _add(root, "TIME_ORDER"), count(1), len(timeline.events)
    for name, below, events in _tiers(timeline):
        actions = _add(root, "TIER", TIER_ID=name, LINGUISTIC_TYPE_REF="action")
        scores = _add(root, "TIER", TIER_ID=below, LINGUISTIC_TYPE_REF="score", PARENT_REF=name)
        end_ms = 0
        for event in events:
            number = next(numbers)
            start_ms, end_ms = _milliseconds(event, end_ms)
            slots = {"TIME_SLOT_REF1": f"ts{2 * number - 1}", "TIME_SLOT_REF2": f"ts{2 * number}"}
            for slot, time_ms in zip(slots.values(), (start_ms, end_ms), strict=True):
                _add(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time_ms))
            ids = {"ANNOTATION_ID": f"a{number}", "CVE_REF": entries[event.label], **slots}
            _add_annotation(actions, "ALIGNABLE_ANNOTATION", event.label, ids)
            ids = {"ANNOTATION_ID": f"a{total + number}", "ANNOTATION_REF": f"a{number}"}
            _add_annotation(scores, "REF_ANNOTATION", f"{event.score:.2f}", ids)


def _tiers(timeline: Timeline) -> Iterator[tuple[str, str, list[Event]]]:
    """(name, name of the scores below, events) of each tier, of which ELAN takes no overlap.

    What overlaps stands in further tiers: `action 2`, and of a person `person 3, 2`.
    """
    people: list[int | None] = [None]
    if timeline.people and timeline.events:
        people = [*sorted({event.person or 0 for event in timeline.events})]
    for person in people:
        tiers: list[list[Event]] = [[]]
        for event in timeline.events:
            if person in (None, event.person or 0):
                tier = next((tier for tier in tiers if not tier or _follows(event, tier[-1])), None)
                if tier is None:
                    tiers.append(tier := [])
                tier.append(event)
        for number, events in enumerate(tiers, 1):
            who = "" if person is None else f" {person}"
            further = "" if number == 1 else f"{',' if who else ''} {number}"
            yield f"{'person' if who else 'action'}{who}{further}", f"score{who}{further}", events


def _follows(event: Event, other: Event) -> bool:
    """Whether they don't overlap, as times are written."""
    return round(other.end_s * 1000) <= round(event.start_s * 1000)


def _add_annotation(tier: ET.Element, kind: str, value: str, ids: dict[str, str]) -> None:
    _add(_add(_add(tier, "ANNOTATION"), kind, **ids), "ANNOTATION_VALUE", value)


def _add(parent: ET.Element, tag: str, text: str = "", /, **attributes: str) -> ET.Element:
    """A child; what XML cannot hold becomes U+FFFD."""
    clean = {key: _NO_XML.sub("\ufffd", value) for key, value in attributes.items()}
    element = ET.SubElement(parent, tag, clean)
    element.text = _NO_XML.sub("\ufffd", text) or None
    return element


FORMATS: dict[str, Callable[[Timeline], bytes]] = {
    ".json": json_document,
    ".csv": csv_document,
    ".vtt": vtt_document,
    ".srt": srt_document,
    ".eaf": elan_document,
}
