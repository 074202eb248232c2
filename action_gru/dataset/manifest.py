"""Reads the manifest CSV: which clips there are, what they show, where they come from.

Columns: path,label[,group][,split][,start_s,end_s][,timeline][,frame_rate]; start_frame,end_frame
may stand for start_s,end_s. frame_rate: of a path that is a folder or archive of pictures, a
second. Knows nothing of what frames show.

A row with a timeline is no clip but a long video to test on, which is never trained on. path: the
video. label: empty. timeline: an annotation file (see timeline/readers.py) below the same root.
split: test (or empty) or val.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from action_gru.core.csv_dialect import read_rows
from action_gru.core.errors import DataError
from action_gru.core.numbered_pictures import about_pictures
from action_gru.core.paths import composed, is_frames, with_slashes
from action_gru.core.text import counted, name_some
from action_gru.dataset.cells import (
    FRAMES,
    SECONDS,
    bounds_of,
    check_columns,
    frame_clock,
    inside,
    must_be_named,
    name_of,
    split_name,
    warn_once,
)
from action_gru.dataset.frame_rate import choose_frame_rate, parse_frame_rate
from action_gru.timeline import Event, read_segments
from action_gru.timeline.segments import names_of

SPLITS = ("train", "val", "test")
LABEL_SEPARATOR = "; "
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode's category Cc
T = TypeVar("T")
Listed = TypeVar("Listed", "Clip", "LongVideo")


@dataclass(frozen=True)
class Clip:
    """A stretch [start_s, end_s) of a video file with a label; None bounds reach the file's ends.

    group names the source (person, camera, original video) that a split must not divide; a clip
    without one is its file's own group. shows: every class in it, where each of its
    rows has one, and label is then that of its end; or where a clip may show several, and label is
    then all of them ('walk; read'), or empty for none. frame_rate: of a folder of frames, a second.
    """

    path: Path
    relative: str
    label: str
    group: str
    split: str = ""
    start_s: float | None = None
    end_s: float | None = None
    shows: tuple[str, ...] = ()
    frame_rate: float | None = None
    stretches: tuple[Clip, ...] = ()  # the manifest's rows of a long video, see `segments`

    @property
    def labels(self) -> tuple[str, ...]:
        """Every class that the clip teaches."""
        return self.shows or ((self.label,) if self.label else ())

    @property
    def name(self) -> str:
        """The path as the manifest has it, with the bounds if there are any."""
        if self.start_s is None and self.end_s is None:
            return self.relative
        end = "" if self.end_s is None else _shortest(self.end_s)
        return f"{self.relative}[{_shortest(self.start_s or 0.0)}:{end}]"


@dataclass(frozen=True)
class LongVideo:
    """A video with what truly happens in it; timeline: the file as the manifest names it."""

    path: Path
    relative: str
    group: str
    split: str
    timeline: str
    segments: tuple[Event, ...]
    frame_rate: float | None = None


def _shortest(seconds: float) -> str:
    """Text that no other number has: 3.0 -> 3, 2.5 -> 2.5, 10000.01 -> 10000.01."""
    text = f"{seconds:g}"  # at most six digits
    return text if float(text) == seconds else repr(seconds)


def read_manifest(
    manifest: Path,
    root: Path | None = None,
    classes: Sequence[str] | None = None,
    many: bool = False,
    *,
    frame_rate: float | None = None,
    follow_links: bool = False,
    stretches: bool = False,
) -> list[Clip]:
    """The clips of a manifest, in its order. root: where its paths start; by default its folder.

    many: a label is any number of names, with ';' between them. frame_rate: of folders of frames
    whose row gives none. follow_links: whether links may lead out of root. stretches: rows are of
    long videos; one may lack a label. Warns of classes that differ only in case or spaces.

    Raises DataError with the line number for a row that cannot be used. A file that is missing is
    no error here: extraction quarantines it like any other bad clip.
    """
    root = root or manifest.parent
    if not manifest.is_file():
        raise DataError(f"no manifest at {manifest} (looked up as {manifest.absolute()})")
    if not root.is_dir():
        raise DataError(f"data.root: no folder at {root} (looked up as {root.absolute()})")
    parse = partial(_clip, many=many, frame_rate=frame_rate, follow_links=follow_links, real={})
    parse = partial(parse, needs_label=not (many or stretches))
    clips = _read_rows(manifest, root, parse, has_timeline=False)
    if not clips:
        raise DataError(f"{manifest}: holds no clip, only a header")
    _check_labels(clips, classes, manifest)
    _check_duplicates(clips, manifest, stretches)
    _check_files(clips, manifest)
    _warn_of_spellings(clips, manifest)
    return [_with_rate(clip, frame_rate, manifest) for clip in clips]


def read_long_videos(
    manifest: Path,
    root: Path | None = None,
    classes: Sequence[str] | None = None,
    many: bool = False,
    *,
    frame_rate: float | None = None,
    follow_links: bool = False,
) -> list[LongVideo]:
    """The long videos of a manifest, in its order; most have none. many: what happens in one may
    overlap. The others: see read_manifest.

    Raises DataError for a row or a timeline that cannot be used.
    """
    parse = partial(_long_video, many=many, frame_rate=frame_rate, follow_links=follow_links)
    videos = _read_rows(manifest, root or manifest.parent, parse, has_timeline=True)
    for index, video in enumerate(videos):
        if classes is not None:
            check_labels(video.segments, video.timeline, classes)
        if video.path in [other.path for other in videos[:index]]:
            raise DataError(f"{manifest}: the long video {video.relative} appears twice")
    return [_with_rate(video, frame_rate, manifest) for video in videos]


def _with_rate(item: Listed, default: float | None, manifest: Path) -> Listed:
    named = f"{manifest}: {item.relative}"
    rate = choose_frame_rate(item.path, named, item.frame_rate, default)
    return item if rate == item.frame_rate else replace(item, frame_rate=rate)


def _read_rows(
    manifest: Path, root: Path, parse: Callable[[dict[str, str], Path], T], has_timeline: bool
) -> list[T]:
    """The parsed rows with a timeline, or those without one. Raises DataError where parse fails."""
    try:
        names, rows = read_rows(manifest, (*SECONDS, "frame_rate"), needed=("path", "label"))
    except ValueError as error:
        raise DataError(f"{manifest}: {error}") from error
    check_columns(names, manifest)
    found = []
    for line, row in rows:
        row = {key: text.strip() for key, text in row.items()}
        if bool(row.get("timeline")) == has_timeline:
            try:
                found.append(parse(row, root))
            except ValueError as error:
                raise DataError(f"{manifest}, line {line}: {error}") from error
    return found


def _clip(
    row: dict[str, str],
    root: Path,
    many: bool,
    needs_label: bool,
    frame_rate: float | None,
    follow_links: bool,
    real: dict[str, str],
) -> Clip:
    for column, text in row.items():
        if _CONTROL.search(text):  # may steer a terminal
            raise ValueError(f"{column} holds a control character, got {text[:40]!r}")
    relative, label = with_slashes(root, row["path"]), name_of(row["label"])
    shows = names_of(label) if many else ()
    if not relative or (needs_label and not label):
        raise ValueError(must_be_named(relative, label))
    split = split_name(row.get("split", ""))
    path, group = inside(root, relative, follow_links, real), _group(row, relative)
    rate = parse_frame_rate(row.get("frame_rate", ""))
    start_s, end_s = bounds_of(row, path, rate or frame_rate)
    label = LABEL_SEPARATOR.join(shows) if many else label
    return Clip(path, relative, label, group, split, start_s, end_s, shows, rate)


def _group(row: dict[str, str], relative: str) -> str:
    return name_of(row["group"]) if row.get("group") else composed(relative)


def _long_video(
    row: dict[str, str], root: Path, many: bool, frame_rate: float | None, follow_links: bool
) -> LongVideo:
    relative, timeline = (with_slashes(root, row[column]) for column in ("path", "timeline"))
    if not relative or row["label"]:
        raise ValueError(
            f"a row with a timeline is a long video: path and no label, got '{relative}' "
            f"and '{row['label']}'"
        )
    if bounded := [name for name in (*SECONDS, *FRAMES) if row.get(name)]:
        raise ValueError(f"a long video is read whole: leave {name_some(bounded)} empty")
    split = split_name(row.get("split", "")) or "test"
    if split == "train":
        raise ValueError("a long video is for test or val; train on clips cut from another one")
    path, reference = (inside(root, place, follow_links) for place in (relative, timeline))
    group, rate = _group(row, relative), parse_frame_rate(row.get("frame_rate", ""))
    happens = read_segments(reference, path, frame_clock(path, rate or frame_rate), overlaps=many)
    segments = tuple(replace(one, label=name_of(one.label)) for one in happens)
    return LongVideo(path, relative, group, split, timeline, segments, rate)


def _check_labels(clips: Sequence[Clip], classes: Sequence[str] | None, manifest: Path) -> None:
    known = set(map(name_of, classes or ()))
    unknown = Counter(name for c in clips for name in c.labels if known and name not in known)
    if unknown:
        named = ", ".join(
            f"'{label}' ({counted(count, 'clip')})" for label, count in unknown.most_common(5)
        )
        raise DataError(
            f"{manifest}: unknown label {named}; the classes are {', '.join(classes or [])}"
        )


def _check_duplicates(clips: Sequence[Clip], manifest: Path, stretches: bool) -> None:
    seen: dict[tuple[object, ...], Clip] = {}
    for clip in clips:
        label = clip.label if stretches else ""
        place = str(clip.path), clip.start_s or 0.0, clip.end_s, clip.split, label
        other = seen.setdefault(place, clip)
        if other is not clip:
            labels = f" as '{other.label}' and '{clip.label}'" if other.label != clip.label else ""
            raise DataError(f"{manifest}: the clip {clip.name} appears twice{labels}; keep one row")


def _warn_of_spellings(clips: Sequence[Clip], manifest: Path) -> None:
    """Warn of classes whose names are one but for case and spaces, as after a typing error."""
    alike: dict[str, Counter[str]] = {}
    for label, count in Counter(label for clip in clips for label in clip.labels).items():
        alike.setdefault("".join(label.split()).casefold(), Counter())[label] += count
    for counts in alike.values():
        if len(counts) > 1:
            spelled = [f"'{label}' ({counted(n, 'row')})" for label, n in counts.most_common()]
            warn_once(
                f"{manifest}: the classes {name_some(spelled)} differ only in case or spaces; did "
                f"you mean one class, such as '{counts.most_common(1)[0][0]}'?"
            )


def _check_files(clips: Sequence[Clip], manifest: Path) -> None:
    """Raise DataError unless one path at least is that of a file, or of a folder of frames."""
    if any(clip.path.is_file() or is_frames(clip.path) for clip in clips):
        return
    if folders := [clip for clip in clips if clip.path.is_dir()]:
        raise DataError(
            f"{manifest}: {folders[0].relative} is a folder, as are {len(folders)} of its "
            f"{len(clips)} paths; {about_pictures(folders[0].path) or 'name the files in it'}"
        )
    raise DataError(
        f"{manifest}: none of its {len(clips)} files exists, the first looked up as "
        f"{clips[0].path}; set data.root (for evaluate --root) to the folder that its paths start "
        "from"
    )


def check_labels(segments: Sequence[Event], name: str, classes: Sequence[str]) -> None:
    """Raise DataError where a reference names a class that the model does not know."""
    unknown = sorted({segment.label for segment in segments} - set(classes))
    if unknown:
        raise DataError(
            f"{name}: unknown label {', '.join(unknown)}; the classes are {', '.join(classes)}: "
            "rename such segments, or leave them out"
        )


def check_long_videos(videos: Sequence[LongVideo], trained: Sequence[Clip]) -> None:
    """Raise DataError where a long video shares a group or its file with a training clip."""
    groups = {clip.group: clip for clip in trained}
    files = {clip.path: clip for clip in trained}
    for video in videos:
        clip = groups.get(video.group) or files.get(video.path)
        if clip is not None:
            raise DataError(
                f"the long video {video.relative} and the training clip {clip.name} are of one "
                f"group ('{video.group}') or file: the score would be too good. Take the clip out "
                "of training, or write data.allow_leakage: true"
            )


def class_list(clips: Sequence[Clip], classes: Sequence[str] | None = None) -> tuple[str, ...]:
    """The classes in order: as configured, else the labels sorted. At least two, or one where some
    clips show nothing; none empty.
    """
    found = sorted({label for clip in clips for label in clip.labels})
    if not found:
        raise DataError("no clip has a label; name in the column label what it shows")
    if len(found) < 2 - any(not clip.labels for clip in clips):
        raise DataError(
            f"the data has one class only ('{found[0]}'); a classifier needs at least two: "
            "add clips of something else, such as a folder named 'other'"
        )
    if classes is None:
        return tuple(found)
    spelled = {name_of(name): name for name in found}
    classes = tuple(spelled.get(name_of(name), name) for name in classes)
    empty = [name for name in classes if name not in found]
    if empty:
        raise DataError(f"data.classes: no clip shows {', '.join(empty)}; add some or drop it")
    return classes


def data_hash(clips: Sequence[Clip]) -> str:
    """Hash over all rows, in hex: the same data gives the same hash wherever it is stored."""
    digest = hashlib.sha256()
    for clip in sorted(clips, key=lambda clip: clip.name):
        bounds = (clip.start_s or 0.0, clip.end_s)
        rate = () if clip.frame_rate is None else (clip.frame_rate,)
        whole = (clip.relative, bounds, clip.label, clip.group, clip.split, *rate)
        digest.update(repr(whole).encode())
        for row in clip.stretches:
            digest.update(repr((row.start_s or 0.0, row.end_s, row.label)).encode())
    return digest.hexdigest()[:16]
