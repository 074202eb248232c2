"""The live loop: a thread samples each source's frames, and the newest samples of all sources go
through the model together.

Knows nothing of windows, keys or files.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from action_gru.recognizer import ActionRecognizer
from action_gru.streaming import ActionStream
from action_gru.streaming.people import PeopleStream, Person
from action_gru.streaming.scene import Scene
from action_gru.timeline import Event, Prediction
from action_gru.video import Frame, LiveSource
from action_gru.views import VIEWS, Sample
from action_gru.views.sampling import RateWatch

IDLE_S = 0.05  # how often a loop without frames looks around
REMEMBERED = 1000  # latencies
WAIT_S = 0.1


@dataclass(frozen=True)
class Due:
    """A sample, its frame's arrival (time.perf_counter), and the sampling time since the last."""

    sample: Sample | Scene
    frame: Frame
    arrived_s: float
    sampling_s: float


class Feed:
    """The newest frame and the newest sample of a source; older ones are dropped and counted.

    drops False: the reader waits until a sample is taken, and nothing is dropped. show: is given
    every frame, in the thread that reads.
    """

    def __init__(
        self,
        open_source: Callable[..., LiveSource],
        stream: ActionStream | PeopleStream,
        wake: threading.Event,
        drops: bool,
        show: Callable[[Frame], None] | None = None,
    ) -> None:
        self.source, self.stream = open_source(on_frame=self._on_frame), stream
        self._show = show
        self.dropped = 0
        self.rate = RateWatch(stream.sampler.fps)  # of what is sampled, dropped ones too
        self.frame: Frame | None = None
        self.answered: Frame | None = None  # whose sample was taken last
        self.finished = False
        self._wake, self._drops = wake, drops
        self._due: Due | None = None
        self._sampling_s = 0.0
        self._form = ""  # of the connection that the last frame came from
        self._lock, self._taken = threading.Lock(), threading.Event()
        self._closed = False

    def take(self) -> Due | None:
        """The newest sample that was not taken yet."""
        with self._lock:
            due, self._due = self._due, None
            if due is not None:
                self.answered = due.frame
        self._taken.set()
        return due

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
        if self._show is not None:
            self._show(frame)
        if self._form and self.source.form != self._form:
            self.stream.sampler.restart(f"it came back with {self.source.form}, not {self._form}")
        self._form = self.source.form
        sample = self.stream.sampler.sample(frame.image, frame.time_s)
        self._sampling_s += time.perf_counter() - arrived_s
        while sample and not self._drops and self._due is not None and not self._closed:
            self._taken.clear()
            self._taken.wait(WAIT_S)
        with self._lock:
            self.frame = frame
            if sample is not None:
                self.rate.add(frame.time_s)
                self.dropped += self._due is not None
                self._due = Due(sample, frame, arrived_s, self._sampling_s)
                self._sampling_s = 0.0
        self._wake.set()


@dataclass(frozen=True)
class Answer:
    """What one source's newest sample gave. ended: events that are over for certain by now.

    prediction: of the whole picture; people: those who were looked at, where people are followed.
    Neither, and no latency from the frame's arrival, where the source is over.
    """

    feed: Feed
    ended: tuple[Event, ...]
    latency_s: float | None = None
    prediction: Prediction | None = None
    people: tuple[Person, ...] = ()


