"""Endless streams of frames: what is known of each so far, and one model that advances them all."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from action_gru.backbone import Backbone
from action_gru.core.machine import Prefetch, one_thread
from action_gru.detection.frame_views import frame_views_of, make_maker, side
from action_gru.model import ActionClassifier
from action_gru.streaming.states import Lookahead, OverlappingWindows, join, reset_rows, split
from action_gru.timeline import Event, EventTracker, ManyEventTracker, Prediction, ScoreTrack
from action_gru.video import Image
from action_gru.views import FrameSampler, Sample

EVENTS_KEPT = 1000
# An answer that rests on less than this share of the window is too young to make an event of.
MIN_EVIDENCE = 0.5
Answer = TypeVar("Answer", covariant=True)


class FrameStream(Protocol[Answer]):
    """What reads one source: the whole picture (`ActionStream`) or each person (`PeopleStream`).

    sampler: is shown every frame and gives the samples that are due. ended: the events that ended
    for certain with the last sample. met: how many people were followed; None without --per-person.
    """

    sampler: Any
    ended: list[Event]
    events: deque[Event]
    restarts: int
    restart_reason: str
    track: ScoreTrack | None
    met: int | None

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def last_s(self) -> float:
        """The instant of the last sample."""
        ...

    def advance(self, samples: Iterable[Any], batch: int) -> Iterator[Answer]:
        """The answer after each sample. batch: how many may be embedded at once."""
        ...

    def finish(self) -> list[Event]:
        """Close what is still open; the events that were not announced yet."""
        ...


class StreamEngine:
    """Advances any number of streams, each by one sample, in one batch.

    backbone_s: seconds spent in the backbone so far.
    """

    def __init__(
        self,
        model: ActionClassifier,
        backbone: Backbone,
        classes: Sequence[str],
        views: Sequence[str],
        fps: float,
        thresholds: Sequence[float] | None = None,
    ) -> None:
        """thresholds: see `Prediction.from_probabilities`."""
        self.thresholds = thresholds
        self.model, self.backbone = model, backbone
        self.classes, self.views, self.fps = tuple(classes), tuple(views), fps
        self.backbone_s = 0.0
        self._fresh = model.initial_state(1)
        self._device = next(model.parameters()).device

    def open(
        self,
        tracker: EventTracker | ManyEventTracker,
        window_s: float,
        states: int,
        max_gap_s: float,
        at_cut: bool = False,
    ) -> ActionStream:
        """A new stream. window_s: how far back an answer looks; 0: as far as there is.

        max_gap_s, at_cut: see `FrameSampler`.
        """
        sampler = FrameSampler(
            lambda: make_maker(self.backbone, self.views), self.fps, max_gap_s, at_cut=at_cut
        )
        return ActionStream(self, sampler, tracker, window_s, states)

    def advance(
        self, streams: Sequence[ActionStream], samples: Sequence[Sample]
    ) -> list[Prediction]:
        """One sample for each of some streams: one backbone call and one step for all of them."""
        return self.step(streams, samples, self.embed(samples))

    def embed(self, samples: Sequence[Sample]) -> Tensor:
        """Features (N, D) float32 of N samples, rounded as the cache rounds them."""
        started_s = time.perf_counter()
        vectors = frame_views_of(self.backbone)
        views = [view for view in self.views if view not in vectors]
        pictures = [sample.pictures[view] for view in views for sample in samples]
        parts: dict[str, Tensor] = {}
        if views:
            features = self.backbone(pictures).half().float()
            parts = dict(zip(views, torch.split(features, len(samples)), strict=True))
        for view in vectors:
            rows = np.stack([side(sample.pictures[view], False) for sample in samples])
            parts[view] = torch.from_numpy(rows).float()
        self.backbone_s += time.perf_counter() - started_s
        return torch.cat([parts[view] for view in self.views], -1)

    def step(
        self, streams: Sequence[ActionStream], samples: Sequence[Sample], features: Tensor
    ) -> list[Prediction]:
        """Advance each stream by the features (N, D) of its sample."""
        with torch.inference_mode():
            for stream, sample in zip(streams, samples, strict=True):
                reset_rows(stream.state, stream.begin_step(sample), self._fresh)
            sizes = [stream.states for stream in streams]
            rows = features.to(self._device).repeat_interleave(torch.tensor(sizes), 0)
            logits, state = self.model.step(rows, join([stream.state for stream in streams]))
            scores = self.model.probabilities(logits.double()).cpu().numpy()
        for stream, part, row in zip(streams, split(state, sizes), features, strict=True):
            stream.state, stream.newest = part, row
        parts = np.split(scores, np.cumsum(sizes)[:-1])
        return [stream.end_step(part) for stream, part in zip(streams, parts, strict=True)]

    def repeat(self, stream: ActionStream) -> NDArray[np.float64]:
        """Advance a stream of one state by its newest features once more; its scores, (1, C)."""
        assert stream.newest is not None
        with torch.inference_mode():
            row = stream.newest[None].to(self._device)
            logits, stream.state = self.model.step(row, stream.state)
            scores: NDArray[np.float64] = self.model.probabilities(logits.double()).cpu().numpy()
        return scores


class ActionStream:
    """Frames in, the running answer and events out; made by `ActionRecognizer.stream()`.

        stream = recognizer.stream()
        for frame in frames:
            prediction = stream.push(frame.image, frame.time_s)

    Every sampled frame goes through the backbone once; cost and memory of a frame do not grow.
    The answer rests on the last (states - 1) / states to 1 times window_s seconds, and is about
    their middle; with window_s 0 one state reads on without a restart. The answer of a model of
    instants (`data.task: frames`) is about its newest frame, or with `model.lookahead` about the
    sample so many before (`Prediction.centre_s`). At a break (see `FrameSampler`) such
    as missing frames or a cut everything starts afresh: `restarts` counts it and `restart_reason`
    says why. Where a stretch of frames ends, its younger states speak of its last half window, and
    events rest on them as on any other answer. `track`, where one is set, takes in every answer
    that events rest on.
    """

    def __init__(
        self,
        engine: StreamEngine,
        sampler: FrameSampler,
        tracker: EventTracker | ManyEventTracker,
        window_s: float,
        states: int,
    ) -> None:
        self.engine, self.sampler, self.tracker = engine, sampler, tracker
        self.window_s, self.states = window_s, states if window_s else 1
        self.prediction: Prediction | None = None
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)  # those that are over
        self.ended: list[Event] = []
        self.restarts = 0
        self.restart_reason = ""
        self.track: ScoreTrack | None = None
        self.met: int | None = None
        self.newest: Tensor | None = None  # features (D,) of the newest sample
        self._begins = False  # a stretch after a break, of which no answer is recorded yet
        self._begin()

    def _begin(self) -> None:
        self.windows = OverlappingWindows(self.states, self.window_s or math.inf)
        self.state = self.engine.model.initial_state(self.states)
        self._scores: NDArray[np.float64] = np.zeros((self.states, len(self.engine.classes)))
        self.last_s = self._about_s = 0.0
        self._ahead = Lookahead(self.engine.model.lookahead)

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the scores."""
        return self.engine.classes

    @property
    def current(self) -> tuple[Event, ...]:
        """What is going on now; none while it is nothing in particular."""
        return self.tracker.current

    @property
    def smoothed(self) -> Prediction | None:
        """The answer that events are made of: the mean over the last smoothing_s."""
        return self.tracker.smoothed

    def push(self, image: Image, time_s: float) -> Prediction:
        """Show the next frame, (H, W, 3) uint8 RGB at time_s seconds; the newest answer.

        Every frame of the source should be shown: sampling is done here, by time. Between two
        samples the answer stays as it is, with the time_s of its frame.
        """
        sample = self.sampler.sample(image, time_s)
        if sample is not None:
            self.engine.advance([self], [sample])
        else:
            self.ended = []
        assert self.prediction is not None  # the first frame of a stream is always due
        return self.prediction

    def advance(self, samples: Iterable[Sample], batch: int) -> Iterator[Prediction]:
        """See `FrameStream`: the pictures of a batch go through the backbone together, those of the
        next one while these are read.
        """
        remaining = iter(samples)
        batches = iter(lambda: list(islice(remaining, batch)), [])
        embedded = ((some, self.engine.embed(some)) for some in batches)
        with Prefetch(embedded, 1) as ahead:
            for some, features in ahead:
                for sample, row in zip(some, features, strict=True):
                    with one_thread():
                        answers = self.engine.step([self], [sample], row[None])
                    yield from answers

    def finish(self) -> list[Event]:
        """Close what is still open; the events that no push has announced yet.

        A later push starts afresh.
        """
        if self.engine.model.instant:
            answers = list(self._late_answers())
        else:
            younger = [self._answer_of(state) for state in self.windows.oldest_first()[1:]]
            answers = [answer for answer in younger if self._is_evidence(answer)]
        ended = [event for answer in answers for event in self.tracker.push(answer)]
        ended += self.tracker.finish(self.last_s)
        for answer in answers:
            self._record(answer)
        self.events.extend(ended)
        self.ended = ended
        self._begin()
        return ended

    def _late_answers(self) -> Iterator[Prediction]:
        """Of a model that reads ahead, the answers about its last instants, as if the newest sample
        went on.
        """
        left, ahead = self._ahead.left(), self.engine.model.lookahead
        for number in range(ahead if left else 0):
            self._scores = self.engine.repeat(self)
            if (place := number - ahead + len(left)) >= 0:
                self._about_s = left[place]
                yield self._answer_of(0)

    def begin_step(self, sample: Sample) -> list[int]:
        """Take in a sample; the rows of the state that start afresh with it."""
        self.ended = []
        if sample.run > self.restarts:
            self.restarts, self.restart_reason = sample.run, sample.reason
            self.finish()
            self._begins = True
        self.last_s = sample.time_s
        self._about_s = self._ahead.push(sample.time_s)
        return self.windows.restarting(sample.time_s)

    def end_step(self, scores: NDArray[np.float64]) -> Prediction:
        """Take in the probabilities of each state, (K, C); the answer."""
        self._scores = scores
        self.prediction = self._answer_of(self.windows.oldest_first()[0])
        if self._ahead.is_full:
            self._record(self.prediction)
        is_evidence = self._is_evidence(self.prediction)
        ended = self.tracker.push(self.prediction) if is_evidence else []
        self.events.extend(ended)
        self.ended = [*self.ended, *ended]
        return self.prediction

    def _record(self, answer: Prediction) -> None:
        if self.track is not None:
            self.track.add(answer.centre_s, answer.probabilities(self.classes), self._begins)
        self._begins = False

    def _answer_of(self, state: int) -> Prediction:
        model = self.engine.model
        since_s = self._about_s if model.instant else self.windows.since_s[state]
        return Prediction.from_probabilities(
            self.engine.classes,
            self._scores[state],
            self.last_s,
            since_s,
            self.engine.thresholds,
            self._about_s if model.lookahead else None,
        )

    def _is_evidence(self, answer: Prediction) -> bool:
        assert answer.since_s is not None
        if self.engine.model.instant:
            return self._ahead.is_full
        return answer.time_s - answer.since_s >= MIN_EVIDENCE * self.window_s
