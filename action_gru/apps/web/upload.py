"""One uploaded video: the annotated copy, the timeline, the files to download.

Knows nothing of pages or browsers. The answer to the whole video takes a second reading, the same
as `classify`'s: a stream sees no mirrored copy and forgets what is older than its window.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from action_gru.apps.overlay import Overlay
from action_gru.core.errors import VideoError
from action_gru.core.text import clock_text
from action_gru.recognizer import ActionRecognizer
from action_gru.report.plots import save_figure
from action_gru.report.timeline_plot import plot_timeline
from action_gru.streaming import ActionStream, TimelineRecorder
from action_gru.timeline import FORMATS, Prediction, Timeline, write_timeline
from action_gru.video import Frame, Image, VideoFile, VideoWriter

SHOWN_PX = 1280  # the annotated copy's longer side at most
SHOWN_FPS = 30.0


@dataclass(frozen=True)
class UploadResult:
    """What was found. answer: to the whole video, as `classify` gives it; warnings: what to know
    before believing it; pictures: the timeline for a light page and a dark one; downloads: one file
    a format, in the order of FORMATS; frames: how many the video has.
    """

    timeline: Timeline
    answer: Prediction
    warnings: tuple[str, ...]
    video: Path
    pictures: tuple[Path, Path]
    downloads: tuple[Path, ...]
    frames: int


class UploadReading:
    """Reads one video; iterate for the instant it stands at, then ask for `result()`.

    Raises VideoError, without the path of any folder, where the file is no video or too long.
    """

    def __init__(
        self,
        recognizer: ActionRecognizer,
        source: Path,
        name: str,
        folder: Path,
        max_duration_s: float,
        turn: AbstractContextManager[object] | None = None,
    ) -> None:
        """name: what the user calls the file. turn: held around each step of the model."""
        self.recognizer, self.source, self.name, self.folder = recognizer, source, name, folder
        self.max_duration_s = max_duration_s
        self.stream: ActionStream = recognizer.stream()
        self.declared_s: float | None = None
        self._turn = turn or nullcontext()
        self._stem = file_stem(name)
        self._recorder = TimelineRecorder(self.stream, name)
        self._frames = 0

    def __iter__(self) -> Iterator[float]:
        try:
            yield from self._read()
            # Outside of turns: extraction's threads share the backbone anyway.
            self._whole = self.recognizer.read(self.source)
        except VideoError as error:
            words = str(error).replace(str(self.source), self.name)
            raise VideoError(words.replace(str(self.folder), "")) from error

    def _read(self) -> Iterator[float]:
        with VideoFile(self.source, limits=self.recognizer.limits) as video:
            frames = video.frames()
            first = next(frames)
            self.declared_s = video.declared_s
            self._check_length(self.declared_s or 0.0)
            size_px = shown_size(first.image)
            path = self.folder / f"{self._stem}.annotated.mp4"
            copy = AnnotatedCopy(path, size_px, video.fps, self.recognizer.classes)
            with copy:
                for frame in _with_first(first, frames):
                    self._check_length(frame.time_s)
                    self._look(frame)
                    copy.show(frame, self.stream, self.recognizer.judged)
                    self._recorder.read_s = frame.time_s
                    self._frames += 1
                    yield frame.time_s
        self._video = copy.path

    def _check_length(self, time_s: float) -> None:
        if time_s > self.max_duration_s:
            raise VideoError(
                f"{self.name}: the video lasts longer than {clock_text(self.max_duration_s)}, "
                "which is the limit here; cut it and try again"
            )

    def _look(self, frame: Frame) -> None:
        with self._turn:
            prediction = self.stream.push(frame.image, frame.time_s)
        if prediction.time_s == frame.time_s:  # this frame was sampled
            self._recorder.record()

    def result(self) -> UploadResult:
        """Write the files and give all; call it once, after reading."""
        timeline = self._recorder.timeline()
        pictures = self._draw(timeline)
        downloads = tuple(self.folder / f"{self._stem}{suffix}" for suffix in FORMATS)
        for path in downloads:
            write_timeline(timeline, path)
        whole = self._whole
        answer, warnings = whole.prediction, whole.warnings
        return UploadResult(
            timeline, answer, warnings, self._video, pictures, downloads, self._frames
        )

    def _draw(self, timeline: Timeline) -> tuple[Path, Path]:
        """Without names of the classes: the page has them beside, in letters of its own size."""
        light = self.folder / f"{self._stem}.timeline.png"
        dark = self.folder / f"{self._stem}.timeline.dark.png"
        save_figure(plot_timeline(timeline, legend=False), light)
        save_figure(plot_timeline(timeline, dark=True, legend=False), dark)
        return light, dark


class AnnotatedCopy:
    """Writes frames with the running answer on them, at a steady rate, whatever their timestamps.

    Use as a context manager. size_px is (width, height).
    """

    def __init__(
        self, path: Path, size_px: tuple[int, int], fps: float, classes: Sequence[str] = ()
    ) -> None:
        self.path, self.size_px = path, size_px
        self.fps = min(max(fps, 1.0), SHOWN_FPS)
        self._overlay = Overlay(size_px, classes)
        self._writer = VideoWriter(path, size_px, self.fps)
        self._written = 0

    def __enter__(self) -> AnnotatedCopy:
        self._writer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.__exit__(*error)  # type: ignore[arg-type]

    def show(
        self, frame: Frame, stream: ActionStream, judge: Callable[[Prediction], Prediction]
    ) -> None:
        """Write a frame, or none or several where the source is faster or has a gap.

        judge: marks an answer that is only a guess.
        """
        due = int(frame.time_s * self.fps + 0.5) + 1 - self._written
        if due <= 0:
            return
        image = frame.image
        if (image.shape[1], image.shape[0]) != self.size_px:
            image = np.asarray(cv2.resize(image, self.size_px, interpolation=cv2.INTER_AREA))
        current = stream.current
        lines = [f"{current.label} since {clock_text(current.start_s)}"] if current else []
        answer = stream.smoothed or stream.prediction
        drawn = self._overlay.draw(image, answer and judge(answer), lines=lines)
        for _ in range(due):
            self._writer.write(drawn)
        self._written += due


def shown_size(image: Image) -> tuple[int, int]:
    """(width, height) of the annotated copy: even, SHOWN_PX at most, of the same shape."""
    height, width = image.shape[:2]
    scale = min(1.0, SHOWN_PX / max(height, width))
    return max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2)


def file_stem(name: str) -> str:
    """A file name's stem in safe letters: '<img>.mp4' -> 'img'."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(name).stem).strip("_")
    return stem[:40] or "video"


def _with_first(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from rest
