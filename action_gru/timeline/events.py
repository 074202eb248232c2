"""Stretches of time with a name: what happened from when to when."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from action_gru.errors import DataError
from action_gru.timeline.track import ScoreTrack


@dataclass(frozen=True)
class Event:
    """One action from start_s to end_s; score: its mean probability over that time.

    person: the number of the one who does it, where people are told apart.
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
        return self.end_s - self.start_s

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps; times to the millisecond."""
        document: dict[str, object] = {
            "label": self.label,
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "score": round(self.score, 4),
        }
        return document if self.person is None else document | {"person": self.person}


@dataclass(frozen=True)
class Timeline:
    """The events of one video, in order of time, with the scores they rest on.

    duration_s: how far it was read. complete: False when reading was stopped before the end.
    restarts: how often the state was reset because frames were missing. people: how many were
    followed, where they are told apart. sentences: one an event, where it is told in words.
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
