"""What it costs a model to lose the order of the frames, or some of them, class by class.

Reads per clip what was answered. Knows nothing of models or of how frames were moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from action_gru.errors import DataError
from action_gru.phrases import name_or_count, name_some
from action_gru.report.uncertainty import best_guess, group_bootstrap_interval, lies_above

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

OVERALL = {
    NEEDS_ORDER: "Over all classes order counts",
    NO_ORDER: "Over all classes order costs little",
    UNDECIDED: "How much order counts over all classes stays open",
}

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
    interval: tuple[float, float] | None  # of the accuracy: 95%, over groups
    # What guessing would make of the accuracy: of a class how often it is answered at all, of all
    # clips together the best that always one answer gives.
    guessed: float
    beats_guessing: bool  # the interval lies above; of a class: and so it does of all together
    costs: Mapping[str, Cost]  # by the keys of CHANGES

    @property
    def verdict(self) -> str:
        """Whether it needs the order of the frames.

        It does if shuffling or reversing costs at least LEAST_COST and the interval of that loss
        lies above 0. It does not if both intervals end below LEAST_COST. Else, with too few clips,
        or where guessing might be as good, it is undecided.
        """
        is_scarce = self.clips < LEAST_CLIPS or self.groups < LEAST_GROUPS
        if is_scarce or self.is_rarely_right or not self.beats_guessing:
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
            "interval": list(self.interval) if self.interval else None,
            "guessed": self.guessed,
            "better_than_guessing": self.beats_guessing,
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
        if not self.overall.beats_guessing:
            return (
                "Nothing can be said about the order of the frames: this model is not shown to be "
                "better than guessing."
            )
        needs, free, open_ = self.by_verdict.values()
        parts = [f"This model needs order for {name_some(needs)}"] if needs else []
        if free and not needs and not open_:
            parts = ["This model needs order for no class"]
        if free:
            parts.append(f"appearance alone suffices for {name_some(free)}")
        said = ["; ".join(parts)] if parts else []
        if one_frame := [row.label for row in self.classes if row.one_frame_is_enough]:
            said.append(f"one frame is enough for {name_some(one_frame)}")
        if open_:
            count = len(self.classes)
            whom = "any class" if len(open_) == count else name_or_count(open_, count)
            said.append(f"whether order counts cannot be said for {whom}")
        return " ".join(f"{text[0].upper()}{text[1:]}." for text in said)

    @property
    def overall_sentence(self) -> str:
        """What order costs over all clips; '' where nothing can be said."""
        if not self.overall.beats_guessing:
            return ""
        if self.overall.groups < LEAST_GROUPS or self.overall.clips < LEAST_CLIPS:
            return (
                f"How much order counts over all classes cannot be said: {self.overall.clips} "
                f"clips of {self.overall.groups} groups are too few."
            )
        said = " and ".join(
            f"{verb} the frames costs {_points(self.overall.costs[change])}"
            for verb, change in zip(("shuffling", "reversing"), ORDER_CHANGES, strict=True)
        )
        return f"{OVERALL[self.overall.verdict]}: {said}."

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps."""
        return {
            "sentence": self.sentence,
            "overall_sentence": self.overall_sentence,
            "overall": self.overall.to_json(),
            "classes": [row.to_json() for row in self.classes],
        }


def order_report(
    given: Sequence[str],
    changed: Mapping[str, npt.ArrayLike],
    labels: Sequence[str],
    groups: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
) -> OrderReport:
    """What each change costs. given, labels and groups (N,): answer, truth and group of each clip;
    changed: (N,) each, the share of tries that were right.
    """
    after = {name: np.asarray(values, dtype=np.float64) for name, values in changed.items()}
    missing = [change for change in (*ORDER_CHANGES, "frozen") if change not in after]
    shapes = {name: values.shape for name, values in after.items()}
    if missing or {(len(labels),)} != {(len(given),), (len(groups),), *shapes.values()}:
        raise DataError(
            f"an order report needs {', '.join((*ORDER_CHANGES, 'frozen'))} and one value a clip; "
            f"got {len(labels)} labels, {len(groups)} groups, {len(given)} answers, {shapes}"
        )
    names, owners, answers = (np.asarray(v, dtype=np.str_) for v in (labels, groups, given))
    right = (answers == names).astype(np.float64)

    def row(label: str, inside: npt.NDArray[np.bool_], guessed: float, may: bool) -> ClassOrder:
        base, own = right[inside], owners[inside].tolist()
        interval = group_bootstrap_interval(base, own, seed)
        return ClassOrder(
            label=label,
            clips=len(base),
            groups=len(set(own)),
            accuracy=float(base.mean()),
            interval=interval,
            guessed=guessed,
            beats_guessing=may and lies_above(interval, guessed),
            costs={name: _cost(base, after[name][inside], own, seed) for name in after},
        )

    overall = row("all classes", np.ones(len(names), dtype=bool), best_guess(labels), True)
    rows = [
        row(label, names == label, float((answers == label).mean()), overall.beats_guessing)
        for label in classes
        if (names == label).any()
    ]
    return OrderReport(overall, tuple(rows))


def _cost(before: FloatArray, after: FloatArray, groups: Sequence[str], seed: int) -> Cost:
    """The paired loss: each clip is compared with itself.

    Groups not yet met may lose half of what is right, or gain as much: one loss alone is no need.
    """
    loss, half = before - after, float(before.mean()) / 2
    interval = group_bootstrap_interval(loss, groups, seed, (-half, half))
    return Cost(float(after.mean()), float(loss.mean()), interval)


def _points(cost: Cost) -> str:
    """0.123 with its interval -> '12.3 points (5.0 to 20.1)'."""
    text = f"{100 * cost.loss:.1f} points"
    if cost.interval is None:
        return text
    return f"{text} ({100 * cost.interval[0]:.1f} to {100 * cost.interval[1]:.1f})"
