"""Turns a stream of predictions into events that do not flicker, or into alarms."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import DataError
from action_gru.timeline.events import Event, Prediction

MOST_SMOOTHED = 4096  # predictions at most, also if time does not advance
# Below this share of the threshold an alarm is over; between the two it stays as it is, so that a
# score that trembles around the threshold is one alarm and not twenty.
CLEAR_SHARE = 0.5


@dataclass
class _OpenEvent:
    """An event that is not announced yet, with the sum of its smoothed scores so far."""

    label: str
    start_s: float
    end_s: float
    total: float = 0.0
    count: int = 0

    def event(self, end_s: float) -> Event:
        mean = min(1.0, self.total / max(1, self.count))
        return Event(self.label, self.start_s, max(end_s, self.start_s), mean)


class EventTracker:
    """Hysteresis over smoothed scores, one prediction at a time, in constant memory; of classes of
    which one is right, so that events do not overlap.

    An event is the longest stretch in which its class scores at least `exit`, if it somewhere
    reaches `enter` as the best class (the double threshold of Canny 1986, along time). Where
    another class takes over, the one ends as the other begins. An event that begins less than
    `min_event_s` after one of its class continues that one; else it is dropped if it ends before
    it lasted `min_event_s`. Classes in `background` take over like any other, but are never
    announced. Times are those that the predictions describe (`centre_s`), so that smoothing and
    the model's window delay an event's announcement but do not shift it.
    """

    def __init__(
        self,
        enter: float = 0.4,
        exit: float = 0.25,
        min_event_s: float = 0.4,
        smoothing_s: float = 0.4,
        background: Sequence[str] = (),
    ) -> None:
        if not 0 <= exit <= enter <= 1:
            raise DataError(f"events need 0 <= exit <= enter <= 1; got exit {exit}, enter {enter}")
        self.enter, self.exit = enter, exit
        self.min_event_s, self.smoothing_s = min_event_s, smoothing_s
        self.background = frozenset(background)
        self.classes: tuple[str, ...] = ()
        self._recent: deque[tuple[float, NDArray[np.float64]]] = deque(maxlen=MOST_SMOOTHED)
        self.smoothed: Prediction | None = None
        self._clear()

    def _clear(self) -> None:
        self._recent.clear()
        self._above_since: dict[str, float] = {}  # class -> since when it scores at least exit
        self._best_since: tuple[str, float] = ("", 0.0)
        self._open: _OpenEvent | None = None
        self._pending: _OpenEvent | None = None  # ended, but may yet be continued
        self._over: list[Event] = []  # not returned yet
        self._last_end_s = self._now_s = -np.inf

    @property
    def current(self) -> tuple[Event, ...]:
        """The event that is going on, up to now; none while nothing in particular happens."""
        if self._open is None or self._open.label in self.background or not self._is_certain():
            return ()
        return (self._open.event(self._now_s),)

    def likely(self, background: bool = False) -> tuple[str, ...]:
        """The class that an event is of, or may begin with; none where nothing comes near.

        background: a class of these, too.
        """
        if current := self.current:
            return (current[0].label,)
        best, hidden = self.smoothed, () if background else self.background
        if best is None or best.score < self.enter or best.label in hidden:
            return ()
        return (best.label,)

    def push(self, prediction: Prediction) -> list[Event]:
        """Take in the next prediction; the events that are over for certain by now."""
        self.classes = self.classes or tuple(sorted(prediction.labels))
        instant_s, scores = self._smooth(prediction)
        self._now_s = max(self._now_s, instant_s)
        self.smoothed = Prediction.from_probabilities(
            self.classes, scores, prediction.time_s, prediction.since_s, None, prediction.about_s
        )
        self._note_levels(scores, prediction)
        self._decide(self.smoothed)
        ended = self._pending
        if ended and (self._is_certain() or not self._continues(ended)):
            self._announce_pending()
        events, self._over = self._over, []
        return events

    def finish(self, end_s: float | None = None) -> list[Event]:
        """Close what is open, at the end of the stream or before a gap, and start again."""
        if self._open is not None:
            self._close(self._open, self._now_s if end_s is None else max(end_s, self._now_s))
        self._announce_pending()
        events = self._over
        self._clear()
        return events

    def _smooth(self, prediction: Prediction) -> tuple[float, NDArray[np.float64]]:
        return _smoothed(self._recent, prediction, self.classes, self.smoothing_s)

    def _note_levels(self, scores: NDArray[np.float64], prediction: Prediction) -> None:
        # What the very first answer says holds from the first frame that it is based on.
        began_s = prediction.since_s if not self._best_since[0] else None
        since_s = self._now_s if began_s is None else began_s
        for label, score in zip(self.classes, scores, strict=True):
            if score < self.exit:
                self._above_since.pop(label, None)
            else:
                self._above_since.setdefault(label, since_s)
        best = self.classes[int(np.argmax(scores))]
        if best != self._best_since[0]:
            self._best_since = (best, since_s)

    def _decide(self, smoothed: Prediction) -> None:
        best, best_since_s = self._best_since
        score = dict(zip(smoothed.labels, smoothed.scores, strict=True))
        enters = score[best] >= self.enter
        if self._open is not None and self._open.label != best and enters:
            self._close(self._open, best_since_s)
        elif self._open is not None and score[self._open.label] < self.exit:
            self._close(self._open, self._now_s)
        if self._open is None and enters:
            before, start_s = self._pending, self._rise_s(best)
            if before and before.label == best and self._continues(before):
                self._open, self._pending = before, None
            else:
                self._open = _OpenEvent(best, start_s, start_s)
        if self._open is not None:
            self._open.total += score[self._open.label]
            self._open.count += 1

    def _close(self, ended: _OpenEvent, end_s: float) -> None:
        """End the open event; one that was too short is dropped."""
        self._open = None
        if end_s - ended.start_s >= self.min_event_s:
            self._announce_pending()
            ended.end_s = self._last_end_s = max(end_s, ended.start_s)
            self._pending = ended

    def _is_certain(self) -> bool:
        """Whether the open event will be one, even if the class that is best now takes over."""
        if self._open is None:
            return False
        best, best_since_s = self._best_since
        end_s = self._now_s if best == self._open.label else best_since_s
        return end_s - self._open.start_s >= self.min_event_s

    def _continues(self, ended: _OpenEvent) -> bool:
        """Whether the class of an ended event came back in time, or still can."""
        return self._rise_s(ended.label) - ended.end_s < self.min_event_s

    def _rise_s(self, label: str) -> float:
        """Where an event of the class would start: above exit, and after the event before."""
        return max(self._above_since.get(label, self._now_s), self._last_end_s)

    def _announce_pending(self) -> None:
        if self._pending is not None and self._pending.label not in self.background:
            self._over.append(self._pending.event(self._pending.end_s))
        self._pending = None


class ManyEventTracker:
    """The same of classes that may be shown at once: each has a hysteresis of its own, and events
    of several classes overlap.

    thresholds: by class, what its smoothed score must reach somewhere in an event; the event lasts
    as long as it scores at least `exit_share` of that. The other arguments are those of
    `EventTracker`.
    """

    def __init__(
        self,
        thresholds: Mapping[str, float],
        exit_share: float = 0.625,
        min_event_s: float = 0.4,
        smoothing_s: float = 0.4,
        background: Sequence[str] = (),
    ) -> None:
        self.thresholds, self.exit_share = dict(thresholds), exit_share
        self.min_event_s, self.smoothing_s = min_event_s, smoothing_s
        self.background = frozenset(background)
        self.smoothed: Prediction | None = None
        self.classes = tuple(sorted(thresholds))
        self._clear()

    def _clear(self) -> None:
        self._recent: deque[tuple[float, NDArray[np.float64]]] = deque(maxlen=MOST_SMOOTHED)
        self._now_s = -np.inf
        self._tracks = [
            _ClassTrack(name, self.thresholds[name], self.exit_share, self.min_event_s)
            for name in self.classes
            if name not in self.background
        ]

    @property
    def current(self) -> tuple[Event, ...]:
        """The events that are going on, up to now, the longest first."""
        going = [one for track in self._tracks if (one := track.current(self._now_s))]
        return tuple(sorted(going, key=lambda event: event.start_s))

    def likely(self, background: bool = False) -> tuple[str, ...]:
        """The classes that events are of or may begin with, the longest first."""
        names = [event.label for event in self.current]
        active = self.smoothed.active if self.smoothed else None
        hidden = () if background else self.background
        rising = [name for name in active or () if name not in hidden]
        return tuple(dict.fromkeys([*names, *rising]))

    def push(self, prediction: Prediction) -> list[Event]:
        """Take in the next prediction; the events that are over for certain by now."""
        first = not self._recent
        instant_s, scores = _smoothed(self._recent, prediction, self.classes, self.smoothing_s)
        self._now_s = max(self._now_s, instant_s)
        limits = [self.thresholds[name] for name in self.classes]
        self.smoothed = Prediction.from_probabilities(
            self.classes, scores, prediction.time_s, prediction.since_s, limits, prediction.about_s
        )
        # What the very first answer says holds from the first frame that it is based on.
        began_s = prediction.since_s if first else None
        rise_s = self._now_s if began_s is None else began_s
        by_class = dict(zip(self.classes, scores.tolist(), strict=True))
        ended = [track.push(by_class[track.label], self._now_s, rise_s) for track in self._tracks]
        return sorted((one for one in ended if one), key=lambda event: event.start_s)

    def finish(self, end_s: float | None = None) -> list[Event]:
        """Close what is open, at the end of the stream or before a gap, and start again."""
        last_s = self._now_s if end_s is None else max(end_s, self._now_s)
        ended = [event for track in self._tracks for event in track.finish(last_s)]
        self._clear()
        return sorted(ended, key=lambda event: event.start_s)


class _ClassTrack:
    """The events of one class. enter: what they must reach; exit_share of it: what they keep."""

    def __init__(self, label: str, enter: float, exit_share: float, min_event_s: float) -> None:
        self.label, self.enter, self.min_event_s = label, enter, min_event_s
        self.exit = exit_share * enter
        self._above_since: float | None = None
        self._open: _OpenEvent | None = None
        self._pending: _OpenEvent | None = None  # ended, but may yet be continued

    def current(self, now_s: float) -> Event | None:
        """The open event, once it is sure to be one."""
        if self._open is None or now_s - self._open.start_s < self.min_event_s:
            return None
        return self._open.event(now_s)

    def push(self, score: float, now_s: float, rise_s: float) -> Event | None:
        """The next score; an event that is over for certain. rise_s: since when the score holds."""
        if score < self.exit:
            self._close(now_s)
            self._above_since = None
        elif self._above_since is None:
            self._above_since = rise_s
        if self._open is None and self._above_since is not None and score >= self.enter:
            self._begin(self._above_since)
        if self._open is not None:
            self._open.total += score
            self._open.count += 1
        is_over = self._pending and not self._continues(self._pending, now_s)
        return self._announce() if is_over else None

    def finish(self, end_s: float) -> list[Event]:
        """What is left, closed at end_s."""
        self._close(end_s)
        ended = [self._announce()]
        return [event for event in ended if event]

    def _begin(self, since_s: float) -> None:
        if self._pending and self._continues(self._pending, since_s):
            self._open, self._pending = self._pending, None
        else:
            self._open = _OpenEvent(self.label, since_s, since_s)

    def _continues(self, ended: _OpenEvent, now_s: float) -> bool:
        """Whether the class came back in time, or still can."""
        rise_s = now_s if self._above_since is None else self._above_since
        return rise_s - ended.end_s < self.min_event_s

    def _close(self, end_s: float) -> None:
        """End the open event; one that was too short is dropped."""
        if self._open is not None and end_s - self._open.start_s >= self.min_event_s:
            self._open.end_s, self._pending = end_s, self._open
        self._open = None

    def _announce(self) -> Event | None:
        ended, self._pending = self._pending, None
        return ended.event(ended.end_s) if ended else None


def _smoothed(
    recent: deque[tuple[float, NDArray[np.float64]]],
    prediction: Prediction,
    classes: Sequence[str],
    smoothing_s: float,
) -> tuple[float, NDArray[np.float64]]:
    """Mean instant and mean scores (C,) over the last smoothing_s, which `recent` keeps."""
    recent.append((prediction.centre_s, prediction.probabilities(classes)))
    while recent[0][0] < prediction.centre_s - smoothing_s:
        recent.popleft()
    instants, scores = zip(*recent, strict=True)
    return float(np.mean(instants)), np.mean(scores, axis=0)


@dataclass
class Alarm:
    """Raised by one score, cleared by a much lower one. threshold: the least score that raises."""

    threshold: float
    on: bool = False

    def push(self, score: float) -> str | None:
        """`raised` or `cleared` where this score changes the alarm, else None."""
        if not self.on and score >= self.threshold:
            self.on = True
            return "raised"
        if self.on and score < CLEAR_SHARE * self.threshold:
            self.on = False
            return "cleared"
        return None
