"""Annotation files to a manifest of segments: which videos are meant, and what lies in them.

Owns how names in annotations become files of a folder, and how segments become rows in seconds.
Knows no form of an annotation file (see timeline/readers.py).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from action_gru.core.errors import DataError, VideoError
from action_gru.core.paths import composed, is_frames
from action_gru.core.text import command_line, counted, name_some
from action_gru.dataset.cells import frame_clock
from action_gru.prepare.files import clips_in, has_links
from action_gru.prepare.rows import Row, content_of, write_content
from action_gru.timeline.readers import read_annotations, video_keys, video_stem
from action_gru.timeline.segments import Annotations, Segment, names_of

NOTES_SHOWN = 20
ROUNDING_S = 0.0005  # an end so little past the video's is the video's


def root_of(manifest: Path, root: Path) -> list[str]:
    """The override that a manifest outside of its root needs."""
    return [] if manifest.absolute().parent == root else [f"data.root={root}"]


@dataclass(frozen=True)
class PreparedAnnotations:
    """What was written. counts: segments, videos and classes of the manifest.

    missing: the videos that annotations name and the folder lacks. notes: what was cut or left out,
    and where it stands. overlapping: how many segments begin before another of their video ends.
    has_links: whether the folder holds links, which were followed.
    """

    root: Path
    manifest: Path
    counts: dict[str, int]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    overlapping: int
    has_links: bool = False

    def document(self) -> dict[str, Any]:
        """The answer of `prepare annotations --json`."""
        written = {"manifest": str(self.manifest), "root": str(self.root), **self.counts}
        told = {"missing": list(self.missing), "notes": list(self.notes)}
        return {**written, "overlapping": self.overlapping, **told}

    def warnings(self) -> list[str]:
        """What the manifest does not hold although an annotation file does."""
        warnings, rest = list(self.notes[:NOTES_SHOWN]), len(self.notes) - NOTES_SHOWN
        if rest > 0:
            warnings.append(f"{counted(rest, 'note')} more, which --json lists")
        if self.missing:
            named = len(self.missing) + self.counts["videos"]
            lacking = f"{len(self.missing)} of {counted(named, 'video')} are missing"
            warnings.append(f"{lacking}: {name_some(self.missing)}")
        return warnings

    def summary(self) -> str:
        """'4 segments of 2 videos, 3 classes'."""
        segments, videos, classes = (
            counted(self.counts[f"{noun}s" if noun != "class" else "classes"], noun)
            for noun in ("segment", "video", "class")
        )
        return f"{segments} of {videos}, {classes}"

    def sentences(self) -> list[str]:
        """What is in it, and the command that trains on it."""
        values = [*root_of(self.manifest, self.root), "data.task=frames"]
        values += ["data.labels=many"] if self.overlapping else []
        values += ["data.follow_links=true"] if self.has_links else []
        command = command_line("action-gru", "train", self.manifest, *values)
        sentences = [f"{self.summary()}; next: {command}"]
        if self.overlapping:
            which = f"{counted(self.overlapping, 'overlap')} of segments"
            sentences.append(f"{which}: data.labels=many takes them, data.labels=one refuses them")
        return sentences


def prepare_annotations(
    files: Sequence[Path],
    videos: Path,
    manifest: Path | None = None,
    *,
    form: str | None = None,
    renamed: Mapping[str, str] | None = None,
    complete: bool = False,
    frame_rate: float | None = None,
    follow_links: bool = False,
    overwrite: bool = False,
) -> PreparedAnnotations:
    """Write the manifest of the annotated videos of a folder, by default into that folder.

    form: of the files, a name of READERS; recognised by default. renamed: label -> the label that
    is written, '' to leave its segments out. complete: also a row without a label for each video,
    which says that it was watched in full. frame_rate: pictures a second of the folders of frames
    among the videos. follow_links: whether links in the folder are. The same files give the same
    text.

    Raises DataError as `annotated` does, and for a manifest that exists and differs, unless
    overwrite.
    """
    rows, prepared = annotated(
        files,
        videos,
        manifest,
        form=form,
        renamed=renamed,
        complete=complete,
        frame_rate=frame_rate,
        follow_links=follow_links,
    )
    write_content(prepared.manifest, content_of(rows), overwrite=overwrite)
    return prepared


def annotated(
    files: Sequence[Path],
    videos: Path,
    manifest: Path | None = None,
    *,
    form: str | None = None,
    renamed: Mapping[str, str] | None = None,
    complete: bool = False,
    frame_rate: float | None = None,
    follow_links: bool = False,
) -> tuple[list[Row], PreparedAnnotations]:
    """The rows of `prepare_annotations`, and what is told of them; nothing is written.

    Raises DataError for a file that is damaged or of no form, a name that two videos bear, and no
    video at all.
    """
    if not videos.is_dir():
        raise DataError(f"{videos}: is no folder; pass the folder of the videos with --videos")
    links = has_links(videos.resolve(), follow_links)
    shelf, written = _Shelf(videos.resolve()), _Rows(renamed or {}, frame_rate)
    for file in files:
        written.add(file, read_annotations(file, form)[1], shelf)
    if not written.videos:
        named = name_some(list(written.missing)) or "none"
        raise DataError(
            f"{videos}: holds no video that the annotations name ({named}); pass the folder that "
            "they lie in with --videos"
        )
    written.note_names()
    if not complete:
        written.note_unlabelled()
    rows = written.rows(complete)
    if not rows:
        first = name_some(written.notes, most=1) or "the files hold none"
        raise DataError(f"{videos}: no segment lies in any of its videos ({first}); see --complete")
    return rows, PreparedAnnotations(
        shelf.root,
        manifest or shelf.root / "manifest.csv",
        written.counts(),
        tuple(written.missing),
        tuple(written.notes),
        written.overlapping(),
        links,
    )


class _Shelf:
    """The videos and folders of frames of a folder, found by the names in annotations."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_name: dict[str, list[PurePosixPath]] = defaultdict(list)
        for path in clips_in(root):
            name = composed(path.name).casefold()
            for key in dict.fromkeys([name, video_stem(name)]):
                self._by_name[key].append(path)

    def find(self, name: str) -> str | None:
        """The path below root. Of several the one whose folders stand in the name, too.

        Raises DataError where that leaves several.
        """
        key = next((key for key in video_keys(name) if key in self._by_name), None)
        if key is None:
            return None
        parents = composed(name.replace("\\", "/")).casefold().split("/")[:-1]
        fits = {path: _common(parents, path) for path in self._by_name[key]}
        found = [path for path, depth in fits.items() if depth == max(fits.values())]
        if len(found) > 1:
            raise DataError(
                f"{self.root}: '{name}' may be {found[0]} or {found[1]}; rename one of the two, or "
                "pass a folder that holds one of them with --videos"
            )
        return str(found[0])


