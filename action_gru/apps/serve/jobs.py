"""Long videos as jobs: one is read after the other, and its result is kept for a while."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from action_gru.apps.serve.answers import JobAnswer, TimelineAnswer
from action_gru.apps.serve.metrics import Metrics
from action_gru.apps.serve.models import Served
from action_gru.apps.serve.uploads import Upload
from action_gru.apps.serving import MissingThingError
from action_gru.apps.timeline import doubts_of
from action_gru.core.errors import ActionGruError
from action_gru.core.progress import LOGGER
from action_gru.streaming import TimelineReader
from action_gru.timeline import Timeline

MOST_KEPT = 100  # results; the oldest goes first
ENDING_S = 2.0
State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass
class Job:
    """One video. upload: its file, which is removed once it is read."""

    served: Served
    upload: Upload
    per_person: bool
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "waiting"
    read_s: float = 0.0
    length_s: float | None = None
    error: str | None = None
    timeline: Timeline | None = None
    warnings: list[str] = field(default_factory=list)
    is_unwanted: bool = False
    ended_s: float | None = None  # time.monotonic

    def answer(self) -> JobAnswer:
        share = min(1.0, self.read_s / self.length_s) if self.length_s else None
        found = self.timeline
        return JobAnswer(
            id=self.id,
            model=self.served.name,
            state=self.state,
            read_s=round(self.read_s, 3),
            progress=1.0 if self.state == "done" else share,
            error=self.error,
            result=None if found is None else TimelineAnswer.of(found, self.warnings),
        )

    def end(self, state: State) -> None:
        self.upload.remove()
        self.state, self.ended_s = state, time.monotonic()


class Jobs:
    """Those that wait, run or are kept. A thread reads them in their order."""

    def __init__(self, metrics: Metrics, keep_s: float) -> None:
        self._metrics, self._keep_s = metrics, keep_s
        self._known: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="action_gru jobs", daemon=True)
        self._thread.start()

    @property
    def open(self) -> int:
        """How many wait or are read."""
        return sum(job.state in ("waiting", "running") for job in list(self._known.values()))

    def add(self, job: Job) -> None:
        """Take in a job and its file."""
        with self._changed:
            self._sweep()
            self._known[job.id] = job
            self._waiting.append(job)
            self._changed.notify_all()

    def find(self, name: str) -> Job:
        """Raises MissingThingError for one that is not kept any more, and never was."""
        with self._changed:
            self._sweep()
            if name not in self._known:
                raise MissingThingError(
                    f"no timeline '{name[:40]}'; results are kept for {self._keep_s / 60:.0f} "
                    "minutes: POST the video again"
                )
            return self._known[name]

    def remove(self, name: str) -> Job:
        """Stop a job and forget it. Raises MissingThingError."""
        job = self.find(name)
        with self._changed:
            self._known.pop(name, None)
            job.is_unwanted = True
            if job in self._waiting:
                self._waiting.remove(job)
                job.end("cancelled")
        return job

    def cancel_waiting(self) -> None:
        with self._changed:
            for job in self._waiting:
                job.end("cancelled")
            self._waiting.clear()

    def close(self) -> bool:
        """Stop what runs; whether it did."""
        self.cancel_waiting()
        with self._changed:
            self._closed = True
            for job in self._known.values():
                job.is_unwanted = True
            self._changed.notify_all()
        self._thread.join(ENDING_S)
        return not self._thread.is_alive()

    def _sweep(self) -> None:
        """Forget what is kept for too long, and the oldest where there is too much."""
        over = [job for job in self._known.values() if job.ended_s is not None]
        over.sort(key=lambda job: job.ended_s or 0.0)
        oldest_s = time.monotonic() - self._keep_s
        for number, job in enumerate(over):
            if (job.ended_s or 0.0) < oldest_s or len(over) - number > MOST_KEPT:
                del self._known[job.id]

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._read(job)
                job.end("cancelled" if job.is_unwanted else "done")
            except ActionGruError as error:
                job.error = job.upload.shown(str(error))
                job.end("failed")
            except Exception as error:  # the server goes on; the client and the log are told
                LOGGER.exception("a timeline failed")
                job.error = f"{type(error).__name__}: {error}; the server's terminal tells more"
                job.end("failed")

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            job = self._waiting.popleft()
            job.state = "running"
            return job

    def _read(self, job: Job) -> None:
        recognizer, path = job.served.recognizer, job.upload.path
        reader: TimelineReader[Any] = (
            recognizer.read_people(path) if job.per_person else recognizer.read_timeline(path)
        )
        answers: Any = iter(reader)
        with closing(answers):
            for _ in answers:
                job.read_s, job.length_s = reader.stream.last_s, reader.declared_s
                if job.is_unwanted:
                    return
        timeline = replace(reader.timeline(), source=job.upload.name)
        job.warnings = [job.upload.shown(text) for text in doubts_of(timeline, reader, None)]
        job.timeline = timeline
        self._metrics.predictions.labels(job.served.name).inc(len(timeline.scores.times_s))
        for event in timeline.events:
            self._metrics.events.labels(event.label).inc()
