"""The long videos of a project and their segments, as files: `videos/NAME.mp4` and `NAME.csv`.

Owns where they lie, which names are valid, and what is read and written. Knows no route, no job and
no network.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from action_gru.apps.serving import MissingThingError
from action_gru.apps.studio.file_names import safe_name
from action_gru.core.errors import DataError
from action_gru.core.files import write_or_raise
from action_gru.core.paths import composed, is_video, on_disk
from action_gru.core.text import clock_text
from action_gru.prepare.project import is_own
from action_gru.timeline import FORMATS, READERS, Event, Timeline, csv_document, read_annotations
from action_gru.timeline.readers import segments_of
from action_gru.timeline.segments import Segment, clean_label

EDGE_S = 0.1  # an end so little past the video's is the video's: players and headers differ by it
LEAST_S = 0.001  # shorter than what is written
MOST_SEGMENTS = 20_000
LEAST_CLIP_S = 0.3
MOST_STEM_BYTES = 70  # of a clip's name, which has the times behind it


@dataclass(frozen=True)
class Labelled:
    """A label from start_s to end_s of a video, seconds."""

    start_s: float
    end_s: float
    label: str

    def document(self) -> dict[str, object]:
        return {"start_s": self.start_s, "end_s": self.end_s, "label": self.label}


@dataclass(frozen=True)
class Imported:
    """What an annotation file says of one video. notes: what was cut or left out, and where."""

    segments: tuple[Labelled, ...]
    notes: tuple[str, ...]


class VideoShelf:
    """The folder `videos` of a project. A video is known by its file's name."""

    def __init__(self, project: Path) -> None:
        self.project, self.folder = project, project / "videos"
        self.clips, self.own = project / "clips", project / ".studio"

    def names(self) -> list[str]:
        """The videos, in the order of their names. A link that leads out of the folder is none."""
        if not self.folder.is_dir():
            return []
        found = [one for one in self.folder.iterdir() if is_own(one.name)]
        return sorted(one.name for one in found if self._is_own(one) and is_video(one))

    def _is_own(self, path: Path) -> bool:
        return path.is_file() and path.resolve().is_relative_to(self.folder.resolve())

    def path(self, name: str) -> Path:
        """The file of a video. Raises MissingThingError for a name that none of them has."""
        if name not in self.names():
            raise MissingThingError(f"no video is called '{name[:80]}'; reload the page")
        return self.folder / name

    def twin(self, name: str) -> str | None:
        """The video whose segments would lie in the same file, since only the endings differ."""
        stem = Path(name).stem
        first = next((one for one in self.names() if Path(one).stem == stem), name)
        return None if first == name else first

    def free_name(self, wanted: str) -> str:
        """A name for a new video that no other one has, whatever its ending.

        Raises NotVideoError for an ending that no video has.
        """
        name = Path(safe_name(wanted))
        taken = {composed(Path(one).stem).casefold() for one in self.names()}
        number, free = 1, name.stem
        while free.casefold() in taken:
            number += 1
            free = f"{name.stem}-{number}"
        return free + name.suffix

    def labels_file(self, name: str) -> Path:
        """Raises DataError where another video has the same name but for its ending."""
        path = self.path(name)
        if twin := self.twin(name):
            raise DataError(
                f"{name}: {twin} has the same name but for its ending, and one file cannot keep "
                "the segments of both; rename one of the two"
            )
        return path.with_suffix(".csv")

    def version(self, name: str) -> str:
        """Which state of the segments is on disk; '' for none."""
        file = self.labels_file(name)
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""

    def segments(self, name: str, duration_s: float | None = None) -> tuple[Labelled, ...]:
        """The segments of a video, in order of time. Raises DataError for a file that is damaged.

        duration_s: where a segment without an end ends.
        """
        file = self.labels_file(name)
        if not file.is_file():
            return ()
        found = read_annotations(file)[1]
        if found.problems:
            raise DataError(f"{file}, {found.problems[0]}; mend the line, or remove the file")
        end_s = math.inf if duration_s is None else duration_s
        ours = segments_of(found, file, self.folder / name)
        spans = [(one, *one.seconds(lambda _: end_s)) for one in ours]
        return tuple(sorted((Labelled(a, b, one.label) for one, a, b in spans), key=_order))

    def write(self, name: str, segments: Sequence[Labelled], duration_s: float | None) -> None:
        """Keep the segments of a video, whole or not at all, in order of time.

        Raises DataError for what is no segment of the video.
        """
        file = self.labels_file(name)
        if len(segments) > MOST_SEGMENTS:
            raise DataError(f"{name}: takes {MOST_SEGMENTS:,} segments, got {len(segments):,}")
        kept = sorted((checked(one, duration_s) for one in segments), key=_order)
        document = csv_document(self._timeline(name, kept, duration_s))
        write_or_raise(file, document, DataError)

    def relabel(self, old: str, new: str) -> None:
        """Give the segments of an action its new name, in every video. A damaged file stays.

        Raises DataError where one cannot be written.
        """
        for name in self.names():
            try:
                segments = [checked(one, None) for one in self.segments(name)]
            except DataError:
                continue
            if any(one.label == old for one in segments):
                named = [replace(one, label=new) if one.label == old else one for one in segments]
                self.write(name, named, None)

    def export(
        self,
        name: str,
        form: str,
        classes: Sequence[str],
        duration_s: float | None,
    ) -> bytes:
        """The segments as a file of the format. Raises DataError for one that is not written."""
        document = FORMATS.get(f".{form}")
        if document is None:
            known = ", ".join(suffix[1:] for suffix in FORMATS)
            raise DataError(f"no segments are written as '{form[:20]}'; choose one of {known}")
        segments = self.segments(name, duration_s)
        return document(self._timeline(name, segments, duration_s, classes))

    def _timeline(
        self,
        name: str,
        segments: Sequence[Labelled],
        duration_s: float | None,
        classes: Sequence[str] = (),
    ) -> Timeline:
        events = tuple(Event(one.label, one.start_s, one.end_s) for one in segments)
        last_s = max((one.end_s for one in segments), default=0.0)
        source = str(self.folder / name)
        return Timeline(source, tuple(classes), events, duration_s or last_s)

    def parse(
        self,
        name: str,
        file_name: str,
        data: bytes,
        duration_s: float | None,
        time_of_frame: Callable[[float], float],
    ) -> Imported:
        """What an annotation file of any form of READERS says of the video; nothing is kept.

        file_name: as the user's file is called. time_of_frame: see Segment.seconds; asked only for
        what counts in frames. Raises DataError for a file that is damaged, of no form, or about
        other videos.
        """
        video = self.path(name)
        base = Path(clean_label(file_name.replace("\\", "/"))).name or "labels"
        known = sorted({suffix for reader in READERS.values() for suffix in reader.suffixes})
        if Path(base).suffix.lower() not in known:
            raise DataError(f"'{base[:80]}' is no annotation file; read are {', '.join(known)}")
        self.own.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.own, prefix="import-") as folder:
            file = Path(folder) / base[-60:]
            file.write_bytes(data)
            try:
                found = read_annotations(file)[1]
                segments = segments_of(found, file, video)
            except DataError as error:  # the place is of no use to the user
                text = str(error).replace(f"{folder}{os.sep}", "")
                raise DataError(text.replace(f"{Path(folder).name}/", "")) from error
        notes = [*found.problems, *found.passed_over]
        kept: list[Labelled] = []
        for one in segments:
            taken, note = _taken(one, duration_s, time_of_frame)
            kept += [taken] if taken else []
            notes += [note] if note else []
        if any(one.person is not None for one in segments):
            notes.append("who does it is not kept: a segment has a label alone")
        return Imported(tuple(sorted(kept, key=_order)), tuple(notes))

    def clip_file(self, name: str, one: Labelled) -> Path:
        """Where the clip of a segment lies: `clips/CLASS/NAME_START-END.mp4`."""
        stem = Path(name).stem
        if len(stem.encode()) > MOST_STEM_BYTES:
            mark = hashlib.sha256(stem.encode()).hexdigest()[:6]
            stem = f"{_cut_bytes(stem, MOST_STEM_BYTES - 7)}-{mark}"
        clip = safe_name(f"{stem}_{one.start_s:.3f}-{one.end_s:.3f}.mp4")
        return on_disk(self.clips, one.label) / clip

    def uncut(self, name: str, segments: Sequence[Labelled]) -> list[Labelled]:
        """The segments that are long enough for a clip and are none yet."""
        return [
            one
            for one in segments
            if one.end_s - one.start_s >= LEAST_CLIP_S and not self.clip_file(name, one).exists()
        ]