class LiveLoop:
    """Advances the streams of all sources by their newest samples, one batch a turn.

    pace False: files are read as fast as the model follows, and nothing is dropped.
    """

    def __init__(
        self,
        recognizer: ActionRecognizer,
        sources: Sequence[str],
        *,
        pace: bool = True,
        loop: bool = False,
        max_retries: int | None = None,
        per_person: bool = False,
        show: Callable[[int, Frame], None] | None = None,
    ) -> None:
        """show: is given every frame of each source, by its number; it must not wait."""
        self.recognizer = recognizer
        self._wake = threading.Event()
        reading: Any = {"pace": pace, "loop": loop, "max_retries": max_retries}
        reading |= {"limits": recognizer.limits, "frame_rate": recognizer.frame_rate}
        open_source = partial(LiveSource, **reading)
        open_stream = recognizer.people if per_person else recognizer.stream
        self.feeds = [
            Feed(
                partial(open_source, source),
                open_stream(),
                self._wake,
                drops=pace,
                show=None if show is None else partial(show, number),
            )
            for number, source in enumerate(sources)
        ]
        self.engine = self.feeds[0].stream.engine
        self.latencies_s: deque[float] = deque(maxlen=REMEMBERED)
        self.predictions = 0
        self.work_s = self.backbone_s = 0.0  # a caller adds what it spends: drawing, showing
        self._started_s = time.perf_counter()

    def __enter__(self) -> LiveLoop:
        """Opens every source. Raises VideoError where one gives no picture."""
        self._warm_up()
        try:
            for feed in self.feeds:
                feed.source.start()
        except BaseException:
            self.__exit__()
            raise
        self._started_s = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        for feed in self.feeds:
            feed.close()

    def turns(self) -> Iterator[list[Answer]]:
        """The new answers, at least every 50 ms even if there are none, until all sources end.

        Raises VideoError when the only source is lost for good.
        """
        while not all(feed.over for feed in self.feeds):
            self._wake.wait(IDLE_S)
            self._wake.clear()
            yield [*self._turn(), *self.finish(only_over=True)]
            if all(feed.source.status.state == "failed" for feed in self.feeds):
                self.feeds[0].source.check()

    def finish(self, only_over: bool = False) -> list[Answer]:
        """The events still open in each stream, once: of all sources, or of those that are over."""
        due = [feed for feed in self.feeds if not feed.finished and (feed.over or not only_over)]
        answers = []
        for feed in due:
            feed.finished = True
            if ended := tuple(feed.stream.finish()):
                answers.append(Answer(feed, ended))
        return answers

    def summary(self) -> dict[str, float | int]:
        """Rates a second, latencies in ms, shares from 0 to 1.

        share_beside_backbone: of the time worked, all that is not the backbone's forward pass;
        beside_backbone_ms: the same per prediction.
        """
        p50, p95 = self.latency_ms()
        beside_s = self.work_s - self.backbone_s
        elapsed_s = time.perf_counter() - self._started_s
        statuses = [feed.source.status for feed in self.feeds]
        return {
            "predictions": self.predictions,
            "per_second": round(self.predictions / max(elapsed_s, 1e-9), 2),
            "latency_p50_ms": round(p50, 1),
            "latency_p95_ms": round(p95, 1),
            "dropped": sum(feed.dropped for feed in self.feeds),
            "reconnects": sum(status.reconnects for status in statuses),
            "decoder_crashes": sum(status.crashes for status in statuses),
            "failed": sum(status.state == "failed" for status in statuses),
            "restarts": sum(feed.stream.restarts for feed in self.feeds),
            "beside_backbone_ms": round(1000 * beside_s / max(self.predictions, 1), 2),
            "share_beside_backbone": round(beside_s / max(self.work_s, 1e-9), 3),
        }

    def latency_ms(self) -> tuple[float, float]:
        """Median and 95th percentile over the last predictions, from arrival to answer."""
        if not self.latencies_s:
            return 0.0, 0.0
        p50, p95 = np.percentile(np.array(self.latencies_s) * 1000, [50, 95])
        return float(p50), float(p95)

    def _turn(self) -> list[Answer]:
        taken = [(feed, due) for feed in self.feeds if (due := feed.take()) is not None]
        if not taken:
            return []
        streams: list[Any] = [feed.stream for feed, _ in taken]
        samples: list[Any] = [due.sample for _, due in taken]
        began_s, before_s = time.perf_counter(), self.engine.backbone_s
        found: list[Any] = list(self.engine.advance(streams, samples))
        now_s = time.perf_counter()
        self.backbone_s += self.engine.backbone_s - before_s
        self.work_s += now_s - began_s + sum(due.sampling_s for _, due in taken)
        latencies_s = [now_s - due.arrived_s for _, due in taken]
        self.latencies_s.extend(latencies_s)
        self.predictions += len(taken)
        answers = []
        for (feed, _), one, latency_s in zip(taken, found, latencies_s, strict=True):
            answer = partial(Answer, feed, tuple(feed.stream.ended), latency_s)
            if isinstance(feed.stream, PeopleStream):
                answers.append(answer(people=tuple(one)))
            else:
                answers.append(answer(prediction=self.recognizer.judged(one)))
        return answers

    def _warm_up(self) -> None:
        """The first calls of a network are slow: not with a frame waiting."""
        engine = self.recognizer.engine
        side_px = engine.backbone.image_size
        channels = [VIEWS[view].channels for view in engine.views if view in VIEWS]
        pictures = [np.zeros((side_px, side_px, count), np.uint8) for count in channels]
        for count in range(1, len(self.feeds) + 1):
            engine.backbone(pictures * count)
        device = next(engine.model.parameters()).device
        engine.model.step(torch.zeros(1, sum(engine.model.view_dims), device=device))
