"""The tab that follows a browser's camera: its components and what they call."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

import gradio as gr

from action_gru.apps.web.camera import CameraSession, CameraSessions
from action_gru.apps.web.guard import Limits
from action_gru.apps.web.requests import browser_of, refuse_addresses, refuse_large_pictures
from action_gru.apps.web.words import events_table, note
from action_gru.core.graphics import class_colours
from action_gru.recognizer import ActionRecognizer

FRAME_EVERY_S = 1 / 15  # how often a browser sends a frame
HELP = (
    "Allow the camera, then press Start. Each frame goes to this server, is looked at once and "
    "is not kept."
)
INSECURE = (
    "A browser gives its camera only to https, or to a page from its own machine: open this page "
    "as 127.0.0.1 there, or put an https proxy before it."
)
PROBLEM = '<p id="camera_problem" class="error" role="alert" hidden></p>'  # page.js fills it
FULL = "All {places} camera places are taken. Yours begins as soon as one is free."


class CameraTab:
    """Frames in; scores, events and status out, one stream a browser."""

    def __init__(
        self,
        blocks: gr.Blocks,
        recognizer: ActionRecognizer,
        limits: Limits,
        turn: AbstractContextManager[object],
    ) -> None:
        """Call it inside `blocks`. turn: held around each step of the model."""
        self.blocks, self.places, self.judge = blocks, limits.cameras, recognizer.judged
        self.colours = class_colours(recognizer.classes)

        def open_session() -> CameraSession:
            return CameraSession(recognizer.stream(), turn)

        self.sessions = CameraSessions(open_session, limits.cameras, limits.idle_s)
        gr.HTML(note(HELP))
        gr.HTML(note(INSECURE, "error"), elem_id="insecure")  # page.js decides whether it is seen
        gr.HTML(PROBLEM)
        with gr.Row():
            with gr.Column(scale=3):
                self.camera = gr.Image(
                    label="Camera", sources=["webcam"], streaming=True, type="numpy",
                    elem_id="camera",
                    webcam_options=gr.WebcamOptions(
                        mirror=False,  # what the model sees
                        constraints={"video": {"width": {"ideal": 480}, "height": {"ideal": 360}}},
                    ),
                )  # fmt: skip
                refuse_addresses(self.camera)
                refuse_large_pictures(self.camera)
                self.status = gr.HTML(elem_id="camera_status")
            with gr.Column(scale=2):
                self.labels = gr.Label(label="Now", num_top_classes=5, elem_id="live_labels")
                self.events = gr.HTML(elem_id="live_events")
        # One that waits for a place keeps sending and is told so; its frames are not looked at.
        self.camera.stream(
            self.see, self.camera, [self.status, self.labels, self.events],
            stream_every=FRAME_EVERY_S, time_limit=None, concurrency_limit=None,
            concurrency_id="cameras", show_progress="hidden", api_visibility="private",
        )  # fmt: skip

    def see(self, image: Any, request: gr.Request) -> dict[Any, Any]:
        """One frame of a browser's camera; what changes on its page."""
        now_s = time.monotonic()
        if image is None:
            return {self.status: gr.skip()}
        self._forget_frame(browser_of(request))
        session = self.sessions.enter(browser_of(request), now_s)
        if session is None:
            return {self.status: note(FULL.format(places=self.places))}
        view = session.push(image, now_s)
        if view is None:
            return {self.status: gr.skip()}
        answer = self.judge(view.prediction)
        return {
            self.status: note(
                " · ".join([view.status, *([answer.display_label] if answer.unsure else [])])
            ),
            self.labels: dict(view.prediction.top(len(view.prediction.labels))),
            self.events: events_table(view.events, view.current, "No event yet.", self.colours),
        }

    def _forget_frame(self, key: str) -> None:
        """Gradio keeps each component's last value of a session; a camera's frame is not kept."""
        held = self.blocks.state_holder.session_data.get(key)
        if held is not None:
            held._update_value_in_config(self.camera._id, None)
