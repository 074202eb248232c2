"""Step 3, label a long video: what the studio knows of each video, and the work on it.

Owns segments, proposals and cutting. What lies on disk is in `video_shelf`, what a browser plays in
`playback`, how it is asked for in `labelling`. Knows no request.
"""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from action_gru.apps.studio.clip_rows import VIDEO_TAKE
from action_gru.apps.studio.playback import Playback, stamp_of
from action_gru.apps.studio.session import Studio
from action_gru.apps.studio.video_jobs import Job, Jobs
from action_gru.apps.studio.video_shelf import LEAST_CLIP_S, Imported, Labelled, VideoShelf
from action_gru.core.errors import ActionGruError, DataError
from action_gru.core.paths import composed
from action_gru.dataset.cells import time_of_frame


class LongVideos:
    """The videos of a project. Its methods may be called from any thread, and wait for the disk."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.project = studio, studio.project
        self.shelf = VideoShelf(self.project.folder)
        self.jobs = Jobs(studio.reader, studio.changed)
        self.playback = Playback(studio, self.shelf, self.jobs)
        self._proposals: dict[str, Job] = {}
        self._cuts: dict[str, Job] = {}
        self._counts: dict[str, tuple[object, dict[str, Any]]] = {}
        self._lock = threading.RLock()
        studio.parts["videos"] = self.part

    # What is known.

    def part(self) -> list[dict[str, Any]]:
        """The part `videos` of the state."""
        return [self._document(name) for name in self.shelf.names()]

    def _document(self, name: str) -> dict[str, Any]:
        played = self.playback.document(name)
        document = {"id": name, "segments": 0, "uncut": 0, "version": ""} | played
        document["proposals"] = self.proposals(name) | {"segments": None}
        document["cut"] = _told(self._cuts.get(name))
        return document | self._counted(name, played["duration_s"])

    def _counted(self, name: str, duration_s: float | None) -> dict[str, Any]:
        """How many segments, how many of them are no clips yet; counted anew when files change."""
        try:
            file = self.shelf.labels_file(name)
            folders = [one.stat().st_mtime_ns for one in self._folders()]
            stamp = (stamp_of(file), folders, duration_s)
            kept = self._counts.get(name)
            if kept is not None and kept[0] == stamp:
                return kept[1]
            segments = self.shelf.segments(name, duration_s)
            found: dict[str, Any] = {
                "segments": len(segments),
                "uncut": len(self.shelf.uncut(name, segments)),
                "version": self.shelf.version(name),
            }
        except (ActionGruError, OSError) as error:
            return {"problem": str(error)}
        self._counts[name] = stamp, found
        return found

    def _folders(self) -> list[Path]:
        clips = self.project.clips
        return sorted(one for one in clips.iterdir() if one.is_dir()) if clips.is_dir() else []

    # Segments.

    def duration_s(self, name: str) -> float | None:
        """Raises MissingThingError for a name that no video has, before anything is looked up."""
        self.shelf.path(name)
        facts = self.playback.facts(name)
        return facts.duration_s if facts else None

    def segments(self, name: str) -> dict[str, Any]:
        found = self.shelf.segments(name, self.duration_s(name))
        return {
            "segments": [one.document() for one in found],
            "version": self.shelf.version(name),
            "duration_s": self.duration_s(name),
        }

    def keep(self, name: str, segments: Sequence[Labelled], version: str | None) -> dict[str, Any]:
        """Keep the segments; labels that are no action yet become one.

        version: what the page began from; DataError where another window has changed it since.
        """
        with self._lock:
            if version is not None and version != self.shelf.version(name):
                raise ChangedElsewhereError(
                    f"{name}: its segments were changed in another window; load them again"
                )
            self.shelf.segments(name)  # a file that is damaged is mended by hand, not overwritten
            self._make_actions(segments)
            self.shelf.write(name, segments, self.duration_s(name))
        self.studio.changed()
        return self.segments(name)

    def imported(self, name: str, file_name: str, data: bytes) -> Imported:
        """What an annotation file says of the video; nothing is kept."""
        return self.shelf.parse(
            name, file_name, data, self.duration_s(name), self._clock(self.shelf.path(name))
        )

    def _clock(self, path: Path) -> Callable[[float], float]:
        """The instant of a frame of a video by its number; the reader is asked once, and only for
        files that count in frames.
        """
        times_s: list[float] = []

        def time_of(number: float) -> float:
            if not times_s:
                times_s.extend(self.studio.reader.ask("video_instants", str(path)).result())
            count = len(times_s) if math.isinf(number) else int(number)
            return time_of_frame(count, np.asarray(times_s))

        return time_of

    # The model's proposals.

    def propose(self, name: str, run: Path) -> None:
        """Let the model of a run look at the video. An earlier look is broken off."""
        path = self.shelf.path(name)
        with self._lock:
            if name in self._proposals:
                self._proposals[name].cancel()
            self._proposals[name] = self.jobs.begin(
                "propose", str(path), str(run), self.duration_s(name)
            )
        self.studio.changed()

    def proposals(self, name: str) -> dict[str, Any]:
        job = self._proposals.get(name)
        document = _told(job) | {"segments": []}
        if job is not None and job.state == "ready":
            document["segments"] = job.result
        if document["state"] == "running":
            document["state"] = "reading"
        return document

    # Clips.

    def cut(self, name: str) -> dict[str, Any]:
        """Make a clip of each segment that is none yet; waits until they are there.

        Raises DataError where all are too short, or a cut of the video is under way.
        """
        path, segments = self.shelf.path(name), self.shelf.segments(name, self.duration_s(name))
        self._make_actions(segments)
        short = sum(one.end_s - one.start_s < LEAST_CLIP_S for one in segments)
        if short and short == len(segments):
            raise DataError(
                f"{name}: each segment is shorter than {LEAST_CLIP_S:g} s, of which nothing can "
                "be learned; make them longer"
            )
        with self._lock:
            earlier = self._cuts.get(name)
            if earlier is not None and earlier.state == "running":
                raise DataError(f"{name}: its clips are being made already; wait for them")
            todo = {str(self._part()): one for one in self.shelf.uncut(name, segments)}
            if not todo:
                return {"clips": 0, "short": short, "failed": []}
            cuts = [(one.start_s, one.end_s, part) for part, one in todo.items()]
            job = self._cuts[name] = self.jobs.begin(
                "cut", str(path), cuts, done=lambda job: self._keep_clips(name, job, todo)
            )
        self.studio.changed()
        job.ended.wait()
        if job.error:
            raise DataError(f"{name}: not all clips could be made: {job.error}")
        found = job.result or {"made": [], "failed": {}}
        failed = [f"{_told_span(todo[part])}: {why}" for part, why in found["failed"].items()]
        return {"clips": len(found["made"]), "short": short, "failed": failed}

    def _part(self) -> Path:
        """A place for a clip that is on its way."""
        return self.studio.shelf.temp / f"{secrets.token_hex(8)}.mp4"

    def _keep_clips(self, name: str, job: Job, todo: Mapping[str, Labelled]) -> None:
        """The files become clips; their group is the video, so that no split divides it."""
        for part in (job.result or {"made": []})["made"]:
            one = todo[part]
            clip = self.shelf.clip_file(name, one).name
            self.studio.shelf.add(Path(part), one.label, name=clip, take=VIDEO_TAKE + name)

    def _make_actions(self, segments: Sequence[Labelled]) -> None:
        """Labels that are no action yet become one. Raises ConfigError for what cannot."""
        known = {action.name for action in self.project.actions()}
        for label in dict.fromkeys(composed(one.label).strip() for one in segments):
            if label and label not in known:
                self.studio.shelf.add_action(label)

    # Coming and going.

    def add(self, file: Path, wanted: str) -> str:
        """Put a finished file among the videos; its name."""
        with self._lock:
            name, folder = self.shelf.free_name(wanted), self.shelf.folder
            try:
                folder.mkdir(exist_ok=True)
                file.rename(folder / name)
            except OSError as error:
                raise DataError(f"{folder}: cannot be written ({error}); check it") from error
        self.studio.changed()
        return name

    def delete(self, name: str) -> None:
        """Put a video with its segments into the trash; its clips stay."""
        path = self.shelf.path(name)
        files = [path] if self.shelf.twin(name) else [path, path.with_suffix(".csv")]
        self._forget(name)
        here = [f"videos/{one.name}" for one in files if one.is_file()]
        self.studio.shelf.delete_files(f"Delete {name}", here)

    def _forget(self, name: str) -> None:
        """Break off the work on a video, and remove its copy."""
        self.playback.forget(name)
        with self._lock:
            for jobs in (self._proposals, self._cuts):
                job = jobs.pop(name, None)
                if job is not None:
                    job.cancel()
            self._counts.pop(name, None)

    def exported(self, name: str, form: str) -> bytes:
        """The segments as a file of one of the formats that the product writes."""
        classes = [action.name for action in self.project.actions()]
        return self.shelf.export(name, form, classes, self.duration_s(name))


class ChangedElsewhereError(DataError):
    """Another window has changed the same thing."""

    status = 409


def _told_span(one: Labelled) -> str:
    return f"'{one.label}' from {one.start_s:g} to {one.end_s:g} s"


def _told(job: Job | None) -> dict[str, Any]:
    if job is None or job.state == "cancelled":
        return {"state": "none", "share": None, "error": None}
    return job.document()