def checked(one: Labelled, duration_s: float | None) -> Labelled:
    """The segment with times to the millisecond. Raises DataError for what is none."""
    label = clean_label(composed(one.label))
    said = f"'{label[:80]}' from {one.start_s:g} to {one.end_s:g} s"
    if not label:
        raise DataError(f"a segment needs a label, the one from {one.start_s:g} s has none")
    if not (math.isfinite(one.start_s) and math.isfinite(one.end_s)) or one.start_s < 0:
        raise DataError(f"{said}: the times are seconds from the start of the video")
    end_s = one.end_s
    if duration_s is not None and end_s > duration_s:
        if end_s > duration_s + EDGE_S:
            lasts = f"{clock_text(duration_s, 3)} ({duration_s:.3f} s)"
            raise DataError(f"{said}: the video ends at {lasts}; end the segment before")
        end_s = duration_s
    start_s, end_s = round(one.start_s, 3), round(end_s, 3)
    if end_s - start_s < LEAST_S:
        raise DataError(f"{said}: ends before it begins, or lasts no time; set its end later")
    return Labelled(start_s, end_s, label)


def _taken(
    one: Segment, duration_s: float | None, time_of_frame: Callable[[float], float]
) -> tuple[Labelled | None, str | None]:
    """The segment as it lies within the video, and what to tell of it."""
    end_s = math.inf if duration_s is None else duration_s
    clock = time_of_frame if one.in_frames else lambda _: end_s
    start_s, stop_s = one.seconds(clock)
    said = f"{one.where}: '{one.label}' from {start_s:g} to {stop_s:g} s"
    if start_s >= end_s:
        return None, f"{said} lies past the end of the video ({end_s:g} s), left out"
    if round(min(stop_s, end_s), 3) - round(start_s, 3) < LEAST_S or stop_s == math.inf:
        return None, f"{said} lasts no time, left out"
    cut = (
        f"{said} is cut to the end of the video ({end_s:g} s)" if stop_s > end_s + EDGE_S else None
    )
    label = clean_label(composed(one.label))
    return Labelled(round(start_s, 3), round(min(stop_s, end_s), 3), label), cut


def _order(one: Labelled) -> tuple[float, float, str]:
    return one.start_s, one.end_s, one.label


def _cut_bytes(text: str, most: int) -> str:
    """The text, no longer than so many bytes of a file's name."""
    return text.encode("utf-8", "ignore")[:most].decode("utf-8", "ignore")
