"""The accuracy lost when frames are reordered or left out, class by class. Knows no models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from textwrap import wrap

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from action_gru.core.text import counted, name_or_count, name_some
from action_gru.report import metrics, plots
from action_gru.report.documents import escape, paragraphs, percent, picture, table
from action_gru.report.metrics import BoolArray, FloatArray, Interval

# What is done to the frames, and its name; mean_pooled is another model.
CHANGES = {
    "shuffled": "frames shuffled",
    "reversed": "frames reversed",
    "frozen": "frozen to one frame",
    "first_half": "first half only",
    "every_second": "every second frame",
    "mean_pooled": "mean-pooled model",
}
ORDER_CHANGES = ("shuffled", "reversed")  # these keep every frame and change only the order

LEAST_COST = 0.1  # ten points of accuracy
LEAST_CLIPS = 5
LEAST_GROUPS = 3
LEAST_ACCURACY = 0.5  # of a class that is rarely right nothing can be lost

NEEDS_ORDER, NO_ORDER, UNDECIDED = "needs order", "order does not matter", "undecided"
# A colour and a shape each, so either alone is enough; and the words for all classes.
VERDICTS = {
    NEEDS_ORDER: (plots.ORANGE, "D", "Over all classes order counts"),
    NO_ORDER: (plots.BLUE, "o", "Over all classes order costs little"),
    UNDECIDED: (plots.GREY, "s", "How much order counts over all classes stays open"),
}
PANEL_IN, NAMES_IN = 1.75, 2.4

NOT_SHOWN = (
    "Nothing can be said about the order of the frames: this model is not shown to be better than "
    "guessing."
)
EXPLANATION = (
    "Points of accuracy lost, with 95% intervals over groups; each clip is compared with itself. A "
    "class needs order if shuffling or reversing costs it at least 10 points and the interval of "
    "that loss lies above 0; appearance suffices if both intervals end below 10 points; nothing is "
    "said where guessing might be as good. The features of a frame are kept whole: motion inside "
    "one frame, as the motion, accel and focus views see it, survives any order."
)


@dataclass(frozen=True)
class Cost:
    """Accuracy after a change, and how much it lost, 0 to 1; interval: 95%, over groups."""

    accuracy: float
    loss: float
    interval: Interval | None  # None: all clips are of one group

    @property
    def bounds(self) -> Interval:
        """The interval; the loss itself where there is none."""
        return self.interval or (self.loss, self.loss)

    def text(self, unit: str = "") -> str:
        """Format the loss in points with its interval: '12.3 (5.0 to 20.1)'."""
        low, high = self.bounds
        between = f" ({100 * low:.1f} to {100 * high:.1f})" if self.interval else ""
        return f"{100 * self.loss:.1f}{unit}{between}"


@dataclass(frozen=True)
class ClassOrder:
    """One class, or all of them together."""

    label: str
    clips: int
    groups: int
    accuracy: float  # on the clips as they are
    interval: Interval | None  # of the accuracy: 95%, over groups
    # The accuracy of guessing: of a class how often it is answered at all, of all clips together
    # the best that always one answer gives.
    guessed: float
    better_than_guessing: bool  # the interval lies above; of a class: and of all together too
    costs: Mapping[str, Cost]  # by the keys of CHANGES

    @property
    def is_scarce(self) -> bool:
        return self.clips < LEAST_CLIPS or self.groups < LEAST_GROUPS

    @property
    def order_cost(self) -> float:
        """The larger loss of shuffling and reversing."""
        return max(self.costs[change].loss for change in ORDER_CHANGES)

    @property
    def verdict(self) -> str:
        """Whether it needs the order of the frames.

        It does if shuffling or reversing costs at least LEAST_COST and the interval of that loss
        lies above 0. It does not if both intervals end below LEAST_COST. Else, with too few clips,
        or where guessing might be as good, it is undecided.
        """
        if self.is_scarce or self.accuracy < LEAST_ACCURACY or not self.better_than_guessing:
            return UNDECIDED
        costs = [self.costs[change] for change in ORDER_CHANGES]
        if any(cost.loss >= LEAST_COST and cost.bounds[0] > 0 for cost in costs):
            return NEEDS_ORDER
        return NO_ORDER if all(cost.bounds[1] < LEAST_COST for cost in costs) else UNDECIDED

    @property
    def one_frame_is_enough(self) -> bool:
        """Whether even a single frame, repeated, costs next to nothing."""
        return self.verdict == NO_ORDER and self.costs["frozen"].bounds[1] < LEAST_COST

    def to_json(self) -> dict[str, object]:
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
        return {v: [row.label for row in self.classes if row.verdict == v] for v in VERDICTS}

    @property
    def sentence(self) -> str:
        """Return the verdicts in plain words."""
        if not self.overall.better_than_guessing:
            return NOT_SHOWN
        needs, free, open_ = self.by_verdict.values()
        first = f"This model needs order for {name_some(needs)}" if needs else ""
        if not needs and not open_:
            first = "This model needs order for no class"
        alone = f"appearance alone suffices for {name_some(free)}" if free else ""
        texts = ["; ".join(part for part in (first, alone) if part)]
        if one_frame := [row.label for row in self.classes if row.one_frame_is_enough]:
            texts.append(f"one frame is enough for {name_some(one_frame)}")
        if open_:
            count = len(self.classes)
            names = "any class" if len(open_) == count else name_or_count(open_, count)
            texts.append(f"whether order counts cannot be said for {names}")
        return " ".join(f"{text[0].upper()}{text[1:]}." for text in texts if text)

    @property
    def overall_sentence(self) -> str:
        """Return the cost of losing order over all clips in words; '' where nothing can be said."""
        overall = self.overall
        if not overall.better_than_guessing:
            return ""
        if overall.is_scarce:
            return (
                f"How much order counts over all classes cannot be said: {overall.clips} "
                f"clips of {counted(overall.groups, 'group')} are too few."
            )
        shuffled, reversed_ = (overall.costs[change].text(" points") for change in ORDER_CHANGES)
        return (
            f"{VERDICTS[overall.verdict][2]}: shuffling the frames costs {shuffled} and reversing "
            f"the frames costs {reversed_}."
        )

    @property
    def changes(self) -> list[str]:
        """The changes that were measured."""
        return [change for change in CHANGES if change in self.overall.costs]

    def to_json(self) -> dict[str, object]:
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
        costliest = sorted(self.classes, key=lambda row: row.order_cost)[-plots.MOST_CLASSES :]
        rows = [self.overall, *costliest]
        row_in, font_size = (0.14, 6.5) if len(costliest) > plots.MANY else (0.26, 9.0)
        width_in = NAMES_IN + PANEL_IN * len(self.changes)
        figure = plots.new_figure(width_in, 1.5 + row_in * max(4, len(rows) + 1))
        panels = figure.subplots(1, len(self.changes), sharey=True, sharex=True, squeeze=False)[0]
        everything = [cost for row in (self.overall, *self.classes) for cost in row.costs.values()]
        lowest = -105 if min(min(cost.loss, *cost.bounds) for cost in everything) < -0.5 else -55
        for axes, change in zip(panels, self.changes, strict=True):
            for height, row in enumerate(rows):
                cost, (colour, marker, _) = row.costs[change], VERDICTS[row.verdict]
                if row is self.overall:
                    colour, marker = "black", "P"
                low, high = cost.bounds
                axes.plot([100 * low, 100 * high], [height] * 2, color=colour, linewidth=1.6)
                axes.plot([100 * cost.loss], [height], color=colour, marker=marker, markersize=5)
            axes.set_title("\n".join(wrap(CHANGES[change], 14)), fontsize=9)
            axes.axvline(0, color=plots.GREY, linewidth=0.8, zorder=0)
            axes.axhline(0.5, color=plots.GREY, linewidth=0.6, linestyle=":")
            axes.set(xlim=(lowest, 105), xticks=[-50, 0, 50, 100])
            axes.tick_params(labelsize=8)
            plots.despine(axes)
        names = plots.short_names([row.label for row in costliest])
        plots.name_rows(panels[0], ["all classes", *names], font_size)
        figure.supxlabel("accuracy lost, points (95% interval over groups)", fontsize=9)
        handles = [
            Line2D([], [], color=colour, marker=marker, linewidth=1.6, label=verdict)
            for verdict, (colour, marker, _) in VERDICTS.items()
            if any(row.verdict == verdict for row in costliest)
        ]
        figure.legend(
            handles=handles,
            loc="outside upper right",
            ncols=len(VERDICTS),
            frameon=False,
            fontsize=9,
        )
        if title := plots.part_title(len(costliest), len(self.classes), "costliest"):
            figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        return figure

    def markdown(self) -> str:
        # The verdict first: a page that is too narrow for the table hides its last columns.
        header = ["", "verdict", "clips", "accuracy", *(CHANGES[one] for one in self.changes)]
        rows = [
            [row.label, row.verdict, row.clips, percent(row.accuracy)]
            + [row.costs[change].text() for change in self.changes]
            for row in (self.overall, *self.classes)
        ]
        return paragraphs(
            "## Does it use the order of the frames?",
            f"**{escape(self.sentence)}**",
            escape(self.overall_sentence),
            table(header, rows, align="ll"),
            EXPLANATION,
            picture("order"),
        )


def order_report(
    given: Sequence[str],
    changed: Mapping[str, npt.ArrayLike],
    labels: Sequence[str],
    groups: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
) -> OrderReport:
    """The cost of each change. given, labels and groups (N,): answer, truth and group of each clip;
    changed: (N,) each, the share of tries that were right.
    """
    after = {name: np.asarray(values, dtype=np.float64) for name, values in changed.items()}
    names, owners, answers = (np.asarray(v, dtype=np.str_) for v in (labels, groups, given))
    right = (answers == names).astype(np.float64)

    def row(label: str, inside: BoolArray, guessed: float, may: bool) -> ClassOrder:
        base, own = right[inside], owners[inside].tolist()
        interval = metrics.group_bootstrap_interval(base, own, seed)
        return ClassOrder(
            label=label,
            clips=len(base),
            groups=len(set(own)),
            accuracy=float(base.mean()),
            interval=interval,
            guessed=guessed,
            better_than_guessing=may and metrics.lies_above(interval, guessed),
            costs={name: _cost(base, after[name][inside], own, seed) for name in after},
        )

    overall = row("all classes", np.ones(len(names), dtype=bool), metrics.best_guess(labels), True)
    rows = [
        row(label, names == label, float((answers == label).mean()), overall.better_than_guessing)
        for label in classes
        if (names == label).any()
    ]
    return OrderReport(overall, tuple(rows))


def _cost(before: FloatArray, after: FloatArray, groups: Sequence[str], seed: int) -> Cost:
    """The paired loss: each clip is compared with itself.

    Unseen groups may lose half of what is right, or gain as much: one loss alone proves nothing.
    """
    loss, half = before - after, float(before.mean()) / 2
    interval = metrics.group_bootstrap_interval(loss, groups, seed, (-half, half))
    return Cost(float(after.mean()), float(loss.mean()), interval)
