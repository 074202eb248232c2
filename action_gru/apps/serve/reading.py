"""Clips of many requests, read together: what waits for one model is one batch. Knows no HTTP.

Each lane is a thread that takes what waits, up to a batch, and reads it as the Python API reads a
list: decoders and the network work on several clips at once, and a clip's answer does not depend on
its neighbours. A large file is read alone and never by the last lane, so small ones pass it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from action_gru.apps.serve.models import Served
from action_gru.core.errors import ActionGruError, VideoError
from action_gru.features.extractor import usable_cores
from action_gru.timeline import Prediction

LANES = 2
LEAST_TOGETHER = 8
LARGE_BYTES = 16_000_000
ENDING_S = 2.0
Answer = tuple[Prediction, tuple[str, ...]]  # with the warnings


class UnreadableError(ActionGruError):
    """A file that is no video, or has no readable frame."""

    status = 422


@dataclass
class Asked:
    """A clip that waits, and whose answer is awaited."""

    served: Served
    path: Path
    is_large: bool
    future: Future[Answer] = field(default_factory=Future)


class Readers:
    """The lanes. heard: told of each batch: how many clips, seconds."""

    def __init__(self, heard: Callable[[int, float], None], lanes: int = LANES) -> None:
        self._heard = heard
        # 8 clients got 1.6 times the answers of one with batches of 8, on 2 busy processors, 1.4
        # times with batches of 4; half of them then waited 36 s, or 23 s.
        self._together = max(LEAST_TOGETHER, 2 * usable_cores())
        self._waiting: deque[Asked] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(
                target=self._work, args=(number,), name=f"action_gru lane {number}", daemon=True
            )
            for number in range(lanes)
        ]
        for thread in self._threads:
            thread.start()

    def read(self, served: Served, path: Path) -> Future[Answer]:
        """The answer to a file, which must stay until then. Cancelling it while it waits is enough
        to be rid of it. The future raises UnreadableError for what is no video.
        """
        asked = Asked(served, path, path.stat().st_size > LARGE_BYTES)
        with self._changed:
            self._waiting.append(asked)
            self._changed.notify_all()
        return asked.future

    def close(self) -> bool:
        """Cancel what waits, and give what is read a moment; whether that ended, too."""
        with self._changed:
            self._closed = True
            for asked in self._waiting:
                asked.future.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(ENDING_S)
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, lane: int) -> None:
        takes_large = lane < len(self._threads) - 1 or len(self._threads) == 1
        while batch := self._next(takes_large):
            running = [one for one in batch if one.future.set_running_or_notify_cancel()]
            if running:
                began_s = time.perf_counter()
                _read(running)
                self._heard(len(running), time.perf_counter() - began_s)

    def _next(self, takes_large: bool) -> list[Asked]:
        """What to read next: a large file alone, or small ones of one model; [] at the end."""
        with self._changed:
            while not self._closed:
                found = (one for one in self._waiting if takes_large or not one.is_large)
                if (first := next(found, None)) is not None:
                    batch = self._beside(first)
                    for one in batch:
                        self._waiting.remove(one)
                    return batch
                self._changed.wait()
        return []

    def _beside(self, first: Asked) -> list[Asked]:
        if first.is_large:
            return [first]
        small = (one for one in self._waiting if not one.is_large)
        return [one for one in small if one.served is first.served][: self._together]


def _read(batch: list[Asked]) -> None:
    """Answer each; an error that is not of a file's own is that of all."""
    try:
        paths = [one.path for one in batch]
        found = batch[0].served.recognizer.classify(paths, skip_bad=True)
    except Exception as error:
        unreadable = UnreadableError(str(error)) if isinstance(error, VideoError) else error
        for one in batch:
            one.future.set_exception(unreadable)
        return
    answers = dict(zip(found.sources, found, strict=True))
    for one in batch:
        name = str(one.path)
        if name in answers:
            one.future.set_result((answers[name], tuple(found.warnings.get(name, ()))))
        else:
            one.future.set_exception(UnreadableError(found.problems[name]))
