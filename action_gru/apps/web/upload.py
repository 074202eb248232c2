"""The tab that reads an uploaded video: annotated copy, timeline, files to download.

The answer to the whole video takes a second reading, the same as `classify`'s: a stream sees no
mirrored copy and forgets what is older than its window.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np

from action_gru.apps.overlay import Overlay
from action_gru.apps.web.elements import (
    browser_of,
    class_list,
    events_table,
    note,
    refuse_addresses,
    score_component,
)
from action_gru.apps.web.guard import Folders, Job, Limits
from action_gru.core.errors import ActionGruError, VideoError
from action_gru.core.paths import VIDEO_SUFFIXES
from action_gru.core.text import clock_text
from action_gru.recognizer import ActionRecognizer
from action_gru.report.plots import save_figure
from action_gru.report.timeline_plot import plot_timeline, shown_colours
from action_gru.streaming import ActionStream, TimelineRecorder
from action_gru.timeline import FORMATS, Prediction, Timeline, write_timeline
from action_gru.video import Frame, Image, VideoFile, VideoWriter

SHOWN_PX = 1280  # the annotated copy's longer side at most
SHOWN_FPS = 30.0
NEWS_EVERY_S = 0.25  # how often the page hears how far a video is read
ONE_ANSWER = 0.5  # a score from which on a whole video has one answer, in large letters
FORMAT_NAMES = {".json": "JSON", ".csv": "CSV", ".vtt": "WebVTT", ".srt": "SRT", ".eaf": "ELAN"}
ONE_PICTURE = "one picture, no video"  # the warning below it says what that means
NO_EVENT = "No event: nothing lasted long enough, or nothing was sure enough."
HELP = (
    "Upload a video, up to {minutes} min and {megabytes} MB. It comes back without sound, with the "
    "answer as it stood at each instant, and with the events as files."
)
# page.js fills them.
REFUSED = '<p id="refused" class="error" role="alert" hidden></p>'
UPLOADING = '<p id="uploading" class="note" role="status" hidden></p>'
Changes = dict[Any, Any]  # component -> its new value


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
    """Reads one video; iterate for the instant reached, then call `result()`.

    Raises VideoError, without the path of any folder, where the file is no video or too long.
    """

    def __init__(
        self,
        recognizer: ActionRecognizer,
        source: Path,
        folder: Path,
        max_duration_s: float,
        turn: AbstractContextManager[object] | None = None,
    ) -> None:
        """folder: of the results. turn: held around each step of the model."""
        self.recognizer, self.source, self.folder = recognizer, source, folder
        self.name, self.max_duration_s = source.name, max_duration_s
        self.stream: ActionStream = recognizer.stream()
        self.declared_s: float | None = None
        self._turn = turn or nullcontext()
        self._recorder = TimelineRecorder(self.stream, self.name)
        self._frames = 0

    def __iter__(self) -> Iterator[float]:
        try:
            yield from self._read()
            # Outside of turns: extraction's threads share the backbone anyway.
            self._whole = self.recognizer.read(self.source)
        except VideoError as error:
            text = str(error).replace(str(self.source), self.name).replace(str(self.folder), "")
            raise VideoError(text) from error

    def _read(self) -> Iterator[float]:
        limits, rate = self.recognizer.limits, self.recognizer.frame_rate
        with VideoFile(self.source, None, limits, rate) as video:
            frames = video.frames()
            first = next(frames)
            self.declared_s = video.declared_s
            self._check_length(self.declared_s or 0.0)
            path, size_px = self._path("annotated.mp4"), shown_size(first.image)
            model = self.recognizer
            overlay = Overlay(size_px, model.classes, model.thresholds)
            copy = AnnotatedCopy(path, overlay, video.fps)
            with copy.writer:
                for frame in chain([first], frames):
                    self._check_length(frame.time_s)
                    with self._turn:
                        prediction = self.stream.push(frame.image, frame.time_s)
                    if prediction.time_s == frame.time_s:  # this frame was sampled
                        self._recorder.record()
                    copy.show(frame, self.stream, self.recognizer.judged)
                    self._recorder.read_s = frame.time_s
                    self._frames += 1
                    yield frame.time_s

    def _check_length(self, time_s: float) -> None:
        if time_s > self.max_duration_s:
            raise VideoError(
                f"{self.name}: the video lasts longer than {clock_text(self.max_duration_s)}, "
                "which is the limit here; cut it and try again"
            )

    def _path(self, ending: str) -> Path:
        return self.folder / f"{file_stem(self.name)}.{ending}"

    def result(self) -> UploadResult:
        """Write the files and return all; call it once, after reading."""
        timeline = self._recorder.timeline()
        light, dark = self._path("timeline.png"), self._path("timeline.dark.png")
        # Without a legend: the page shows the names of the classes itself.
        save_figure(plot_timeline(timeline, legend=False), light)
        save_figure(plot_timeline(timeline, dark=True, legend=False), dark)
        downloads = tuple(self._path(suffix[1:]) for suffix in FORMATS)
        for path in downloads:
            write_timeline(timeline, path)
        answer, warnings = self._whole.prediction, self._whole.warnings
        video = self._path("annotated.mp4")
        return UploadResult(
            timeline, answer, warnings, video, (light, dark), downloads, self._frames
        )


class AnnotatedCopy:
    """Draws the running answer on frames, at a steady rate, whatever their timestamps.

    Use it within its `writer`, which is a context manager.
    """

    def __init__(self, path: Path, overlay: Overlay, fps: float) -> None:
        self.writer = VideoWriter(path, overlay.size_px, min(max(fps, 1.0), SHOWN_FPS))
        self._overlay = overlay
        self._written = 0

    def show(
        self, frame: Frame, stream: ActionStream, judge: Callable[[Prediction], Prediction]
    ) -> None:
        """Write a frame, or none or several where the source is faster or has a gap.

        judge: marks an answer that is only a guess.
        """
        due = int(frame.time_s * self.writer.fps + 0.5) + 1 - self._written
        if due <= 0:
            return
        image = frame.image
        if image.shape[1::-1] != self.writer.size_px:
            image = np.asarray(cv2.resize(image, self.writer.size_px, interpolation=cv2.INTER_AREA))
        current = stream.current
        lines = [f"{event.label} since {clock_text(event.start_s)}" for event in current]
        answer = stream.smoothed or stream.prediction
        drawn = self._overlay.draw(image, answer and judge(answer), lines=lines)
        for _ in range(due):
            self.writer.write(drawn)
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


class VideoTab:
    """Upload in; annotated video, scores, timeline, events and files out."""

    def __init__(
        self,
        blocks: gr.Blocks,
        recognizer: ActionRecognizer,
        limits: Limits,
        folders: Folders,
        turn: AbstractContextManager[object],
    ) -> None:
        """Call it inside `blocks`. turn: held around each step of the model."""
        self.recognizer, self.limits, self.folders = recognizer, limits, folders
        self.turn = turn
        minutes = clock_text(limits.max_duration_s).split(".")[0]
        gr.HTML(note(HELP.format(minutes=minutes, megabytes=limits.max_upload_mb)))
        self.upload = gr.File(
            label="Video", file_types=sorted(VIDEO_SUFFIXES), height=110, elem_id="upload"
        )
        refuse_addresses(self.upload)
        gr.HTML(REFUSED)
        gr.HTML(UPLOADING)
        self.status = gr.HTML(elem_id="video_status")
        with gr.Column(visible=False, elem_id="results") as self.results:
            self._build_results()
        self._connect()
        blocks.unload(self.leave)

    def _build_results(self) -> None:
        with gr.Row():
            with gr.Column(scale=3):
                self.video = gr.Video(
                    label="With the answer drawn in", show_label=False, interactive=False,
                    elem_id="annotated",
                )  # fmt: skip
            with gr.Column(scale=2):
                self.labels, self.bars = score_component(
                    self.recognizer, label="Over the whole video", elem_id="labels"
                )
        self.legend = gr.HTML(elem_id="legend")
        # For a light page and for a dark one: page.css shows one of them.
        self.pictures = [
            gr.Image(
                label="Timeline", show_label=False, interactive=False, buttons=["fullscreen"],
                elem_id=elem_id, elem_classes="timeline", alt_text="Scores and events over time",
            )
            for elem_id in ("timeline", "timeline_dark")
        ]  # fmt: skip
        self.events = gr.HTML(elem_id="events")
        gr.HTML(note("The events as files:"))
        with gr.Row(elem_classes="downloads"):
            self.downloads = [
                gr.DownloadButton(FORMAT_NAMES.get(suffix, suffix[1:]), size="sm", min_width=60)
                for suffix in FORMATS
            ]

    def _connect(self) -> None:
        outputs = [self.status, self.results, self.video, self.labels, self.legend, self.events]
        outputs += [*self.pictures, *self.downloads]
        reading = self.upload.upload(
            self.read, self.upload, outputs, preprocess=False, show_progress="minimal",
            show_progress_on=self.status, concurrency_limit=self.limits.videos,
            concurrency_id="videos", trigger_mode="multiple", api_visibility="private",
        )  # fmt: skip
        self.upload.clear(
            self.clear, None, outputs, cancels=reading, concurrency_limit=None,
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip

    def read(self, upload: Any, request: gr.Request) -> Iterator[Changes]:
        """Read an upload as Gradio describes it; yield what changes on the page."""
        key = browser_of(request)
        if isinstance(upload, list):
            upload = upload[0] if upload else None
        source = self.folders.uploaded(upload.get("path") if isinstance(upload, dict) else None)
        if source is None:
            yield self._refusal("The upload is no longer here; upload it again.")
            return
        job, shown = self.folders.begin(key), False
        limit_s = self.limits.max_duration_s
        try:
            reading = UploadReading(self.recognizer, source, job.folder, limit_s, self.turn)
            news = note(f"Reading {reading.name}")
            yield {self.status: news, self.results: gr.update(visible=False)}
            yield from self._progress(reading, job)
            if not job.stopped.is_set():
                changes = self._found(reading.result())
                shown = True
                yield changes
        except ActionGruError as error:
            yield self._refusal(str(error))
        finally:  # also where the browser left: Gradio closes this generator
            self.folders.finish(key, job, keep=shown)

    def _progress(self, reading: UploadReading, job: Job) -> Iterator[Changes]:
        shown_s, every_s = time.monotonic(), NEWS_EVERY_S
        for read_s in reading:
            if job.stopped.is_set():
                return
            now_s = time.monotonic()
            if now_s - shown_s >= every_s:
                job.used_s = now_s
                of = f" of {clock_text(reading.declared_s)}" if reading.declared_s else ""
                yield {self.status: note(f"Reading {reading.name}: {clock_text(read_s)}{of}")}
                shown_s = time.monotonic()
                # A server that is busy with cameras sends news slowly, and nothing is read
                # meanwhile: reading gets three quarters of the time.
                every_s = max(NEWS_EVERY_S, 3 * (shown_s - now_s))

    def _found(self, result: UploadResult) -> Changes:
        timeline, answer = result.timeline, result.answer
        name, count = timeline.source, len(timeline.events)
        events = "1 event" if count == 1 else f"{count or 'no'} events"
        lasts = clock_text(timeline.duration_s) if result.frames > 1 else ONE_PICTURE
        score = "" if answer.display_score is None else f" {answer.display_score:.2f}"
        text = f"{lasts}, {events}; over the whole video: {answer.display_label}{score}"
        lines = [f"{name}: {text}", *(f"{name} {warning}" for warning in result.warnings)]
        has_one_answer = answer.score >= ONE_ANSWER and not answer.unsure
        heading = {"show_heading": has_one_answer} if answer.active is None else {}
        colours = shown_colours(timeline, timeline.events)
        shown = [*self.pictures, *self.downloads], [*result.pictures, *result.downloads]
        return {
            self.status: "".join(map(note, lines)),
            self.results: gr.update(visible=True),
            self.video: str(result.video),
            self.labels: gr.update(value=self.bars(answer), **heading),
            self.legend: class_list(colours),
            self.events: events_table(timeline.events, empty=NO_EVENT, colours=colours),
            **{component: str(path) for component, path in zip(*shown, strict=True)},
        }

    def _refusal(self, text: str) -> Changes:
        gr.Warning(escape(text), title="This video was not read")
        return {self.status: note(text, "error"), self.results: gr.update(visible=False)}

    def clear(self, request: gr.Request) -> Changes:
        """The upload was taken away: so are its results."""
        # The job's last news must arrive before the page is emptied.
        self.folders.end(browser_of(request), wait_s=5.0)
        emptied = dict.fromkeys((self.video, self.labels, *self.pictures, *self.downloads))
        return {self.status: "", self.results: gr.update(visible=False), **emptied}

    def leave(self, request: gr.Request) -> None:
        """A browser has closed the page: its running job ends."""
        self.folders.stop(browser_of(request))
