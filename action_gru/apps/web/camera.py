"""Cameras that stream in from browsers: one stream each, at most so many at once.

Knows nothing of pages; who a browser is, is a key.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from action_gru.core.text import clock_text
from action_gru.streaming import ActionStream
from action_gru.timeline import Event, Prediction
from action_gru.video import Image
from action_gru.views.sampling import least_fps

RATE_WINDOW_S = 3.0
NEWS_EVERY_S = 0.2  # how often a page hears of its camera, unless an event begins or ends
EVENTS_SHOWN = 12
RESTART_SHOWN_S = 5.0


@dataclass(frozen=True)
class CameraView:
    """What one camera's page shows after a frame. events: the newest first; times in seconds."""

    prediction: Prediction
    current: Event | None
    events: tuple[Event, ...]
    time_s: float
    fps: float
    latency_ms: float
    note: str = ""

    @property
    def status(self) -> str:
        parts = [
            clock_text(self.time_s),
            f"{self.fps:.0f} frames a second",
            f"answered in {self.latency_ms:.0f} ms",
        ]
        return " · ".join([*parts, self.note] if self.note else parts)


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
        self._restarts = (0, 0.0)  # how often the stream began afresh, and when it last did
        self._arrivals: deque[float] = deque(maxlen=200)
        self._busy_s: deque[float] = deque(maxlen=20)
        self._told: tuple[float, object] = (
            -NEWS_EVERY_S,
            None,
        )  # when the page heard last, of what

    def push(self, image: Image, now_s: float) -> CameraView | None:
        """Show a frame (H, W, 3) uint8 RGB that arrived at now_s; what the page should show.

        None where that is nothing new, or a newer frame was faster. Latency is the time until the
        answer stands, waiting for the model included.
        """
        with self._lock:
            if self._first_s is None:
                self._first_s = now_s
            if self._arrivals and now_s <= self._arrivals[-1]:
                return None
            self._arrivals.append(now_s)
            self.last_s = now_s
            with self._turn:
                self.stream.push(image, now_s - self._first_s)
            if self.stream.restarts > self._restarts[0]:
                self._restarts = (self.stream.restarts, now_s)
            self._busy_s.append(self.clock() - now_s)
            return self._view(now_s) if self._has_news(now_s) else None

    def _has_news(self, now_s: float) -> bool:
        current = self.stream.current
        known = (len(self.stream.events), current.label if current else "")
        if known == self._told[1] and now_s - self._told[0] < NEWS_EVERY_S:
            return False
        self._told = (now_s, known)
        return True

    def _view(self, now_s: float) -> CameraView:
        assert self._first_s is not None
        prediction = self.stream.smoothed or self.stream.prediction
        assert prediction is not None
        recent = [at_s for at_s in self._arrivals if at_s > now_s - RATE_WINDOW_S]
        spanned_s = now_s - recent[0]
        fps = (len(recent) - 1) / spanned_s if spanned_s > 0 else 0.0
        return CameraView(
            prediction=prediction,
            current=self.stream.current,
            events=tuple(list(self.stream.events)[: -EVENTS_SHOWN - 1 : -1]),
            time_s=now_s - self._first_s,
            fps=fps,
            latency_ms=1000 * sum(self._busy_s) / len(self._busy_s),
            note=self._restart_note(now_s) or self._slow_note(now_s - self._first_s, fps),
        )

    def _slow_note(self, lasted_s: float, fps: float) -> str:
        least = least_fps(self.stream.engine.fps)
        if fps >= least or lasted_s < RATE_WINDOW_S:
            return ""
        return f"too few for this model, which needs {least:.2g} a second: the answer means little"

    def _restart_note(self, now_s: float) -> str:
        count, at_s = self._restarts
        if not count or now_s - at_s > RESTART_SHOWN_S:
            return ""
        return f"started afresh: {self.stream.restart_reason}"


class CameraSessions:
    """The cameras that stream now, at most `places`; one without a frame for idle_s gives way."""

    def __init__(self, open_session: Callable[[], CameraSession], places: int, idle_s: float):
        self.places, self.idle_s = places, idle_s
        self._open = open_session
        self._sessions: dict[str, CameraSession] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def enter(self, key: str, now_s: float) -> CameraSession | None:
        """The session of a browser, opened if need be; None while all places are taken."""
        with self._lock:
            self._drop_idle(now_s)
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
            self._drop_idle(now_s)

    def _drop_idle(self, now_s: float) -> None:
        for key, session in list(self._sessions.items()):
            if now_s - session.last_s > self.idle_s:
                del self._sessions[key]
