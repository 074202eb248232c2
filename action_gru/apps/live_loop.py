"""The live loop: samples of several sources go through the model together, and it is measured.

Knows nothing of windows, keys or files.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from action_gru.apps.feed import Due, Feed
from action_gru.recognizer import ActionRecognizer
from action_gru.streaming import ActionStream
from action_gru.streaming.people import Person
from action_gru.timeline import Event, Prediction

IDLE_S = 0.05  # how often a loop without frames looks around
REMEMBERED = 1000  # latencies


@dataclass(frozen=True)
class Answer:
    """What one source's newest sample gave. ended: events that are over for certain by now.

    people: who was looked at, where people are told apart; there is no prediction then.
    """

    feed: Feed
    prediction: Prediction | None
    current: Event | None
    ended: tuple[Event, ...]
    latency_s: float | None  # from the frame's arrival to this answer; None: the source is over
    people: tuple[Person, ...] = ()


class LiveLoop:
    """Advances the streams of all sources by their newest samples, one batch a turn."""

    def __init__(
        self,
        recognizer: ActionRecognizer,
        sources: Sequence[str],
        *,
        pace: bool = True,
        loop: bool = False,
        max_retries: int | None = None,
        per_person: bool = False,
    ) -> None:
        self.recognizer = recognizer
        self._wake = threading.Event()
        self.feeds = [
            Feed(
                source,
                recognizer.people() if per_person else recognizer.stream(),
                self._wake,
                pace=pace,
                loop=loop,
                max_retries=max_retries,
                limits=recognizer.limits,
            )
            for source in sources
        ]
        self.engine = self.feeds[0].stream.engine
        self.latencies_s: deque[float] = deque(maxlen=REMEMBERED)
        self.predictions = 0
        self.work_s = self.backbone_s = 0.0
        self._started_s = time.perf_counter()

    def __enter__(self) -> LiveLoop:
        """Opens every source. Raises VideoError where one gives no picture."""
        self._warm_up()
        opened: list[Feed] = []
        try:
            for feed in self.feeds:
                opened.append(feed)
                feed.source.start()
        except BaseException:
            for feed in opened:
                feed.close()
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
            yield [*self._turn(), *self._endings()]
            if all(feed.source.status.state == "failed" for feed in self.feeds):
                self.feeds[0].source.check()

    def _endings(self) -> list[Answer]:
        """The last events of sources that are over, once for each."""
        answers = []
        for feed in self.feeds:
            if feed.over and not feed.finished:
                feed.finished = True
                ended = tuple(feed.stream.finish())
                if ended:
                    last = getattr(feed.stream, "prediction", None)  # people have one each
                    answers.append(Answer(feed, last, None, ended, None))
        return answers

    def finish(self) -> list[tuple[Feed, list[Event]]]:
        """Close what is still open in each stream."""
        return [(feed, feed.stream.finish()) for feed in self.feeds if not feed.finished]

    def count_work(self, seconds: float) -> None:
        """Add what a caller spends on a sample: drawing, showing, writing."""
        self.work_s += seconds

    def summary(self) -> dict[str, float | int]:
        """How the loop has done: rates a second, latencies in ms, shares from 0 to 1.

        share_beside_backbone: of the time worked, all that is not the backbone's forward pass;
        beside_backbone_ms: the same per prediction.
        """
        p50, p95 = self.latency_ms()
        beside_s = self.work_s - self.backbone_s
        elapsed_s = time.perf_counter() - self._started_s
        return {
            "predictions": self.predictions,
            "per_second": round(self.predictions / max(elapsed_s, 1e-9), 2),
            "latency_p50_ms": round(p50, 1),
            "latency_p95_ms": round(p95, 1),
            "dropped": sum(feed.dropped for feed in self.feeds),
            "reconnects": sum(feed.source.status.reconnects for feed in self.feeds),
            "decoder_crashes": sum(feed.source.status.crashes for feed in self.feeds),
            "failed": sum(feed.source.status.state == "failed" for feed in self.feeds),
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
        began_s, before_s = time.perf_counter(), self.engine.backbone_s
        answers = self._advance(taken)
        now_s = time.perf_counter()
        self.backbone_s += self.engine.backbone_s - before_s
        self.work_s += now_s - began_s + sum(due.looking_s for _, due in taken)
        latencies_s = [now_s - due.arrived_s for _, due in taken]
        self.latencies_s.extend(latencies_s)
        self.predictions += len(taken)
        return [
            replace(answer, latency_s=latency_s)
            for answer, latency_s in zip(answers, latencies_s, strict=True)
        ]

    def _advance(self, taken: Sequence[tuple[Feed, Due]]) -> list[Answer]:
        streams: list[Any] = [feed.stream for feed, _ in taken]
        samples: list[Any] = [due.sample for _, due in taken]
        found = self.engine.advance(streams, samples)
        return [self._answer(feed, one) for (feed, _), one in zip(taken, found, strict=True)]

    def _answer(self, feed: Feed, found: Any) -> Answer:
        stream, ended = feed.stream, tuple(feed.stream.ended)
        if isinstance(stream, ActionStream) and isinstance(found, Prediction):
            return Answer(feed, self.recognizer.judged(found), stream.current, ended, None)
        return Answer(feed, None, None, ended, None, tuple(found))

    def _warm_up(self) -> None:
        """The first calls of a network are slow: not with a frame waiting."""
        engine = self.recognizer.engine
        side_px = engine.backbone.image_size
        blank = np.zeros((side_px, side_px, 4), np.uint8)
        pictures = {view: blank[..., : 4 if view == "focus" else 3] for view in engine.views}
        for count in range(1, len(self.feeds) + 1):
            engine.backbone([pictures[view] for view in engine.views] * count)
        device = next(engine.model.parameters()).device
        engine.model.step(torch.zeros(1, sum(engine.model.view_dims), device=device))
