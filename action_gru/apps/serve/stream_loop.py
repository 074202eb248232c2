"""Live streams of many clients in one loop: the newest samples of all go through a model together.

Knows no web socket: what a client is to be told is handed to a function.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from action_gru.apps.live_loop import Due, Feed
from action_gru.apps.serve.answers import EventAnswer, prediction_fields
from action_gru.apps.serve.metrics import Metrics
from action_gru.apps.serve.models import Served
from action_gru.core.errors import ActionGruError
from action_gru.core.progress import LOGGER
from action_gru.features.extractor import usable_cores
from action_gru.streaming.people import Person
from action_gru.timeline import Event, Prediction
from action_gru.video import Frame

LOOK_EVERY_S = 0.5
ENDING_S = 2.0
Tell = Callable[[dict[str, Any]], None]


class Pushed:
    """In place of a camera: a client hands in the frames. form: of the newest, for `Feed`."""

    def __init__(self, on_frame: Callable[[Frame], None]) -> None:
        self._on_frame, self.form, self.status = on_frame, "", SimpleNamespace(state="live")

    def push(self, frame: Frame) -> None:
        self.form = f"{frame.image.shape[1]} x {frame.image.shape[0]}"
        self._on_frame(frame)

    def close(self) -> None:
        self.status.state = "ended"


@dataclass(eq=False)
class Line:
    """One client: its feed, and the way back to it. tell: may be called from any thread."""

    served: Served
    feed: Feed
    tell: Tell
    top: int
    per_person: bool
    is_finishing: bool = False
    dropped: int = 0
    restarts: int = 0

    def push(self, frame: Frame) -> None:
        """Show the next frame. Raises VideoError."""
        source: Any = self.feed.source
        source.push(frame)


class StreamLoop:
    """All lines of a server; a thread advances them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lines: list[Line] = []
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="action_gru streams", daemon=True)
        self._thread.start()

    def open(self, served: Served, tell: Tell, top: int, per_person: bool, drops: bool) -> Line:
        """A new line. drops: a newer sample replaces one that waits; else `push` waits.

        Raises CheckpointError for a model that cannot run live.
        """
        recognizer = served.recognizer
        stream = recognizer.people() if per_person else recognizer.stream()
        source: Any = Pushed
        line = Line(served, Feed(source, stream, self._wake, drops), tell, top, per_person)
        with self._lock:
            self._lines.append(line)
        return line

    def finish(self, line: Line) -> None:
        """Answer what waits, close what is open, and tell {"type": "end"}."""
        line.is_finishing = True
        self._wake.set()

    def drop(self, line: Line) -> None:
        """The client is gone."""
        line.feed.close()
        with self._lock:
            if line in self._lines:
                self._lines.remove(line)

    def close(self) -> bool:
        """Whether the thread ended."""
        self._closed = True
        self._wake.set()
        self._thread.join(ENDING_S)
        return not self._thread.is_alive()

    def _work(self) -> None:
        # One or two pictures gain little by more threads, and beside other work these wait for
        # each other.
        torch.set_num_threads(max(1, usable_cores() // 2))
        while not self._closed:
            self._wake.wait(LOOK_EVERY_S)
            self._wake.clear()
            with self._lock:
                lines = list(self._lines)
            finishing = [line for line in lines if line.is_finishing]  # nothing comes after that
            due = [(line, due) for line in lines if (due := line.feed.take()) is not None]
            for engine in {id(line.feed.stream.engine) for line, _ in due}:
                self._advance([one for one in due if id(one[0].feed.stream.engine) == engine])
            for line in finishing:
                self._end(line)

    def _advance(self, due: Sequence[tuple[Line, Due]]) -> None:
        """Answer one sample of each of some lines of one engine."""
        streams: list[Any] = [line.feed.stream for line, _ in due]
        samples: list[Any] = [one.sample for _, one in due]
        try:
            found: list[Any] = list(streams[0].engine.advance(streams, samples))
        except Exception as error:  # the other models' streams go on
            self._fail([line for line, _ in due], error)
            return
        for (line, one), answer in zip(due, found, strict=True):
            self._tell(line, one, answer)

    def _tell(self, line: Line, due: Due, answer: Prediction | list[Person]) -> None:
        latency_s = time.perf_counter() - due.arrived_s
        told: dict[str, Any] = {"type": "answer", "time_s": due.sample.time_s}
        if isinstance(answer, Prediction):
            judged = line.served.recognizer.judged(answer)
            told |= {"since_s": judged.since_s} | prediction_fields(judged, line.top)
        else:
            told["people"] = [self._person(line, one) for one in answer]
        line.tell(told | {"ms": round(1000 * latency_s, 1), "dropped": line.feed.dropped})
        self._metrics.latency.observe(latency_s)
        self._metrics.predictions.labels(line.served.name).inc()
        self._metrics.dropped.inc(line.feed.dropped - line.dropped)
        self._metrics.restarts.inc(line.feed.stream.restarts - line.restarts)
        line.dropped, line.restarts = line.feed.dropped, line.feed.stream.restarts
        self._tell_events(line, line.feed.stream.ended)

    def _person(self, line: Line, person: Person) -> dict[str, Any]:
        box = [round(float(edge), 1) for edge in person.box]
        told: dict[str, Any] = {"person": person.number, "box": box}
        if person.prediction is None:
            return told
        return told | prediction_fields(line.served.recognizer.judged(person.prediction), line.top)

    def _tell_events(self, line: Line, events: Sequence[Event]) -> None:
        for event in events:
            self._metrics.events.labels(event.label).inc()
            line.tell({"type": "event"} | EventAnswer.of(event).model_dump(exclude_none=True))

    def _end(self, line: Line) -> None:
        self._tell_events(line, line.feed.stream.finish())
        self.drop(line)
        line.tell({"type": "end"})

    def _fail(self, lines: Sequence[Line], error: Exception) -> None:
        text = str(error)
        if not isinstance(error, ActionGruError):
            LOGGER.exception("a stream failed")
            text = f"{type(error).__name__}: {error}; the server's terminal tells more"
        for line in lines:
            self.drop(line)
            line.tell({"type": "error", "error": text})
            line.tell({"type": "end"})
