"""What the routes of a server share: models, lanes, places, counts, and the way to its end."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from action_gru.apps.serve.jobs import Jobs
from action_gru.apps.serve.metrics import Metrics
from action_gru.apps.serve.models import Models
from action_gru.apps.serve.reading import Readers
from action_gru.apps.serve.stream_loop import StreamLoop
from action_gru.apps.serve.uploads import Folder
from action_gru.core.errors import ActionGruError

POLL_S = 0.05
LONGEST_RETRY_S = 60


class BusyError(ActionGruError):
    """No place is free. retry_s: when to ask again."""

    status = 429

    def __init__(self, what: str, most: int, retry_s: float) -> None:
        after_s = max(1, min(LONGEST_RETRY_S, math.ceil(retry_s)))
        super().__init__(f"{most} {what} already; ask again in {after_s} s")
        self.headers = {"retry-after": str(after_s)}


@dataclass(frozen=True)
class Limits:
    """queue: clips that are received, wait or are read at once. streams: web sockets. jobs:
    timelines that wait or are read. keep_s: how long the result of one is kept. stop_s: how long
    what runs may go on once the server is to end.
    """

    queue: int = 32
    streams: int = 8
    jobs: int = 8
    keep_s: float = 3600.0
    stop_s: float = 20.0


class Service:
    """The state of a running server. Use as a context manager."""

    def __init__(self, models: Models, limits: Limits) -> None:
        self.models, self.limits = models, limits
        self.is_closing = False
        self.clips = 0  # that are received, wait, or are read
        self.arriving = 0  # long videos that are received
        self.streams = 0  # web sockets
        self.closing = asyncio.Event()
        self.is_idle = True  # no thread works on, once it was left
        self.metrics = Metrics(lambda: self.clips)
        self._paces_s: deque[float] = deque([0.5], maxlen=50)  # of a clip in its batch
        self.folder = Folder()

    def __enter__(self) -> Service:
        self.folder.__enter__()
        self.readers = Readers(self._hear)
        self.jobs = Jobs(self.metrics, self.limits.keep_s)
        self.loop = StreamLoop(self.metrics)
        self.pool = ThreadPoolExecutor(self.limits.streams, "action_gru frames")
        return self

    def __exit__(self, *exception: object) -> None:
        ended = [part.close() for part in (self.loop, self.jobs, self.readers)]
        self.pool.shutdown(wait=False)
        self.is_idle = all(ended)
        self.folder.__exit__()

    def _hear(self, clips: int, seconds: float) -> None:
        self._paces_s.append(seconds / clips)
        self.metrics.batch.observe(clips)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for a clip. Raises BusyError where none is free."""
        if self.clips >= self.limits.queue:
            pace_s = sum(self._paces_s) / len(self._paces_s)
            raise BusyError("clips wait here", self.limits.queue, self.clips * pace_s)
        self.clips += 1
        try:
            yield
        finally:
            self.clips -= 1

    @contextmanager
    def job_place(self) -> Iterator[None]:
        """A place for a long video that is received. Raises BusyError where none is free."""
        if self.jobs.open + self.arriving >= self.limits.jobs:
            raise BusyError("long videos wait here", self.limits.jobs, LONGEST_RETRY_S)
        self.arriving += 1
        try:
            yield
        finally:
            self.arriving -= 1

    @contextmanager
    def stream_place(self) -> Iterator[None]:
        """A place for a web socket. Raises BusyError where none is free."""
        if self.streams >= self.limits.streams:
            raise BusyError("streams are followed here", self.limits.streams, LONGEST_RETRY_S)
        self.streams += 1
        self.metrics.streams.set(self.streams)
        try:
            yield
        finally:
            self.streams -= 1
            self.metrics.streams.set(self.streams)

    async def drain(self) -> None:
        """Take nothing new, and wait for what runs, at most stop_s."""
        self.is_closing = True
        self.closing.set()
        self.jobs.cancel_waiting()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.limits.stop_s
        while (self.clips or self.jobs.open or self.streams) and loop.time() < until_s:
            await asyncio.sleep(POLL_S)
