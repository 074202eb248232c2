"""What it costs a model to lose the order of the frames, or some of them, class by class.

Reads per clip whether an answer was right. Knows nothing of models or of how frames were moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from action_gru.errors import DataError
from action_gru.evaluation.uncertainty import group_bootstrap_interval

# What is done to the frames, and how it is called; mean_pooled is another model.
CHANGES = {
    "shuffled": "frames shuffled",
    "reversed": "frames reversed",
    "frozen": "frozen to one frame",
    "first_half": "first half only",
    "every_second": "every second frame",
    "mean_pooled": "mean-pooled model",
}
# These keep every frame and change nothing but the order.
ORDER_CHANGES = ("shuffled", "reversed")

LEAST_COST = 0.1  # what is called a cost: ten points of accuracy
LEAST_CLIPS = 5
LEAST_GROUPS = 3
LEAST_ACCURACY = 0.5  # of a class that is rarely right nothing can be lost

NEEDS_ORDER, NO_ORDER, UNDECIDED = "needs order", "order does not matter", "undecided"

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cost:
    """Accuracy after a change, and how much it lost, 0 to 1; interval: 95%, over groups."""

    accuracy: float
    loss: float
    interval: tuple[float, float] | None  # None: all clips are of one group

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps."""
        interval = list(self.interval) if self.interval else None
        return {"accuracy": self.accuracy, "loss": self.loss, "interval": interval}


@dataclass(frozen=True)
class ClassOrder:
    """One class, or all of them together."""

    label: str
    clips: int
    groups: int
    accuracy: float  # on the clips as they are
    costs: Mapping[str, Cost]  # by the keys of CHANGES

    @property
    def verdict(self) -> str:
        """Whether it needs the order of the frames.

        It does if shuffling or reversing costs at least LEAST_COST and the interval of that loss
        lies above 0. It does not if both intervals end below LEAST_COST. Else, or with too few
        clips, it is undecided.
        """
        if self.clips < LEAST_CLIPS or self.groups < LEAST_GROUPS or self.is_rarely_right:
            return UNDECIDED
        costs = [self.costs[change] for change in ORDER_CHANGES]
        bounds = [cost.interval or (cost.loss, cost.loss) for cost in costs]
        if any(c.loss >= LEAST_COST and low > 0 for c, (low, _) in zip(costs, bounds, strict=True)):
            return NEEDS_ORDER
        if all(high < LEAST_COST for _, high in bounds):
            return NO_ORDER
        return UNDECIDED

    @property
    def one_frame_is_enough(self) -> bool:
        """Whether even a single frame, repeated, costs next to nothing."""
        frozen = self.costs["frozen"]
        high = frozen.interval[1] if frozen.interval else frozen.loss
        return self.verdict == NO_ORDER and high < LEAST_COST

    @property
    def is_rarely_right(self) -> bool:
        """Whether there is little to lose."""
        return self.accuracy < LEAST_ACCURACY

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps."""
        return {
            "label": self.label,
            "clips": self.clips,
            "groups": self.groups,
            "accuracy": self.accuracy,
            "verdict": self.verdict,
            "one_frame_is_enough": self.one_frame_is_enough,
            "costs": {change: cost.to_json() for change, cost in self.costs.items()},
        }


@dataclass(frozen=True)
class OrderReport:
    """The clips together, and each class that has one, in the order of the class list."""

    overall: ClassOrder
    classes: tuple[ClassOrder, ...]

    @cached_property
    def by_verdict(self) -> dict[str, list[str]]:
        """The labels of each verdict."""
        found: dict[str, list[str]] = {NEEDS_ORDER: [], NO_ORDER: [], UNDECIDED: []}
        for row in self.classes:
            found[row.verdict].append(row.label)
        return found

    @property
    def sentence(self) -> str:
        """What the figures say, in plain words."""
        one_frame = [row.label for row in self.classes if row.one_frame_is_enough]
        needs, free, open_ = self.by_verdict.values()
        parts = [f"needs order for {_names(needs)}" if needs else "needs order for no class"]
        if free:
            parts.append(f"appearance alone suffices for {_names(free)}")
        text = f"This model {'; '.join(parts)}."
        if one_frame:
            text += f" One frame is enough for {_names(one_frame)}."
        if open_:
            text += f" It cannot be said for {_names(open_)}."
        return text

    @property
    def overall_sentence(self) -> str:
        """What order costs over all clips."""
        costs = [self.overall.costs[change] for change in ORDER_CHANGES]
        if self.overall.groups < LEAST_GROUPS or self.overall.clips < LEAST_CLIPS:
            return (
                f"How much order counts here cannot be said: {self.overall.clips} clips of "
                f"{self.overall.groups} groups are too few."
            )
        said = " and ".join(
            f"{verb} the frames costs {_points(cost)}"
            for verb, cost in zip(("shuffling", "reversing"), costs, strict=True)
        )
        highs = [cost.interval[1] if cost.interval else 1.0 for cost in costs]
        lows = [cost.interval[0] if cost.interval else 0.0 for cost in costs]
        if max(highs) < LEAST_COST and not self.overall.is_rarely_right:
            return f"Order costs little here: {said}."
        if max(lows) > 0 and max(cost.loss for cost in costs) >= LEAST_COST:
            return f"Order counts here: {said}."
        return f"How much order counts here stays open: {said}."

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps."""
        return {
            "sentence": self.sentence,
            "overall_sentence": self.overall_sentence,
            "overall": self.overall.to_json(),
            "classes": [row.to_json() for row in self.classes],
        }


