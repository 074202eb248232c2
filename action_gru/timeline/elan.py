"""Writes ELAN annotation documents, format 3.0. Knows nothing of other formats.

https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf

A tier `action` holds one annotation an event; its vocabulary is the list of classes, so that a
label is corrected by choosing another. A tier `score` below it holds each event's score, out of
the way: it can be hidden or deleted without a loss to the annotations. Where people are told apart,
each has both tiers: `person 3` and `score 3`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from action_gru.timeline.events import Event, Timeline

XSI = "http://www.w3.org/2001/XMLSchema-instance"
SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
MIME_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
}
# The language is ELAN's of labels in no language.
TYPES = """<types>
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
    """The document; it expects the video where it was read, else beside itself."""
    root = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "action-gru",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": XSI,
            "xsi:noNamespaceSchemaLocation": SCHEMA,
        },
    )
    labels = dict.fromkeys([*timeline.classes, *(event.label for event in timeline.events)])
    entries = {label: f"cve{number}" for number, label in enumerate(labels)}
    tiers = _tiers(timeline)
    _add_header(root, timeline)
    _add_times(root, tiers.values())
    first, total = 1, len(timeline.events)
    for names, events in tiers.items():
        _add_tiers(root, names, list(enumerate(events, first)), entries, total)
        first += len(events)
    root.extend(ET.fromstring(TYPES))
    vocabulary = _add(root, "CONTROLLED_VOCABULARY", CV_ID="classes")
    _add(vocabulary, "DESCRIPTION", "the classes of the model", LANG_REF="und")
    for label, entry in entries.items():
        _add(_add(vocabulary, "CV_ENTRY_ML", CVE_ID=entry), "CVE_VALUE", label, LANG_REF="und")
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _tiers(timeline: Timeline) -> dict[tuple[str, str], tuple[Event, ...]]:
    """(name of the tier, name of its scores) -> the events on it, which never overlap."""
    if not timeline.people or not timeline.events:
        return {("action", "score"): timeline.events}
    numbers = sorted({event.person or 0 for event in timeline.events})
    return {
        (f"person {number}", f"score {number}"): tuple(
            event for event in timeline.events if (event.person or 0) == number
        )
        for number in numbers
    }


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


def _add_times(root: ET.Element, tiers: Iterable[tuple[Event, ...]]) -> None:
    """Whole milliseconds, none empty: ELAN takes no overlaps and no empty annotation."""
    times_ms: list[int] = []
    for events in tiers:
        last_ms = 0
        for event in events:
            start_ms = max(round(event.start_s * 1000), last_ms)
            last_ms = max(round(event.end_s * 1000), start_ms + 1)
            times_ms += [start_ms, last_ms]
    order = _add(root, "TIME_ORDER")
    for number, time_ms in enumerate(times_ms, 1):
        _add(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=str(time_ms))


def _add_tiers(
    root: ET.Element,
    names: tuple[str, str],
    numbered: list[tuple[int, Event]],
    entries: dict[str, str],
    total: int,
) -> None:
    """numbered: the events with their numbers in the document, which has `total`."""
    actions = _add(root, "TIER", TIER_ID=names[0], LINGUISTIC_TYPE_REF="action")
    for number, event in numbered:
        annotation = _add(
            _add(actions, "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            ANNOTATION_ID=f"a{number}",
            CVE_REF=entries[event.label],
            TIME_SLOT_REF1=f"ts{2 * number - 1}",
            TIME_SLOT_REF2=f"ts{2 * number}",
        )
        _add(annotation, "ANNOTATION_VALUE", event.label)
    scores = _add(root, "TIER", TIER_ID=names[1], LINGUISTIC_TYPE_REF="score", PARENT_REF=names[0])
    for number, event in numbered:
        ids = {"ANNOTATION_ID": f"a{total + number}", "ANNOTATION_REF": f"a{number}"}
        annotation = _add(_add(scores, "ANNOTATION"), "REF_ANNOTATION", **ids)
        _add(annotation, "ANNOTATION_VALUE", f"{event.score:.2f}")


def _add(parent: ET.Element, tag: str, text: str = "", /, **attributes: str) -> ET.Element:
    """A child; what XML cannot hold becomes U+FFFD."""
    clean = {key: _NO_XML.sub("\ufffd", value) for key, value in attributes.items()}
    element = ET.SubElement(parent, tag, clean)
    element.text = _NO_XML.sub("\ufffd", text) or None
    return element
