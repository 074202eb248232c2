"""Anytime accuracy: how early in the clip the answer is right. Knows no models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from action_gru.dataset.channels import ROWS, SECONDS
from action_gru.report import plots
from action_gru.report.documents import NONE, escape, paragraphs, picture, table
from action_gru.report.metrics import FloatArray, Interval, group_bootstrap_interval, lies_above

# The first 5% of a clip, 10%, ... all of it.
SHARES = tuple(round(0.05 * step, 2) for step in range(1, 21))
PREFIXES = (0.0, *SHARES)  # 0: the first frame alone
STEPS = 20
NEARLY = 0.9  # of the gain over guessing
OFTEN = f"{100 * NEARLY:.0f}%"


class Point(NamedTuple):
    """Accuracy after so much of a clip; at: a share or a time. interval: 95%, over groups."""

    at: float
    accuracy: float
    interval: Interval | None


@dataclass(frozen=True)
class AnytimeReport:
    """Accuracy along the clip, from the first frame to the whole of it.

    settled_s: per class, the median instant from which the answer stayed right, over the clips
    that are right at the end; None where none is. unit: of it and of by_second.
    """

    chance: float  # of the best that one can always answer
    by_share: tuple[Point, ...]
    by_second: tuple[Point, ...]
    settled_s: dict[str, float | None]
    unit: str = SECONDS

    @property
    def final(self) -> float:
        return self.by_share[-1].accuracy

    def reached(self, part: float, points: Sequence[Point]) -> float | None:
        """From where on accuracy stays at or above `part` of the gain over guessing.

        None where the whole clip is not shown to be better than guessing.
        """
        if not lies_above(self.by_share[-1].interval, self.chance):
            return None
        goal = self.chance + part * (self.final - self.chance)
        below = [index for index, point in enumerate(points) if point.accuracy < goal]
        later = points[below[-1] + 1 :] if below else points
        return later[0].at if later else None

    @property
    def sentence(self) -> str:
        """Return when the answer could have been given, in plain words."""
        half, nearly = (self.reached(part, self.by_share) for part in (0.5, NEARLY))
        if half is None or nearly is None:
            return (
                "Even the whole clip is not shown to be better than guessing: there is no instant "
                "to name."
            )
        by = "time" if self.unit == SECONDS else self.unit
        return (
            f"Half of the gain over guessing is there after {100 * half:.0f}% of the clip, {OFTEN} "
            f"of it after {100 * nearly:.0f}%. By {by} from each clip's start: half "
            f"{self._when(0.5)}, {OFTEN} {self._when(NEARLY)}."
        )

    def amount(self, value: float) -> str:
        """Format a time: '0.57 s', '19 rows', or the bare value of a column."""
        texts = {SECONDS: f"{value:.2f} s", ROWS: f"{value:g} row{'s' * (value != 1)}"}
        return texts.get(self.unit, f"{value:.4g}")

    def _when(self, part: float) -> str:
        reached = self.reached(part, self.by_second)
        if reached is None:
            return f"later than {self.amount(self.by_second[-1].at)}"
        is_first = reached == self.by_second[0].at
        return "at once" if is_first else f"after {self.amount(reached)}"

    def to_json(self) -> dict[str, object]:
        curves = {"share": self.by_share, "seconds": self.by_second}
        return {
            "sentence": self.sentence,
            "chance": self.chance,
            **{
                f"{name}_to_{round(100 * part)}_percent_of_the_gain": self.reached(part, points)
                for part in (0.5, NEARLY)
                for name, points in curves.items()
            },
            **{
                f"by_{name.removesuffix('s')}": [
                    {name: one.at, "accuracy": one.accuracy, "interval": one.interval}
                    for one in points
                ]
                for name, points in curves.items()
            },
            "settled_s": dict(self.settled_s),
            "unit": self.unit,
        }

    def plot(self) -> Figure:
        """Accuracy after a share of the clip, and after a time, with its interval over groups."""
        figure = plots.new_figure(9.0, 4.0)
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.08})
        self._draw_curve(left, self.by_share, scale=100.0)
        self._draw_curve(right, self.by_second, scale=1.0)
        left.set(
            xlabel="share of the clip seen, %", ylabel="accuracy", xlim=(0, 101), ylim=(0, 1.02)
        )
        right.set(xlim=(0, 1.02 * max(self.by_second[-1].at, 1e-3)))
        seen = {SECONDS: "seconds seen", ROWS: "rows seen"}
        name = seen.get(self.unit) or f"{plots.short_names([self.unit])[0]} since the first row"
        right.set_xlabel(name, parse_math=False)
        plots.add_legend(figure, left, 4)
        return figure

    def _draw_curve(self, axes: Any, points: Sequence[Point], scale: float) -> None:
        at = [scale * point.at for point in points]
        if bounds := [point.interval for point in points if point.interval]:
            axes.fill_between(
                at, *zip(*bounds, strict=True), color=plots.BLUE, alpha=0.18, linewidth=0,
                label="95% interval",
            )  # fmt: skip
        accuracies = [point.accuracy for point in points]
        axes.plot(at, accuracies, color=plots.BLUE, marker="o", markersize=3, label="accuracy")
        axes.axhline(self.chance, color=plots.GREY, linestyle=":", label="most frequent class")
        if (nearly := self.reached(NEARLY, points)) is not None:
            label = f"{OFTEN} of the gain"
            axes.axvline(scale * nearly, color=plots.ORANGE, linestyle="--", label=label)
        plots.despine(axes)

    def markdown(self) -> str:
        rows = [
            [label, NONE if settled is None else self.amount(settled)]
            for label, settled in self.settled_s.items()
        ]
        by = "" if self.unit in (SECONDS, ROWS) else f", by {escape(self.unit)}"
        return paragraphs(
            "## When could the answer have been given?",
            f"**{escape(self.sentence)}**",
            "Shares and times are read each from its own curve: where clips differ in length, the "
            "one is no translation of the other.",
            table(["class", f"right to the end from (median{by})"], rows),
            picture("anytime"),
        )


def anytime_report(
    right: npt.ArrayLike,
    seen: npt.ArrayLike,
    labels: Sequence[str],
    groups: Sequence[str],
    chance: float,
    seed: int = 0,
    unit: str = SECONDS,
) -> AnytimeReport:
    """right (N, S) bool: was the answer right after each of PREFIXES; seen (N, S): how much of the
    clip that was, in `unit`; labels and groups (N,).

    After a given time the answer is the newest one; a clip that has ended keeps its last.
    """
    hits, times = np.asarray(right, dtype=np.float64), np.asarray(seen, dtype=np.float64)

    def point(at: float, values: FloatArray) -> Point:
        return Point(at, float(values.mean()), group_bootstrap_interval(values, groups, seed))

    by_share = [point(share, hits[:, index]) for index, share in enumerate(PREFIXES) if share]
    by_time = [point(float(at), _answered(hits, times, at)) for at in _instants(times, unit)]
    settled, names = _settled(hits, times), np.asarray(labels, dtype=np.str_)
    by_class = {}
    for label in sorted(set(labels)):
        known = settled[(names == label) & ~np.isnan(settled)]
        by_class[label] = float(np.median(known)) if len(known) else None
    return AnytimeReport(chance, tuple(by_share), tuple(by_time), by_class, unit)


def _instants(times: FloatArray, unit: str) -> FloatArray:
    """From where every clip has an answer to where nearly all are over; whole rows."""
    instants = np.linspace(times[:, 0].max(), np.quantile(times[:, -1], 0.95), STEPS + 1)
    return np.unique(np.floor(instants + 1e-9) if unit == ROWS else instants)


def _answered(hits: FloatArray, times: FloatArray, at: float) -> FloatArray:
    """(N,): is the newest answer at this instant right? Every clip has one."""
    count = (times <= at + 1e-9).sum(1)  # times grow along a row
    return np.asarray(hits[np.arange(len(hits)), count - 1], dtype=np.float64)


def _settled(hits: FloatArray, times: FloatArray) -> FloatArray:
    """(N,): the instant from which the answer stays right; NaN where the last one is wrong."""
    stays = np.flip(np.cumprod(np.flip(hits, 1), axis=1), 1)  # 1 from where all later are right
    first = stays.argmax(1)
    return np.where(stays[:, -1] > 0, times[np.arange(len(hits)), first], np.nan)