def order_report(
    right: npt.ArrayLike,
    changed: Mapping[str, npt.ArrayLike],
    labels: Sequence[str],
    groups: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
) -> OrderReport:
    """What each change costs. right (N,) bool; changed: (N,) each, the share of tries that were
    right; labels and groups (N,).
    """
    before = np.asarray(right, dtype=np.float64)
    after = {name: np.asarray(values, dtype=np.float64) for name, values in changed.items()}
    missing = [change for change in (*ORDER_CHANGES, "frozen") if change not in after]
    wrong = {name: values.shape for name, values in after.items() if values.shape != before.shape}
    if missing or wrong or before.shape != (len(labels),) or len(groups) != len(labels):
        raise DataError(
            f"an order report needs {', '.join((*ORDER_CHANGES, 'frozen'))} and one value a clip; "
            f"got {len(labels)} labels, {len(groups)} groups, {before.shape} answers, "
            f"{ {name: values.shape for name, values in after.items()} }"
        )
    names, owners = np.asarray(labels, dtype=np.str_), np.asarray(groups, dtype=np.str_)

    def row(label: str, chosen: npt.NDArray[np.bool_]) -> ClassOrder:
        base, own = before[chosen], owners[chosen]
        costs = {name: _cost(base, after[name][chosen], own, seed) for name in after}
        return ClassOrder(label, len(base), len(set(own.tolist())), float(base.mean()), costs)

    rows = [row(label, names == label) for label in classes if (names == label).any()]
    return OrderReport(row("all classes", np.ones(len(names), dtype=bool)), tuple(rows))


def _cost(before: FloatArray, after: FloatArray, groups: npt.NDArray[np.str_], seed: int) -> Cost:
    """The paired loss: each clip is compared with itself."""
    loss = before - after
    interval = group_bootstrap_interval(loss, groups.tolist(), seed)
    return Cost(float(after.mean()), float(loss.mean()), interval)


def _names(labels: Sequence[str]) -> str:
    return ", ".join(labels)


def _points(cost: Cost) -> str:
    """0.123 with its interval -> '12.3 points (5.0 to 20.1)'."""
    text = f"{100 * cost.loss:.1f} points"
    if cost.interval is None:
        return text
    return f"{text} ({100 * cost.interval[0]:.1f} to {100 * cost.interval[1]:.1f})"
