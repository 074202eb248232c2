"""What each long video is, and what a browser plays of it: the video, or a copy of it.

Asks the reader once for each file. Knows no segment and no request.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from action_gru.apps.studio.engine import StoppedTaskError
from action_gru.apps.studio.session import Studio
from action_gru.apps.studio.video_jobs import FAILED, RUNNING, Job, Jobs
from action_gru.apps.studio.video_shelf import VideoShelf

# What browsers play without a plug-in: by the file's ending, FFmpeg's names of codec and pixels.
PLAYED: dict[str, tuple[str, ...]] = {
    ".mp4": ("h264 yuv420p", "h264 yuvj420p", "av1 yuv420p", "vp9 yuv420p"),
    ".webm": ("vp8 yuv420p", "vp8 yuva420p", "vp9 yuv420p", "av1 yuv420p"),
}
PLAYED |= {".m4v": PLAYED[".mp4"], ".mov": PLAYED[".mp4"][:2]}


@dataclass(frozen=True)
class VideoFacts:
    """What the reader found out about a video. needs_copy: no browser plays it as it is."""

    duration_s: float | None = None
    fps: float = 25.0
    needs_copy: bool = False
    problem: str | None = None


class Playback:
    """The facts and copies of a shelf's videos. Its methods may be called from any thread."""

    def __init__(self, studio: Studio, shelf: VideoShelf, jobs: Jobs) -> None:
        self._studio, self._shelf, self._jobs = studio, shelf, jobs
        self._folder = shelf.own / "playable"
        self._facts: dict[str, tuple[tuple[int, int], VideoFacts | None]] = {}
        self._copies: dict[str, Job] = {}
        self._lock = threading.RLock()

    def document(self, name: str) -> dict[str, Any]:
        """duration_s, fps, problem; playable: 'yes', 'no', 'making' a copy, of which share is done,
        or 'unknown' until the reader has answered.
        """
        facts, job = self.facts(name), self._copies.get(name)
        known = facts or VideoFacts()
        document = {"duration_s": known.duration_s, "fps": known.fps, "problem": known.problem}
        playable, share = "yes", None
        if facts is None:
            playable = "unknown"
        elif facts.problem:
            playable = "no"
        elif facts.needs_copy:
            playable, share = "making", job.share if job else None
            if job is not None and job.state == FAILED:
                document["problem"] = f"{name}: no copy to play by could be made: {job.error}"
                playable = "no"
        return document | {"playable": playable, "share": share}

    def facts(self, name: str) -> VideoFacts | None:
        """None while the reader has not answered yet; it is asked at the first call."""
        path = self._shelf.folder / name
        stamp = stamp_of(path)
        with self._lock:
            kept = self._facts.get(name)
            if kept is not None and kept[0] == stamp:
                return kept[1]
            self._facts[name] = stamp, None
        copy = self._copy(name)
        seen = copy if copy.is_file() else path
        asked = self._studio.reader.ask("video_facts", str(seen))
        asked.add_done_callback(lambda answer: self._learn(name, stamp, seen, answer))
        return None

    def _learn(self, name: str, stamp: tuple[int, int], seen: Path, answer: Future[Any]) -> None:
        error, facts = answer.exception(), VideoFacts()
        if isinstance(error, StoppedTaskError):  # it says nothing about the video: ask again
            with self._lock:
                self._facts.pop(name, None)
            return
        if error is not None:
            facts = VideoFacts(problem=str(error))
        else:
            found = answer.result()
            plays = found["codec"] in PLAYED.get(seen.suffix.lower(), ())
            is_copy = seen == self._copy(name)
            needs_copy = not is_copy and (not plays or found["duration_s"] is None)
            facts = VideoFacts(found["duration_s"], found["fps"], needs_copy)
        with self._lock:
            self._facts[name] = stamp, facts
        if facts.needs_copy:
            self._make_copy(name, facts.duration_s)
        self._studio.changed()

    def _copy(self, name: str) -> Path:
        """Where the copy of a video lies, as the video is now."""
        changed_ns, size = stamp_of(self._shelf.folder / name)
        return self._folder / f"{name}-{changed_ns:x}-{size:x}.mp4"

    def _make_copy(self, name: str, length_s: float | None) -> None:
        with self._lock:
            job = self._copies.get(name)
            if job is not None and job.state == RUNNING:
                return

            def done(job: Job) -> None:
                with self._lock:
                    self._facts.pop(name, None)  # the copy's are asked for instead

            paths = str(self._shelf.folder / name), str(self._copy(name))
            self._copies[name] = self._jobs.begin("copy", *paths, length_s, done=done)
        self._studio.changed()

    def make_copy(self, name: str) -> None:
        """Make a copy of a video that a browser refused."""
        self._shelf.path(name)
        facts = self.facts(name)
        if not self._copy(name).is_file():
            self._make_copy(name, facts.duration_s if facts else None)

    def played(self, name: str) -> Path:
        """The file to play: the video, or its copy once that is there.

        A page that asks before it knows that a copy is being made gets what it cannot play, and
        the copy afterwards.
        """
        path, copy = self._shelf.path(name), self._copy(name)
        return copy if copy.is_file() else path

    def forget(self, name: str) -> None:
        """Stop a copy, and remove it."""
        with self._lock:
            job = self._copies.pop(name, None)
            if job is not None:
                job.cancel()
            self._facts.pop(name, None)
        self._copy(name).unlink(missing_ok=True)


def stamp_of(path: Path) -> tuple[int, int]:
    """When a file was changed, and its size in bytes; (0, 0) for none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
