"""The accuracy that a model loses when frames are reordered or left out, class by class.

Reads per clip what was answered. Knows nothing of models or of how frames were moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from action_gru.core.text import name_or_count, name_some
from action_gru.report import plots
from action_gru.report.markdown import escape, percent, table
from action_gru.report.statistics import (
    BoolArray,
    FloatArray,
    Interval,
    best_guess,
    group_bootstrap_interval,
    lies_above,
)

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

# A colour and a shape each: either alone tells them apart.
LOOKS = {
    NEEDS_ORDER: (plots.ORANGE, "D"),
    NO_ORDER: (plots.BLUE, "o"),
    UNDECIDED: (plots.GREY, "s"),
}
WHOLE = ("black", "P")
PANEL_IN, NAMES_IN = 1.75, 2.4
MANY = 30  # more classes than this: smaller rows


@dataclass(frozen=True)
class Cost:
    """Accuracy after a change, and how much it lost, 0 to 1; interval: 95%, over groups."""

    accuracy: float
    loss: float
    interval: Interval | None  # None: all clips are of one group

    def text(self, unit: str = "") -> str:
        """Format the loss in points with its interval: '12.3 (5.0 to 20.1)'."""
        loss = f"{100 * self.loss:.1f}{unit}"
        if self.interval is None:
            return loss
        low, high = self.interval
        return f"{loss} ({100 * low:.1f} to {100 * high:.1f})"


@dataclass(frozen=True)
class ClassOrder:
    """One class, or all of them together."""

    label: str
    clips: int
    groups: int
    accuracy: float  # on the clips as they are
    interval: Interval | None  # of the accuracy: 95%, over groups
    # What guessing would make of the accuracy: of a class how often it is answered at all, of all
    # clips together the best that always one answer gives.
    guessed: float
    better_than_guessing: bool  # the interval lies above; of a class: and of all together too
    costs: Mapping[str, Cost]  # by the keys of CHANGES

    @property
    def verdict(self) -> str:
        """Whether it needs the order of the frames.

        It does if shuffling or reversing costs at least LEAST_COST and the interval of that loss
        lies above 0. It does not if both intervals end below LEAST_COST. Else, with too few clips,
        or where guessing might be as good, it is undecided.
        """
        is_scarce = self.clips < LEAST_CLIPS or self.groups < LEAST_GROUPS
        if is_scarce or self.accuracy < LEAST_ACCURACY or not self.better_than_guessing:
            return UNDECIDED
        costs = [self.costs[change] for change in ORDER_CHANGES]
        bounds = [cost.interval or (cost.loss, cost.loss) for cost in costs]
        if any(c.loss >= LEAST_COST and low > 0 for c, (low, _) in zip(costs, bounds, strict=True)):
            return NEEDS_ORDER
        return NO_ORDER if all(high < LEAST_COST for _, high in bounds) else UNDECIDED

    @property
    def one_frame_is_enough(self) -> bool:
        """Whether even a single frame, repeated, costs next to nothing."""
        frozen = self.costs["frozen"]
        high = frozen.interval[1] if frozen.interval else frozen.loss
        return self.verdict == NO_ORDER and high < LEAST_COST

    def to_json(self) -> dict[str, object]:
        """Return JSON-serialisable values."""
        verdicts = {"verdict": self.verdict, "one_frame_is_enough": self.one_frame_is_enough}
        return asdict(self) | verdicts


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
        """Return the verdicts in plain words."""
        if not self.overall.better_than_guessing:
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
        """Return the cost of losing order over all clips in words; '' where nothing can be said."""
        overall = self.overall
        if not overall.better_than_guessing:
            return ""
        if overall.groups < LEAST_GROUPS or overall.clips < LEAST_CLIPS:
            return (
                f"How much order counts over all classes cannot be said: {overall.clips} "
                f"clips of {overall.groups} groups are too few."
            )
        shuffled, reversed_ = (overall.costs[change].text(" points") for change in ORDER_CHANGES)
        return (
            f"{OVERALL[overall.verdict]}: shuffling the frames costs {shuffled} and reversing the "
            f"frames costs {reversed_}."
        )

    def to_json(self) -> dict[str, object]:
        """Return JSON-serialisable values."""
        return {
            "sentence": self.sentence,
            "overall_sentence": self.overall_sentence,
            "overall": self.overall.to_json(),
            "classes": [row.to_json() for row in self.classes],
        }

    def plot(self) -> Figure:
        """A panel for each change; in it a dot a class with its interval, costliest on top.

        Of very many classes those that order costs most.
        """
        costliest = sorted(self.classes, key=_order_cost)[-plots.MOST_CLASSES :]
        rows = [self.overall, *costliest]
        changes = [change for change in CHANGES if change in self.overall.costs]
        row_in, font_size = (0.14, 6.5) if len(rows) > MANY + 1 else (0.26, 9.0)
        figure = plots.new_figure(
            NAMES_IN + PANEL_IN * len(changes), 1.5 + row_in * max(4, len(rows) + 1)
        )
        panels = figure.subplots(1, len(changes), sharey=True, sharex=True, squeeze=False)[0]
        for axes, change in zip(panels, changes, strict=True):
            for height, row in enumerate(rows):
                look = LOOKS[row.verdict] if height else WHOLE
                _draw_cost(axes, height, row.costs[change], *look)
            axes.set_title("\n".join(wrap(CHANGES[change], 14)), fontsize=9)
            axes.axvline(0, color=plots.GREY, linewidth=0.8, zorder=0)
            axes.axhline(0.5, color=plots.GREY, linewidth=0.6, linestyle=":")
            axes.set_xlim(self._lowest() - 5, 105)
            axes.set_xticks([-50, 0, 50, 100])
            axes.tick_params(labelsize=8)
            plots.despine(axes)
        names = ["all classes", *plots.short_names([row.label for row in rows[1:]])]
        panels[0].set_yticks(range(len(names)), names, fontsize=font_size, parse_math=False)
        panels[0].set_ylim(-0.7, len(names) - 0.3)
        figure.supxlabel("accuracy lost, points (95% interval over groups)", fontsize=9)
        _add_verdicts(figure, {row.verdict for row in rows[1:]})
        title = plots.part_title(len(rows) - 1, len(self.classes), "costliest")
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        return figure

    def _lowest(self) -> float:
        """How far to the left the panels must go, points: -50, or -100 where an interval does."""
        costs = [cost for row in (self.overall, *self.classes) for cost in row.costs.values()]
        lows = [min([cost.loss, *(cost.interval or ())]) for cost in costs]
        return -100.0 if min(lows) < -0.5 else -50.0

    def markdown(self) -> str:
        """Return the section of the report."""
        changes = [change for change in CHANGES if change in self.overall.costs]
        # The verdict first: a page that is too narrow for the table hides its last columns.
        rows = [
            [row.label, row.verdict, str(row.clips), percent(row.accuracy)]
            + [row.costs[change].text() for change in changes]
            for row in (self.overall, *self.classes)
        ]
        header = ["", "verdict", "clips", "accuracy", *(CHANGES[change] for change in changes)]
        return (
            f"## Does it use the order of the frames?\n\n**{escape(self.sentence)}**\n\n"
            + (f"{escape(self.overall_sentence)}\n\n" if self.overall_sentence else "")
            + table(header, rows, align="llrr" + "r" * len(changes))
            + "\n\nPoints of accuracy lost, with 95% intervals over groups; each clip is compared "
            "with itself. A class needs order if shuffling or reversing costs it at least 10 "
            "points and the interval of that loss lies above 0; appearance suffices if both "
            "intervals end below 10 points; nothing is said where guessing might be as good. The "
            "features of a frame are kept whole: motion inside one frame, as the motion, accel "
            "and focus views see it, survives any order.\n\n![order](order.png)"
        )


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
    names, owners, answers = (np.asarray(v, dtype=np.str_) for v in (labels, groups, given))
    right = (answers == names).astype(np.float64)

    def row(label: str, inside: BoolArray, guessed: float, may: bool) -> ClassOrder:
        base, own = right[inside], owners[inside].tolist()
        interval = group_bootstrap_interval(base, own, seed)
        return ClassOrder(
            label=label,
            clips=len(base),
            groups=len(set(own)),
            accuracy=float(base.mean()),
            interval=interval,
            guessed=guessed,
            better_than_guessing=may and lies_above(interval, guessed),
            costs={name: _cost(base, after[name][inside], own, seed) for name in after},
        )

    overall = row("all classes", np.ones(len(names), dtype=bool), best_guess(labels), True)
    rows = [
        row(label, names == label, float((answers == label).mean()), overall.better_than_guessing)
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


def _order_cost(row: ClassOrder) -> float:
    return max(row.costs[change].loss for change in ORDER_CHANGES)


def _draw_cost(axes: Any, height: int, cost: Cost, colour: str, marker: str) -> None:
    if cost.interval is not None:
        low, high = cost.interval
        axes.plot([100 * low, 100 * high], [height] * 2, color=colour, linewidth=1.6)
    axes.plot([100 * cost.loss], [height], color=colour, marker=marker, markersize=5)


def _add_verdicts(figure: Figure, verdicts: set[str]) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.6, label=verdict)
        for verdict, (colour, marker) in LOOKS.items()
        if verdict in verdicts
    ]
    figure.legend(
        handles=handles, loc="outside upper right", ncols=len(LOOKS), frameon=False, fontsize=9
    )
