"""How early the answer could have been given. Reads per clip and prefix whether it was right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from action_gru.errors import DataError
from action_gru.evaluation.uncertainty import group_bootstrap_interval

# The first 5% of a clip, 10%, ... all of it.
SHARES = tuple(round(0.05 * step, 2) for step in range(1, 21))
SECONDS = 20
NEARLY = 0.9  # of the gain over guessing

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """Accuracy after so much of a clip; at: a share or seconds. interval: 95%, over groups."""

    at: float
    accuracy: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class AnytimeReport:
    """Accuracy along the clip, from guessing to the whole of it.

    settled_s: per class, the median instant from which the answer stayed right, over the clips
    that are right at the end; None where none is.
    """

    chance: float  # of always answering the most frequent training class
    by_share: tuple[Point, ...]
    by_second: tuple[Point, ...]
    settled_s: dict[str, float | None]

    @property
    def final(self) -> float:
        return self.by_share[-1].accuracy

    def reached(self, part: float, points: Sequence[Point]) -> float | None:
        """From where on accuracy stays at or above `part` of the gain over guessing.

        None where the whole clip is no better than guessing.
        """
        if self.final <= self.chance:
            return None
        goal = self.chance + part * (self.final - self.chance)
        below = [index for index, point in enumerate(points) if point.accuracy < goal]
        first = below[-1] + 1 if below else 0
        return points[first].at if first < len(points) else None

    @property
    def sentence(self) -> str:
        """When the answer could have been given, in plain words."""
        half, nearly = (
            [self.reached(part, points) for points in (self.by_share, self.by_second)]
            for part in (0.5, NEARLY)
        )
        if half[0] is None or nearly[0] is None:
            return "The whole clip is no better than guessing: there is no instant to name."
        return (
            f"Half of the gain over guessing is there after {_when(half)}, "
            f"{100 * NEARLY:.0f}% of it after {_when(nearly)}."
        )

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps."""
        halves = {
            f"{name}_to_{round(100 * part)}_percent_of_the_gain": self.reached(part, points)
            for part in (0.5, NEARLY)
            for name, points in (("share", self.by_share), ("seconds", self.by_second))
        }
        return {
            "sentence": self.sentence,
            "chance": self.chance,
            **halves,
            "by_share": [_point_json(point, "share") for point in self.by_share],
            "by_second": [_point_json(point, "seconds") for point in self.by_second],
            "settled_s": dict(self.settled_s),
        }


def anytime_report(
    right: npt.ArrayLike,
    seen_s: npt.ArrayLike,
    labels: Sequence[str],
    groups: Sequence[str],
    chance: float,
    seed: int = 0,
) -> AnytimeReport:
    """right (N, S) bool: was the answer right after each of SHARES; seen_s (N, S): how many
    seconds of the clip that was; labels and groups (N,).

    After a given time the answer is the newest one; a clip that has ended keeps its last, and
    one of which nothing was read yet is wrong.
    """
    hits, seconds = np.asarray(right, dtype=np.float64), np.asarray(seen_s, dtype=np.float64)
    if hits.shape != (len(labels), len(SHARES)) or seconds.shape != hits.shape:
        raise DataError(
            f"an anytime report needs {len(SHARES)} answers and times a clip; got {hits.shape} "
            f"and {seconds.shape} for {len(labels)} clips"
        )

    def point(at: float, values: FloatArray) -> Point:
        return Point(at, float(values.mean()), group_bootstrap_interval(values, groups, seed))

    by_share = [point(share, hits[:, index]) for index, share in enumerate(SHARES)]
    ends = np.linspace(0, np.quantile(seconds[:, -1], 0.95), SECONDS + 1)
    by_second = [point(float(at), _answered(hits, seconds, at)) for at in ends]
    settled = _settled_s(hits, seconds)
    names = np.asarray(labels, dtype=np.str_)
    by_class = {
        label: _median(settled[names == label]) for label in dict.fromkeys(sorted(set(labels)))
    }
    return AnytimeReport(chance, tuple(by_share), tuple(by_second), by_class)


def _answered(hits: FloatArray, seconds: FloatArray, at: float) -> FloatArray:
    """(N,): is the newest answer at this instant right?"""
    count = (seconds <= at + 1e-9).sum(1)  # seconds grow along a row
    newest = hits[np.arange(len(hits)), np.maximum(count - 1, 0)]
    return np.where(count > 0, newest, 0.0)


def _settled_s(hits: FloatArray, seconds: FloatArray) -> FloatArray:
    """(N,): the instant from which the answer stays right; NaN where the last one is wrong."""
    stays = np.flip(np.cumprod(np.flip(hits, 1), axis=1), 1)  # 1 from where all later are right
    first = stays.argmax(1)
    return np.where(stays[:, -1] > 0, seconds[np.arange(len(hits)), first], np.nan)


def _median(values: FloatArray) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def _point_json(point: Point, name: str) -> dict[str, object]:
    interval = list(point.interval) if point.interval else None
    return {name: point.at, "accuracy": point.accuracy, "interval": interval}


def _when(reached: Sequence[float | None]) -> str:
    share, second = reached
    text = f"{100 * (share or 0):.0f}% of the clip"
    return text if second is None else f"{text} ({second:.2f} s)"