def _common(parents: Sequence[str], path: PurePosixPath) -> int:
    """How many folders, from the innermost, a name and a file share."""
    own = [composed(part).casefold() for part in path.parts[:-1]]
    pairs = list(zip(reversed(parents), reversed(own), strict=False))
    return next((depth for depth, (one, other) in enumerate(pairs) if one != other), len(pairs))


class _Video:
    """How long a video is: the header's word for what lies within it, all frames for the rest."""

    def __init__(self, path: Path, frame_rate: float | None) -> None:
        """frame_rate: of a folder of frames."""
        self.path, self.frame_rate = path, frame_rate if is_frames(path) else None
        self._time_of = frame_clock(path, self.frame_rate)

    @cached_property
    def _declared_s(self) -> float:
        """0 where the header does not say. Raises VideoError for what is no video."""
        from action_gru.video import DecodeLimits
        from action_gru.video.file import open_file

        reader = open_file(self.path, None, DecodeLimits(), self.frame_rate)
        try:
            return reader.info.length_s or 0.0
        finally:
            reader.close()

    def bounds(self, segment: Segment) -> tuple[float, float, float]:
        """(start, end) of a segment as it stands, and the end of the video; seconds.

        The frames tell the last where the header's word would cut the segment. Raises VideoError
        for what is no video.
        """
        declared_s = self._declared_s
        start_s, end_s = segment.seconds(self._time_of)
        if segment.in_frames:  # to the microsecond below, so that the first frame stays in
            start_s, end_s = (math.floor(round(t * 1e6, 3)) / 1e6 for t in (start_s, end_s))
        reach_s = declared_s if end_s <= declared_s else self._time_of(math.inf)
        return start_s, end_s, reach_s


