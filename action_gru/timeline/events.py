"""What was recognised, and when: predictions, events, timelines. Knows no model and no frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from action_gru.core.arguments import brief
from action_gru.core.errors import ConfigError, DataError
from action_gru.core.text import clock_text, counted
from action_gru.timeline.tables import data_frame, html_table

SUM_TOLERANCE = 0.01  # half-precision softmax over 100 classes is off by about 0.001
FIRST_BIN_S = 0.05
NOTHING, SEVERAL = "nothing of these", " + "


@dataclass(frozen=True)
class Prediction:
    """The probability of every class at one instant, best first. Raises DataError."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    time_s: float = 0.0  # instant of the last frame it is based on
    since_s: float | None = None  # instant of the first one; None: unknown
    unsure: bool = False  # below the score from which such answers are right often enough
    # Where several classes may be shown at once: those at or above their thresholds, best first.
    active: tuple[str, ...] | None = None
    about_s: float | None = None  # the instant it describes, where that is not their middle

    def __post_init__(self) -> None:
        if not self.labels or len(self.labels) != len(self.scores):
            raise DataError(
                f"a prediction needs one score per label; got {len(self.labels)} labels "
                f"and {len(self.scores)} scores"
            )
        if len(set(self.labels)) != len(self.labels):
            raise DataError(f"a prediction names each class once; got {list(self.labels)}")
        _check_scores(self.scores, sum_to_1=self.active is None)
        if not math.isfinite(self.time_s):
            raise DataError(f"a prediction needs a finite time_s; got {self.time_s}")
        if self.since_s is not None and not self.since_s <= self.time_s:
            raise DataError(f"since_s lies before time_s; got {self.since_s} and {self.time_s}")

    @classmethod
    def from_probabilities(
        cls,
        classes: Sequence[str],
        probabilities: ArrayLike,
        time_s: float = 0.0,
        since_s: float | None = None,
        thresholds: Sequence[float] | None = None,
        about_s: float | None = None,
    ) -> Prediction:
        """Rank a model's answer. probabilities (C,); of equals, the class listed first wins.

        thresholds (C,): from which each class counts as shown, where several may be at once.
        """
        values = np.asarray(probabilities, dtype=np.float64)
        if values.shape != (len(classes),):
            raise DataError(
                f"{len(classes)} classes need probabilities of shape ({len(classes)},); "
                f"got {values.shape}"
            )
        order = np.argsort(-values, kind="stable")
        labels = tuple(classes[index] for index in order)
        scores = tuple(float(values[index]) for index in order)
        active = None
        if thresholds is not None:
            active = tuple(classes[index] for index in order if values[index] >= thresholds[index])
        since_s = None if since_s is None else float(since_s)
        return cls(labels, scores, float(time_s), since_s, active=active, about_s=about_s)

    @property
    def label(self) -> str:
        """The most probable class; of several that may be shown at once, of those that are."""
        return self.leading(1)[0][0]

    @property
    def score(self) -> float:
        """The probability of that class."""
        return self.leading(1)[0][1]

    @property
    def display_label(self) -> str:
        """The answer as every page, window and command shows it: 'unsure, perhaps kick', or where
        several classes may be shown at once, 'walk + read'.
        """
        if self.active is not None:
            return SEVERAL.join(self.active) or NOTHING
        return f"unsure, perhaps {self.label}" if self.unsure else self.label

    @property
    def display_score(self) -> float | None:
        """The score that belongs beside display_label; None where it names several, or nothing."""
        return self.score if self.active is None or len(self.active) == 1 else None

    @property
    def centre_s(self) -> float:
        """The instant it describes: about_s, else the middle of the stretch it is based on."""
        if self.about_s is not None:
            return self.about_s
        return self.time_s if self.since_s is None else (self.since_s + self.time_s) / 2

    def probabilities(self, classes: Sequence[str]) -> NDArray[np.float64]:
        """The scores in the order of a class list, (C,)."""
        by_label = dict(zip(self.labels, self.scores, strict=True))
        return np.array([by_label[label] for label in classes])

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable classes with their scores; all of them when there are fewer.

        Raises ConfigError for a k that is no number of classes.
        """
        if not isinstance(k, int) or isinstance(k, bool) or k < 0:
            raise ConfigError(f"k: how many classes, from 0 on; got {brief(k)}")
        return list(zip(self.labels[:k], self.scores[:k], strict=True))

    def leading(self, k: int) -> list[tuple[str, float]]:
        """Like `top`, with the classes that count as shown before the others."""
        if not self.active:
            return self.top(k)
        active = self.active
        ranked = sorted(self.top(len(self.labels)), key=lambda pair: pair[0] not in active)
        return ranked[:k]

    def __repr__(self) -> str:
        others = ", ".join(f"{label} {score:.3f}" for label, score in self.leading(3)[1:])
        return f"Prediction({self.display_label} {self.score:.3f}{others and f'; {others}'})"

    def _repr_html_(self) -> str:
        rows = [(label, f"{score:.3f}") for label, score in self.leading(5)]
        return html_table(("class", "score"), rows, self.display_label)

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps; `scores` keeps the order, best first."""
        several = {} if self.active is None else {"labels": list(self.active)}
        return several | {
            "label": self.label,
            "score": self.score,
            "unsure": self.unsure,
            "time_s": self.time_s,
            **({} if self.about_s is None else {"about_s": self.about_s}),
            "scores": dict(self.top(len(self.labels))),
        }


