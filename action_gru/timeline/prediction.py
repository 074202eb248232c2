"""The answer at one instant. Knows nothing of models or frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from action_gru.errors import DataError

SUM_TOLERANCE = 0.01  # half-precision softmax over 100 classes is off by about 0.001


@dataclass(frozen=True)
class Prediction:
    """The probability of every class at one instant, best first. Raises DataError."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    time_s: float = 0.0  # instant of the last frame it rests on
    since_s: float | None = None  # instant of the first one; None: not told
    unsure: bool = False  # below the score from which such answers are right often enough

    def __post_init__(self) -> None:
        if not self.labels or len(self.labels) != len(self.scores):
            raise DataError(
                f"a prediction needs one score per label; got {len(self.labels)} labels "
                f"and {len(self.scores)} scores"
            )
        if len(set(self.labels)) != len(self.labels):
            raise DataError(f"a prediction names each class once; got {list(self.labels)}")
        _check_scores(self.scores)
        if not math.isfinite(self.time_s):
            raise DataError(f"a prediction needs a finite time_s; got {self.time_s}")
        if self.since_s is not None and not self.since_s <= self.time_s:
            raise DataError(f"since_s lies before time_s; got {self.since_s} and {self.time_s}")

    @classmethod
    def from_probabilities(
        cls,
        classes: Sequence[str],
        probabilities: npt.ArrayLike,
        time_s: float = 0.0,
        since_s: float | None = None,
    ) -> Prediction:
        """Rank softmax output. probabilities (C,); of equals, the class listed first wins."""
        values = np.asarray(probabilities, dtype=np.float64)
        if values.shape != (len(classes),):
            raise DataError(
                f"{len(classes)} classes need probabilities of shape ({len(classes)},); "
                f"got {values.shape}"
            )
        order = np.argsort(-values, kind="stable")
        labels = tuple(classes[index] for index in order)
        scores = tuple(float(values[index]) for index in order)
        return cls(labels, scores, float(time_s), None if since_s is None else float(since_s))

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.labels[0]

    @property
    def score(self) -> float:
        """The probability of that class."""
        return self.scores[0]

    @property
    def told(self) -> str:
        """The label as every page, window and command shows it: 'unsure, perhaps kick'."""
        return f"unsure, perhaps {self.label}" if self.unsure else self.label

    @property
    def centre_s(self) -> float:
        """The middle of the stretch it rests on: the instant that it speaks of."""
        return self.time_s if self.since_s is None else (self.since_s + self.time_s) / 2

    def probabilities(self, classes: Sequence[str]) -> npt.NDArray[np.float64]:
        """The scores in the order of a class list, (C,)."""
        by_label = dict(zip(self.labels, self.scores, strict=True))
        return np.array([by_label[label] for label in classes])

    def top(self, k: int) -> list[tuple[str, float]]:
        """The k most probable classes with their scores; all of them when there are fewer."""
        return list(zip(self.labels[:k], self.scores[:k], strict=True))

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps; `scores` keeps the order, best first."""
        return {
            "label": self.label,
            "score": self.score,
            "unsure": self.unsure,
            "time_s": self.time_s,
            "scores": dict(self.top(len(self.labels))),
        }


def _check_scores(scores: Sequence[float]) -> None:
    if not all(0.0 <= score <= 1.0 for score in scores):  # also false for NaN
        raise DataError(f"scores are probabilities from 0 to 1; got {_brief(scores)}")
    if any(low > high for high, low in pairwise(scores)):
        raise DataError(f"scores stand best first; got {_brief(scores)}")
    if abs(sum(scores) - 1.0) > SUM_TOLERANCE:
        raise DataError(
            f"scores cover all classes and sum to 1; got {_brief(scores)}, "
            f"which sum to {sum(scores):.3f}: apply softmax first"
        )


def _brief(scores: Sequence[float]) -> str:
    head = ", ".join(f"{score:.3g}" for score in scores[:5])
    return f"[{head}, ... {len(scores)} in all]" if len(scores) > 5 else f"[{head}]"
