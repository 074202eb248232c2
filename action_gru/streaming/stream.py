"""One endless stream of frames and what is known of it so far."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from action_gru.streaming.looking import Image, Looker, Sample
from action_gru.streaming.states import StaggeredStates
from action_gru.timeline import Event, EventTracker, Prediction

if TYPE_CHECKING:
    from action_gru.streaming.engine import StreamEngine

EVENTS_KEPT = 1000
# An answer that rests on less than this share of the window is too young to make an event of.
MIN_EVIDENCE = 0.5


class ActionStream:
    """Frames in, the running answer and events out; made by `ActionRecognizer.stream()`.

        stream = recognizer.stream()
        for frame in frames:
            prediction = stream.push(frame.image, frame.time_s)

    Every sampled frame goes through the backbone once; cost and memory of a frame do not grow.
    The answer rests on the last (states - 1) / states to 1 times window_s seconds. When frames are
    missing for longer than max_gap_s, or time jumps back, everything starts afresh: `restarts`
    counts it and `restart_reason` says why. Where a stretch of frames ended with the last sample or
    `finish`, `closing` are the answers of its younger states: they speak of the stretch's last half
    window, and events rest on them as on any other answer.
    """

    def __init__(
        self,
        engine: StreamEngine,
        looker: Looker,
        tracker: EventTracker,
        window_s: float,
        states: int,
    ) -> None:
        self.engine, self.looker, self.tracker = engine, looker, tracker
        self.window_s, self.states = window_s, states
        self.prediction: Prediction | None = None
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)  # those that are over
        self.ended: list[Event] = []  # those that ended for certain with the last sample
        self.closing: list[Prediction] = []
        self.restarts = 0
        self.restart_reason = ""
        self._begin()

    def _begin(self) -> None:
        self.stagger = StaggeredStates(self.states, self.window_s)
        self.state = self.engine.model.initial_state(self.states)
        self._scores: NDArray[np.float64] = np.zeros((self.states, len(self.engine.classes)))
        self._last_s = 0.0

    @property
    def current(self) -> Event | None:
        """What is going on now; None while it is nothing in particular."""
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
        sample = self.looker.look(image, time_s)
        if sample is not None:
            self.engine.advance([self], [sample])
        else:
            self.ended, self.closing = [], []
        assert self.prediction is not None  # the first frame of a stream is always due
        return self.prediction

    def finish(self) -> list[Event]:
        """Close what is still open; the events that no push has announced yet.

        A later push starts afresh.
        """
        # Younger states speak of the time nearer the end.
        younger = [self._answer_of(state) for state in self.stagger.by_age()[1:]]
        self.closing = [answer for answer in younger if self._is_evidence(answer)]
        ended = [event for answer in self.closing for event in self.tracker.push(answer)]
        ended += self.tracker.finish(self._last_s)
        self.events.extend(ended)
        self.ended = ended
        self._begin()
        return ended

    def enter(self, sample: Sample) -> list[int]:
        """Before a step: the rows of the state that start afresh with this sample."""
        self.ended, self.closing = [], []
        if sample.run > self.restarts:
            self.restarts, self.restart_reason = sample.run, sample.reason
            self.finish()
        self._last_s = sample.time_s
        return self.stagger.due(sample.time_s)

    def answer(self, scores: NDArray[np.float64]) -> Prediction:
        """After a step: take in the probabilities of each state, (K, C)."""
        self._scores = scores
        self.prediction = self._answer_of(self.stagger.by_age()[0])
        is_evidence = self._is_evidence(self.prediction)
        ended = self.tracker.push(self.prediction) if is_evidence else []
        self.events.extend(ended)
        self.ended = [*self.ended, *ended]
        return self.prediction

    def _answer_of(self, state: int) -> Prediction:
        return Prediction.from_probabilities(
            self.engine.classes, self._scores[state], self._last_s, self.stagger.since_s[state]
        )

    def _is_evidence(self, answer: Prediction) -> bool:
        assert answer.since_s is not None
        return answer.time_s - answer.since_s >= MIN_EVIDENCE * self.window_s