@dataclass(frozen=True)
class Event:
    """One action from start_s to end_s; score: its mean probability over that time.

    person: the number of the one who does it, where people are tracked one by one.
    """

    label: str
    start_s: float
    end_s: float
    score: float = 1.0
    person: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s)):
            raise DataError(f"an event needs finite times; got {self.start_s} to {self.end_s}")
        if self.end_s < self.start_s:
            raise DataError(f"an event ends after it began; got {self.start_s} to {self.end_s}")

    @property
    def duration_s(self) -> float:
        """From its start to its end."""
        return self.end_s - self.start_s

    def __str__(self) -> str:
        """A line of a table: '0:03.2     0:07.0  person 1  wave  0.87'."""
        who = "" if self.person is None else f"person {self.person}  "
        times = f"{clock_text(self.start_s):>9}  {clock_text(self.end_s):>9}"
        return f"{times}  {who}{self.label}  {self.score:.2f}"

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps; times to the millisecond."""
        document: dict[str, object] = {
            "label": self.label,
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "score": round(self.score, 4),
        }
        return document if self.person is None else document | {"person": self.person}


class ScoreTrack:
    """The mean score of each class in equal bins of time, in bounded memory.

    There are never more than `capacity` bins: when they are full, neighbours are merged in pairs.
    `begins` says which bins do not go on from the one before, because frames are missing between.
    """

    def __init__(self, capacity: int = 2048) -> None:
        self.capacity = capacity
        self.bin_s = FIRST_BIN_S
        self._sums: NDArray[np.float64] | None = None
        self._counts = np.zeros(capacity, dtype=np.int64)
        self._begins = np.zeros(capacity, dtype=np.bool_)

    def add(self, time_s: float, scores: NDArray[np.float64], begins: bool = False) -> None:
        """Take in the scores (C,) of one instant, seconds >= 0. begins: the first after a gap."""
        if self._sums is None:
            self._sums = np.zeros((self.capacity, len(scores)))
        while time_s >= self.bin_s * self.capacity:
            self._halve()
        index = int(max(time_s, 0.0) / self.bin_s)
        self._sums[index] += scores
        self._counts[index] += 1
        self._begins[index] |= begins

    @property
    def times_s(self) -> NDArray[np.float64]:
        """The middle of each bin that holds anything, (N,) seconds."""
        return ((np.flatnonzero(self._counts) + 0.5) * self.bin_s).astype(np.float64)

    @property
    def values(self) -> NDArray[np.float64]:
        """The mean scores of those bins, (N, C)."""
        filled = self._counts > 0
        if self._sums is None:
            return np.zeros((0, 0))
        return (self._sums[filled] / self._counts[filled][:, None]).astype(np.float64)

    @property
    def begins(self) -> NDArray[np.bool_]:
        """Whether a gap precedes each of those bins, (N,)."""
        return self._begins[self._counts > 0]

    def _halve(self) -> None:
        assert self._sums is not None
        for values, merge in (
            (self._sums, np.add),
            (self._counts, np.add),
            (self._begins, np.logical_or),
        ):
            half = len(values) // 2
            values[:half] = merge(values[0::2], values[1::2])
            values[half:] = 0
        self.bin_s *= 2


@dataclass(frozen=True)
class Timeline:
    """The events of one video, in order of time, with the scores they are based on.

    duration_s: how far it was read. complete: False when reading was stopped before the end.
    restarts: how often the state was reset because frames were missing. people: how many were
    tracked, one by one. sentences: one an event, where a narrator wrote them.
    """

    source: str
    classes: tuple[str, ...]
    events: tuple[Event, ...]
    duration_s: float
    complete: bool = True
    restarts: int = 0
    scores: ScoreTrack = field(default_factory=ScoreTrack)
    people: int | None = None
    sentences: tuple[str, ...] = ()

    def to_frame(self, library: str | None = None) -> Any:
        """A row an event: start_s, end_s, label, score; person where people were tracked.

        library: 'pandas' or 'polars', by default the one that is in use, or installed. Raises
        MissingExtraError where there is none.
        """
        events = self.events
        columns: dict[str, list[Any]] = {
            "start_s": [event.start_s for event in events],
            "end_s": [event.end_s for event in events],
            "label": [event.label for event in events],
            "score": [event.score for event in events],
        }
        if self.people is not None:
            columns["person"] = [event.person for event in events]
        return data_frame(columns, library)

    def __repr__(self) -> str:
        return f"Timeline({self._title()})"

    def _repr_html_(self) -> str:
        rows = [
            (clock_text(event.start_s), clock_text(event.end_s), event.label, f"{event.score:.2f}")
            for event in self.events
        ]
        return html_table(("from", "to", "action", "score"), rows, self._title())

    def _title(self) -> str:
        cut = "" if self.complete else ", stopped before the end"
        length = clock_text(self.duration_s)
        return f"{self.source}: {counted(len(self.events), 'event')} in {length}{cut}"


def _check_scores(scores: Sequence[float], sum_to_1: bool) -> None:
    if not all(0.0 <= score <= 1.0 for score in scores):  # also false for NaN
        raise DataError(f"scores are probabilities from 0 to 1; got {_brief(scores)}")
    if any(low > high for high, low in pairwise(scores)):
        raise DataError(f"scores stand best first; got {_brief(scores)}")
    if sum_to_1 and abs(sum(scores) - 1.0) > SUM_TOLERANCE:
        raise DataError(
            f"scores cover all classes and sum to 1; got {_brief(scores)}, "
            f"which sum to {sum(scores):.3f}: apply softmax first"
        )


def _brief(scores: Sequence[float]) -> str:
    head = ", ".join(f"{score:.3g}" for score in scores[:5])
    return f"[{head}, ... {len(scores)} in all]" if len(scores) > 5 else f"[{head}]"
