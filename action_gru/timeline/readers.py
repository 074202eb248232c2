"""Which reader reads an annotation file, and the one door to a reference timeline.

`READERS` names every form that is read. A file's form is recognised by its ending and its content.
Knows no video: names of videos stay as the file has them, and frame numbers stay numbers until a
caller gives the instants of the frames.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote

from action_gru.core.errors import DataError
from action_gru.core.paths import VIDEO_SUFFIXES, composed
from action_gru.core.text import name_some
from action_gru.timeline.events import Event
from action_gru.timeline.segments import Annotations, Segment, Source, names_of
from action_gru.timeline.text_formats import (
    is_audacity,
    is_text,
    read_audacity,
    read_csv,
    read_cues,
    read_gmdcsa24,
)
from action_gru.timeline.tool_formats import (
    has_keys,
    is_charades,
    is_createml,
    is_label_studio,
    read_activitynet,
    read_boris,
    read_charades,
    read_createml,
    read_label_studio,
    read_timeline_json,
    read_via,
)
from action_gru.timeline.xml_formats import read_cvat, read_elan

# The first line of AVA's lists: video, second, box, action.
_AVA = re.compile(rb"[^,\n]+,0*\d+(\.\d+)?(,[\d.]+){4},\d+")
_UPLOADED = re.compile(
    r"[0-9a-f]{8}-(?=.)"
)  # what Label Studio puts before an uploaded file's name


@dataclass(frozen=True)
class Reader:
    """read: adds what a file holds to Annotations. suffixes: of its files. fits: whether a file
    with such a suffix is of this form, by its content.
    """

    read: Callable[[Source, Annotations], None]
    suffixes: tuple[str, ...]
    fits: Callable[[Source], bool]


def _root_is(tag: str) -> Callable[[Source], bool]:
    return lambda source: source.xml is not None and source.xml.tag == tag


def _has(*keys: str) -> Callable[[Source], bool]:
    return lambda source: has_keys(source.json, *keys)


def _columns(*names: str) -> Callable[[Source], bool]:
    return lambda source: set(names) <= set(source.table[0])


def _either(fits: Callable[[Source], bool], *columns: str) -> Callable[[Source], bool]:
    """Of a tool that writes JSON and tables."""
    return lambda source: (_columns(*columns) if source.suffix in _TABLES else fits)(source)


_TABLES = (".csv", ".tsv")

READERS: dict[str, Reader] = {
    "elan": Reader(read_elan, (".eaf", ".xml"), _root_is("ANNOTATION_DOCUMENT")),
    "cvat": Reader(read_cvat, (".xml",), _root_is("annotations")),
    "timeline": Reader(read_timeline_json, (".json",), _has("events", "complete")),
    "via": Reader(read_via, (".json",), _has("metadata", "attribute", "view", "file")),
    "activitynet": Reader(read_activitynet, (".json",), _has("database")),
    "boris": Reader(
        read_boris,
        (".boris", ".json", *_TABLES),
        _either(_has("observations", "behaviors_conf"), "behavior", "start (s)", "stop (s)"),
    ),
    "charades": Reader(read_charades, (".json", *_TABLES), _either(is_charades, "id", "actions")),
    "label-studio": Reader(
        read_label_studio,
        (".json", *_TABLES),
        _either(is_label_studio, "annotator", "lead_time"),
    ),
    "createml": Reader(read_createml, (".json",), is_createml),
    "gmdcsa24": Reader(read_gmdcsa24, _TABLES, _columns("file name", "classes")),
    "audacity": Reader(read_audacity, (".txt",), is_audacity),
    "vtt": Reader(read_cues, (".vtt",), lambda source: source.text.startswith("WEBVTT")),
    "srt": Reader(read_cues, (".srt",), is_text),
    "csv": Reader(read_csv, _TABLES, is_text),  # the last: its own error says what is missing
}


def read_annotations(path: Path, form: str | None = None) -> tuple[str, Annotations]:
    """The form of an annotation file, and what it holds. form: a name of READERS; by default the
    first whose suffix and content fit. Raises DataError for a file that is damaged or of no form.
    """
    source, found = Source(path), Annotations()
    if form is not None and form not in READERS:
        raise DataError(f"'{form}' is no form that is read; choose one of {', '.join(READERS)}")
    source.data  # noqa: B018  (raises where no file is)
    name = form or _recognised(source)
    if ".xml" in READERS[name].suffixes and not READERS[name].fits(source):
        raise DataError(f"{path}: is no file of {name}, it holds {source.summary()}; see --format")
    try:
        READERS[name].read(source, found)
        if odd := [video for video in found.videos if not isinstance(video, str | None)]:
            raise ValueError(f"the name of a video is no text, but {odd[0]!r}")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as {name} ({type(error).__name__}: {error}); export it again, "
            "or name its form with --format"
        ) from error
    return name, found


def _recognised(source: Source) -> str:
    if source.suffix in _TABLES and _AVA.match(source.data):
        raise DataError(
            f"{source.path}: a list of AVA, which has no header; 'action-gru prepare ava FOLDER' "
            "reads it with its map of classes"
        )
    for name, reader in READERS.items():
        if source.suffix in reader.suffixes and reader.fits(source):
            return name
    known = {suffix for reader in READERS.values() for suffix in reader.suffixes}
    if source.suffix in known:
        problem = f"'{source.suffix}' in no form that is read; it holds {source.summary()}"
    else:
        problem = f"unknown ending '{source.suffix}'; read are {', '.join(sorted(known))}"
    raise DataError(f"{source.path}: {problem}. The forms are {', '.join(READERS)} (--format)")


def video_keys(name: str) -> list[str]:
    """What a video's file may be called, the likeliest first, for a name in an annotation file.

    Without folders, in NFC and small letters, by its whole name and by its stem: a URL, a path of
    another machine, Label Studio's `/data/upload/1/1a2b3c4d-a.mp4`, ActivityNet's bare id `v_ID`,
    and `Fall/13.mp4` as `Fall_13.mp4`.
    """
    plain = composed(name).casefold().replace("\\", "/").split("/")
    bases = [plain[-1]]
    if "://" in name or name.startswith("/data/"):
        address, _, query = composed(name).casefold().partition("?")
        local = parse_qs(query).get("d")  # Label Studio's local files
        bases.append((local[0] if local else unquote(address)).rpartition("/")[2])
    bases += [_UPLOADED.sub("", base) for base in bases]
    bases += [f"v_{plain[-1]}", "_".join(plain[-2:])]
    return list(dict.fromkeys([*bases, *map(video_stem, bases)]))


def video_stem(base: str) -> str:
    """The name without a video's ending; a bare id, which may hold a dot, stays."""
    return PurePosixPath(base).stem if PurePosixPath(base).suffix in VIDEO_SUFFIXES else base


