"""One live source with its stream: a thread looks at each frame, the newest sample waits.

Knows nothing of windows or files.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from action_gru.source_rate import INSTANTS_KEPT
from action_gru.streaming import ActionStream, Sample
from action_gru.streaming.people import PeopleStream
from action_gru.streaming.scene import Scene
from action_gru.video import DecodeLimits, Frame, LiveSource

WAIT_S = 0.1


@dataclass(frozen=True)
class Due:
    """A sample with the moment its frame arrived and what looking at frames cost since the last."""

    sample: Sample | Scene
    frame: Frame
    arrived_s: float  # time.perf_counter
    looking_s: float


class Feed:
    """The newest frame and the newest sample of a source; older ones are dropped and counted.

    pace False: a file is read as fast as the model follows, and nothing is dropped.
    """

    def __init__(
        self,
        source: str,
        stream: ActionStream | PeopleStream,
        wake: threading.Event,
        *,
        pace: bool = True,
        loop: bool = False,
        max_retries: int | None = None,
        limits: DecodeLimits | None = None,
    ) -> None:
        self.stream = stream
        self.source = LiveSource(
            source,
            on_frame=self._on_frame,
            pace=pace,
            loop=loop,
            max_retries=max_retries,
            limits=limits,
        )
        self.dropped = 0
        self.instants_s: deque[float] = deque(maxlen=INSTANTS_KEPT)  # sampled, dropped ones too
        self.frame: Frame | None = None
        self.answered: Frame | None = None  # whose sample was taken last
        self.finished = False
        self._wake, self._waits = wake, not pace
        self._due: Due | None = None
        self._looking_s = 0.0
        self._lock = threading.Lock()
        self._taken = threading.Event()
        self._closed = False

    def take(self) -> Due | None:
        """The newest sample that nobody has taken yet."""
        with self._lock:
            due, self._due = self._due, None
            if due is not None:
                self.answered = due.frame
        self._taken.set()
        return due

    def pause(self, paused: bool) -> None:
        """Let no frame come, until it is told to go on. See `LiveSource.pause`."""
        self.source.pause(paused)

    def close(self) -> None:
        self._closed = True
        self._taken.set()
        self.source.close()

    @property
    def over(self) -> bool:
        """No frame will come any more, and none waits."""
        return self.source.status.state in ("ended", "failed") and self._due is None

    def _on_frame(self, frame: Frame) -> None:
        arrived_s = time.perf_counter()
        sample = self.stream.looker.look(frame.image, frame.time_s)
        self._looking_s += time.perf_counter() - arrived_s
        while sample and self._waits and self._due is not None and not self._closed:
            self._taken.clear()
            self._taken.wait(WAIT_S)
        with self._lock:
            self.frame = frame
            if sample is not None:
                self.instants_s.append(frame.time_s)
                self.dropped += self._due is not None
                self._due = Due(sample, frame, arrived_s, self._looking_s)
                self._looking_s = 0.0
        self._wake.set()