class _Rows:
    """The rows of a manifest as annotation files are read, and what did not get into it."""

    def __init__(self, renamed: Mapping[str, str], frame_rate: float | None) -> None:
        self._renamed = {composed(old): composed(new) for old, new in renamed.items()}
        self._seen: set[str] = set()
        self._rows: set[tuple[str, float, float, str]] = set()
        self._frame_rate = frame_rate
        self.videos: dict[str, _Video] = {}
        self.missing: dict[str, None] = {}
        self.notes: list[str] = []

    def add(self, file: Path, found: Annotations, shelf: _Shelf) -> None:
        self.notes += [f"{file}, {told}" for told in [*found.problems, *found.passed_over]]
        paths = {name: shelf.find(name or file.stem) for name in found.videos}
        self.missing |= dict.fromkeys(name or file.stem for name in paths if paths[name] is None)
        for here in paths.values():
            if here is not None and here not in self.videos:
                self.videos[here] = _Video(shelf.root / here, self._frame_rate)
        for segment in found.segments:
            path = paths[segment.video]
            if path is not None:
                self._add_segment(f"{file}, {segment.where}", segment, path)

    def _add_segment(self, where: str, segment: Segment, path: str) -> None:
        label = composed(segment.label)
        self._seen.add(label)
        label = self._renamed.get(label, label)
        if not label:
            return
        try:
            start_s, end_s, reach_s = self.videos[path].bounds(segment)
        except VideoError as error:
            self.notes.append(f"{where}: left out, since its video cannot be read: {error}")
            return
        said = f"{where}: '{label}' from {start_s:g} to {end_s:g} s"
        if end_s <= start_s < reach_s:
            self.notes.append(f"{said} lasts no time, and is left out")
        elif start_s >= reach_s:
            self.notes.append(f"{said} lies past the end of {path} ({reach_s:g} s), left out")
        else:
            if end_s > reach_s + ROUNDING_S:
                self.notes.append(f"{said} is cut to the end of {path} ({reach_s:g} s)")
            self._rows.add((path, start_s, min(end_s, reach_s), label))

    def note_names(self) -> None:
        """Tell which names of --map no segment has, and which labels will be read as several."""
        for old in sorted(self._renamed.keys() - self._seen):
            self.notes.append(f"--map {old}: no segment has this label")
        for label in sorted({label for *_, label in self._rows}):
            if len(names := names_of(label)) > 1:
                word = command_line("--map", f"{label}={' '.join(names)}")
                self.notes.append(
                    f"'{label}' is {len(names)} labels at once with data.labels=many; if it is one "
                    f"name, 'prepare annotations' with {word} writes it as such"
                )

    def note_unlabelled(self) -> None:
        """Tell which videos get no row."""
        if unlabelled := sorted(self.videos.keys() - {path for path, *_ in self._rows}):
            self.notes.append(
                f"no segment of {name_some(unlabelled)} is kept, so that they get no row; 'prepare "
                "annotations' with --complete says that nothing happens where no label is"
            )

    def rows(self, complete: bool) -> list[Row]:
        """In the order of paths and times. complete: see `prepare_annotations`."""
        rates = {path: video.frame_rate for path, video in self.videos.items()}
        segments = [
            Row(path, label, path, start_s=start_s, end_s=end_s, frame_rate=rates[path])
            for path, start_s, end_s, label in sorted(self._rows)
        ]
        whole = [Row(path, "", path, frame_rate=rate) for path, rate in rates.items() if complete]
        return sorted([*whole, *segments], key=lambda row: row.path)

    def counts(self) -> dict[str, int]:
        return {
            "segments": len(self._rows),
            "videos": len(self.videos),
            "classes": len({label for *_, label in self._rows}),
        }

    def overlapping(self) -> int:
        """How many segments begin before one that began earlier has ended."""
        count, reach_s, last = 0, 0.0, ""
        for path, start_s, end_s, _ in sorted(self._rows):
            reach_s = 0.0 if path != last else reach_s
            count += start_s < reach_s
            reach_s, last = max(reach_s, end_s), path
        return count
