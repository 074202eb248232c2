"""The tab that follows a browser's camera: one stream a browser, at most so many at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import gradio as gr

from action_gru.apps.web.elements import (
    browser_of,
    events_table,
    note,
    refuse_addresses,
    refuse_large_pictures,
    score_component,
)
from action_gru.apps.web.guard import Limits
from action_gru.core.graphics import class_colours
from action_gru.core.text import clock_text
from action_gru.recognizer import ActionRecognizer
from action_gru.streaming import ActionStream
from action_gru.timeline import Event, Prediction
from action_gru.video import Image
from action_gru.views.sampling import least_fps

FRAME_EVERY_S = 1 / 15  # how often a browser sends a frame
RATE_WINDOW_S = 3.0
NEWS_EVERY_S = 0.2  # how often a page hears of its camera, unless an event begins or ends
EVENTS_SHOWN = 12
RESTART_SHOWN_S = 5.0
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


@dataclass(frozen=True)
class CameraView:
    """What one camera's page shows after a frame. events: the newest first; times in seconds."""

    prediction: Prediction
    current: tuple[Event, ...]
    events: tuple[Event, ...]
    time_s: float
    fps: float
    latency_ms: float
    note: str = ""

    @property
    def status(self) -> str:
        rate = f"{self.fps:.0f} frames a second"
        parts = (clock_text(self.time_s), rate, f"answered in {self.latency_ms:.0f} ms", self.note)
        return " · ".join(filter(None, parts))


class CameraSession:
    """One browser's camera. Frames are timed by their arrival, from the first one on."""

    def __init__(
        self,
        stream: ActionStream,
        turn: AbstractContextManager[object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """turn: held around each step of the model."""
        self.stream, self.clock = stream, clock
        self.last_s = 0.0  # when the last frame came, on the server's clock
        self._turn = turn or nullcontext()
        self._lock = threading.Lock()
        self._first_s: float | None = None
        self._restarts, self._restarted_s = 0, 0.0  # how often, and when last
        self._arrivals: deque[float] = deque(maxlen=200)
        self._busy_s: deque[float] = deque(maxlen=20)
        self._shown: object = None  # the events that the page knows of
        self._shown_s = -NEWS_EVERY_S

    def push(self, image: Image, now_s: float) -> CameraView | None:
        """Show a frame (H, W, 3) uint8 RGB that arrived at now_s; what the page should show.

        None where that is nothing new, or a newer frame was faster. Latency is the time until the
        answer is shown, waiting for the model included.
        """
        with self._lock:
            if self._first_s is None:
                self._first_s = now_s
            if self._arrivals and now_s <= self._arrivals[-1]:
                return None
            self._arrivals.append(now_s)
            time_s = now_s - self._first_s
            with self._turn:
                prediction = self.stream.push(image, time_s)
            if self.stream.restarts > self._restarts:
                self._restarts, self._restarted_s = self.stream.restarts, now_s
            self._busy_s.append(self.clock() - now_s)
            current = self.stream.current
            known = (len(self.stream.events), *(event.label for event in current))
            if known == self._shown and now_s - self._shown_s < NEWS_EVERY_S:
                return None
            self._shown, self._shown_s = known, now_s
            return self._view(self.stream.smoothed or prediction, now_s, time_s)

    def _view(self, prediction: Prediction, now_s: float, time_s: float) -> CameraView:
        recent = [at_s for at_s in self._arrivals if at_s > now_s - RATE_WINDOW_S]
        fps = (len(recent) - 1) / max(now_s - recent[0], 1e-9)
        return CameraView(
            prediction=prediction,
            current=self.stream.current,
            events=tuple(list(self.stream.events)[: -EVENTS_SHOWN - 1 : -1]),
            time_s=time_s,
            fps=fps,
            latency_ms=1000 * sum(self._busy_s) / len(self._busy_s),
            note=self._note(now_s, time_s, fps),
        )

    def _note(self, now_s: float, time_s: float, fps: float) -> str:
        """What to know before believing the answer."""
        if self._restarts and now_s - self._restarted_s <= RESTART_SHOWN_S:
            return f"started afresh: {self.stream.restart_reason}"
        least = least_fps(self.stream.engine.fps)
        if fps >= least or time_s < RATE_WINDOW_S:
            return ""
        return f"too few for this model, which needs {least:.2g} a second: the answer means little"


class CameraSessions:
    """The cameras that stream now, at most `places`; one without a frame for idle_s is dropped."""

    def __init__(self, open_session: Callable[[], CameraSession], places: int, idle_s: float):
        self.places, self.idle_s = places, idle_s
        self._open = open_session
        self._sessions: dict[str, CameraSession] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._sessions)

    def enter(self, key: str, now_s: float) -> CameraSession | None:
        """The session of a browser, opened if need be; None while all places are taken."""
        with self._lock:
            self.sweep(now_s)
            session = self._sessions.get(key)
            if session is None and len(self._sessions) < self.places:
                session = self._sessions[key] = self._open()
            if session is not None:
                session.last_s = now_s
            return session

    def leave(self, key: str) -> None:
        """The browser has left: nothing of it stays."""
        with self._lock:
            self._sessions.pop(key, None)

    def sweep(self, now_s: float) -> None:
        """Drop those that have been silent for too long."""
        with self._lock:
            for key, session in list(self._sessions.items()):
                if now_s - session.last_s > self.idle_s:
                    del self._sessions[key]


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
        self.blocks, self.judge = blocks, recognizer.judged
        self.colours = class_colours(recognizer.classes)
        self.sessions = CameraSessions(
            lambda: CameraSession(recognizer.stream(), turn), limits.cameras, limits.idle_s
        )
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
                self.labels, self.bars = score_component(
                    recognizer, label="Now", elem_id="live_labels"
                )
                self.events = gr.HTML(elem_id="live_events")
        # A browser that waits for a place keeps sending and gets a note; its frames are not read.
        self.camera.stream(
            self.see, self.camera, [self.status, self.labels, self.events],
            stream_every=FRAME_EVERY_S, time_limit=None, concurrency_limit=None,
            concurrency_id="cameras", show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        blocks.unload(self.leave)

    def see(self, image: Any, request: gr.Request) -> dict[Any, Any]:
        """One frame of a browser's camera; what changes on its page."""
        now_s, key = time.monotonic(), browser_of(request)
        if image is None:
            return {self.status: gr.skip()}
        # Gradio keeps each component's last value of a session; a camera's frame is not kept.
        held = self.blocks.state_holder.session_data.get(key)
        if held is not None:
            held._update_value_in_config(self.camera._id, None)
        session = self.sessions.enter(key, now_s)
        if session is None:
            return {self.status: note(FULL.format(places=self.sessions.places))}
        view = session.push(image, now_s)
        if view is None:
            return {self.status: gr.skip()}
        answer = self.judge(view.prediction)
        guess = [answer.display_label] if answer.unsure else []
        return {
            self.status: note(" · ".join([view.status, *guess])),
            self.labels: self.bars(answer),
            self.events: events_table(view.events, view.current, "No event yet.", self.colours),
        }

    def leave(self, request: gr.Request) -> None:
        """A browser has closed the page: its stream ends."""
        self.sessions.leave(browser_of(request))

    def sweep(self) -> None:
        """Give the places of silent cameras to others."""
        self.sessions.sweep(time.monotonic())
