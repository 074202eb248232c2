"""The tab that reads an uploaded video: its components and what they call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from html import escape
from typing import Any

import gradio as gr

from action_gru.apps.web.folders import Folders, Job
from action_gru.apps.web.guard import Limits
from action_gru.apps.web.requests import browser_of, path_of, refuse_addresses
from action_gru.apps.web.upload import UploadReading, UploadResult
from action_gru.apps.web.words import class_list, events_table, note
from action_gru.core.errors import ActionGruError
from action_gru.core.paths import VIDEO_SUFFIXES
from action_gru.core.text import clock_text
from action_gru.recognizer import ActionRecognizer
from action_gru.report.timeline_plot import shown_colours
from action_gru.timeline import FORMATS

NEWS_EVERY_S = 0.25  # how often the page hears how far a video is read
ONE_ANSWER = 0.5  # a score from which on a whole video has one answer, in large letters
FORMAT_NAMES = {".json": "JSON", ".csv": "CSV", ".vtt": "WebVTT", ".srt": "SRT", ".eaf": "ELAN"}
ONE_PICTURE = "one picture, no video"  # the warning below it says what that means
NO_EVENT = "No event: nothing lasted long enough, or nothing was sure enough."
HELP = (
    "Upload a video, up to {minutes} and {megabytes} MB. It comes back without sound, with the "
    "answer as it stood at each instant, and with the events as files."
)
# page.js fills them.
REFUSED = '<p id="refused" class="error" role="alert" hidden></p>'
UPLOADING = '<p id="uploading" class="note" role="status" hidden></p>'
Changes = dict[Any, Any]  # component -> its new value


class VideoTab:
    """Upload in; annotated video, scores, timeline, events and files out."""

    def __init__(
        self,
        recognizer: ActionRecognizer,
        limits: Limits,
        folders: Folders,
        turn: AbstractContextManager[object],
    ) -> None:
        """Call it inside the page's blocks. turn: held around each step of the model."""
        self.recognizer, self.limits, self.folders = recognizer, limits, folders
        self.turn = turn
        minutes = clock_text(limits.max_duration_s).split(".")[0] + " min"
        gr.HTML(note(HELP.format(minutes=minutes, megabytes=limits.max_upload_mb)))
        self.upload = gr.File(
            label="Video", file_types=sorted(VIDEO_SUFFIXES), height=110, elem_id="upload"
        )
        refuse_addresses(self.upload)
        for note_of_the_page in (REFUSED, UPLOADING):
            gr.HTML(note_of_the_page)
        self.status = gr.HTML(elem_id="video_status")
        with gr.Column(visible=False, elem_id="results") as self.results:
            self._build_results()
        self._connect()

    def _build_results(self) -> None:
        with gr.Row():
            with gr.Column(scale=3):
                self.video = gr.Video(
                    label="With the answer drawn in", show_label=False, interactive=False,
                    elem_id="annotated",
                )  # fmt: skip
            with gr.Column(scale=2):
                self.labels = gr.Label(
                    label="Over the whole video", num_top_classes=5, elem_id="labels"
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

    def read(self, upload: dict[str, Any] | None, request: gr.Request) -> Iterator[Changes]:
        """Read an upload; yield what changes on the page."""
        key = browser_of(request)
        source = self.folders.uploaded(path_of(upload))
        if source is None:
            yield self._refusal("The upload is no longer here; upload it again.")
            return
        job = self.folders.begin(key)
        shown = False
        try:
            yield {
                self.status: note(f"Reading {source.name}"),
                self.results: gr.update(visible=False),
            }
            reading = UploadReading(
                self.recognizer,
                source,
                source.name,
                job.folder,
                self.limits.max_duration_s,
                self.turn,
            )
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
        told_s, every_s = time.monotonic(), NEWS_EVERY_S
        for read_s in reading:
            if job.stopped.is_set():
                return
            begun_s = time.monotonic()
            if begun_s - told_s >= every_s:
                job.used_s = begun_s
                of = f" of {clock_text(reading.declared_s)}" if reading.declared_s else ""
                yield {self.status: note(f"Reading {reading.name}: {clock_text(read_s)}{of}")}
                told_s = time.monotonic()
                # A server that is busy with cameras passes news on slowly, and nothing is read
                # meanwhile: reading gets three quarters of the time.
                every_s = max(NEWS_EVERY_S, 3 * (told_s - begun_s))

    def _found(self, result: UploadResult) -> Changes:
        timeline = result.timeline
        count = len(timeline.events)
        words = "1 event" if count == 1 else f"{count or 'no'} events"
        answer = result.answer
        one_answer = answer.score >= ONE_ANSWER and not answer.unsure
        lasts = clock_text(timeline.duration_s) if result.frames > 1 else ONE_PICTURE
        told = f"{lasts}, {words}; over the whole video: {answer.display_label}"
        colours = shown_colours(timeline, timeline.events)
        found: Changes = {
            self.status: note(f"{timeline.source}: {told} {answer.score:.2f}")
            + "".join(note(f"{timeline.source} {warning}") for warning in result.warnings),
            self.results: gr.update(visible=True),
            self.video: str(result.video),
            self.labels: gr.update(
                value=dict(answer.top(len(answer.labels))), show_heading=one_answer
            ),
            self.legend: class_list(colours),
            self.events: events_table(timeline.events, empty=NO_EVENT, colours=colours),
        }
        files = zip(
            [*self.pictures, *self.downloads], [*result.pictures, *result.downloads], strict=True
        )
        return found | {component: str(path) for component, path in files}

    def _refusal(self, words: str) -> Changes:
        gr.Warning(escape(words), title="This video was not read")
        return {self.status: note(words, "error"), self.results: gr.update(visible=False)}

    def clear(self, request: gr.Request) -> Changes:
        """The upload was taken away: so are its results."""
        # What the job still tells of its progress comes before the empty page.
        self.folders.end(browser_of(request), wait_s=5.0)
        emptied = dict.fromkeys((self.video, self.labels, *self.pictures, *self.downloads))
        return {self.status: "", self.results: gr.update(visible=False), **emptied}