def read_segments(
    path: Path,
    video: Path | None = None,
    time_of_frame: Callable[[float], float] | None = None,
    *,
    overlaps: bool = False,
) -> tuple[Event, ...]:
    """What happens in one video, in order of time: an annotation file of any form of READERS.

    video: whose annotations are wanted, of a file on several. time_of_frame: see Segment.seconds;
    asked only for what is counted in frames or has no end. overlaps: whether segments may overlap;
    a label of several names, as in `walk; read`, then is as many segments. Raises DataError with
    the place in the file, also for what `prepare annotations` leaves out.
    """
    _, found = read_annotations(path)
    if found.problems:
        raise DataError(f"{path}, {found.problems[0]}")
    segments = [
        (_event(one, path, time_of_frame), one.where) for one in segments_of(found, path, video)
    ]
    segments.sort(key=lambda segment: (segment[0].start_s, segment[0].end_s))
    for (one, where), (other, there) in pairwise(segments):
        if other.start_s < one.end_s and not overlaps:
            raise DataError(
                f"{path}, {where} and {there}: '{one.label}' lasts until {one.end_s:g}, "
                f"'{other.label}' begins at {other.start_s:g}; one action at a time"
            )
    if overlaps:
        return tuple(replace(one, label=x) for one, _ in segments for x in names_of(one.label))
    return tuple(segment for segment, _ in segments)


def segments_of(found: Annotations, path: Path, video: Path | None) -> list[Segment]:
    """The segments of the video; of a file on one video all, whatever its name.

    path: of the annotation file. Raises DataError where it is about other videos.
    """
    if len(found.videos) <= 1:
        return found.segments
    wanted = video_keys(video.name)[:1] if video else []
    wanted += [video_stem(key) for key in wanted]
    names = [name for name in found.videos if set(wanted) & set(video_keys(name))]
    if not names:
        which = f"none of them is {video.name}" if video else "one is needed"
        raise DataError(f"{path}: is about {name_some(list(found.videos))}, and {which}")
    return [one for one in found.segments if one.video in names]


def _event(segment: Segment, path: Path, time_of_frame: Callable[[float], float] | None) -> Event:
    if time_of_frame is None:
        if segment.in_frames or segment.end is None:
            raise DataError(
                f"{path}, {segment.where}: counts in frames, or lasts to the end of the video, and "
                "no video is known; write seconds"
            )
        time_of_frame = float
    start_s, end_s = segment.seconds(time_of_frame)
    return Event(segment.label, start_s, end_s, segment.score, segment.person)
