"""Scores of early warnings: at the last row of each sequence, row by row, and by lead time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from action_gru.core.text import counted
from action_gru.report import metrics, plots
from action_gru.report.documents import figure_text, paragraphs, percent, table
from action_gru.report.metrics import BoolArray, FloatArray, Interval
from action_gru.timeline import Alarm

# Rows up to this many horizons before the end represent a sequence stopped at random.
STOPPED_HORIZONS = 4


@dataclass(frozen=True)
class WarnedSequence:
    """scores (T,): the probability of the end within the horizon; remaining (T,): the truth."""

    name: str
    scores: FloatArray
    remaining: FloatArray

    def alarms(self, threshold: float) -> tuple[list[float], bool]:
        """What remained at each alarm, and whether the alarm is on at the end."""
        alarm = Alarm(threshold)
        pairs = zip(self.scores.tolist(), self.remaining.tolist(), strict=True)
        return [left for score, left in pairs if alarm.push(score) == "raised"], alarm.on


@dataclass(frozen=True)
class WarningReport:
    """Warnings of the end within `horizon`, given from `threshold` on."""

    sequences: tuple[WarnedSequence, ...]
    horizon: float
    threshold: float
    seed: int = 0

    @property
    def rows(self) -> FloatArray:
        """Scores and what remains, of all rows: (2, N)."""
        return np.concatenate([[one.scores, one.remaining] for one in self.sequences], axis=1)

    @property
    def last_rows(self) -> FloatArray:
        """Scores and what remains, of the last row of each sequence: (2, S)."""
        return np.array([(one.scores[-1], one.remaining[-1]) for one in self.sequences]).T

    @cached_property
    def scores(self) -> dict[str, Any]:
        """Every figure; None where it has no denominator. Rates are over the sequences given.

        precision, recall, f1: at the last row of each sequence; the interval is over sequences.
        stopped_f1: every row of the last horizons counts as a last row; best_threshold maximises
        it: choose with it on training data only. warned: of the positives, at how many an alarm
        stood; lead_median: of what remained when these were raised. false_alarms_per_1000: alarms
        raised outside the horizon, per 1000 such rows.
        """
        (scores, remaining), (last_scores, last_remaining) = self.rows, self.last_rows
        soon, last_soon = remaining <= self.horizon, last_remaining <= self.horizon
        warned, last_warned = scores >= self.threshold, last_scores >= self.threshold
        near = remaining <= STOPPED_HORIZONS * self.horizon
        best, best_f1 = best_threshold(scores[near], soon[near])
        precision, recall, f1 = _precision_recall_f1(last_warned, last_soon)
        raised, leads = [], []
        for one, is_soon in zip(self.sequences, last_soon, strict=True):
            left, is_on = one.alarms(self.threshold)
            raised += left
            leads += left[-1:] if is_on and is_soon else []
        outside = int((~soon).sum())

        def per_1000(count: int) -> float | None:
            return 1000 * count / outside if outside else None

        return {
            "horizon": self.horizon,
            "threshold": self.threshold,
            "sequences": len(self.sequences),
            "positives": int(last_soon.sum()),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "f1_interval": _f1_interval(last_warned, last_soon, self.seed),
            "rows": len(scores),
            "row_auroc": metrics.area_under_roc(scores, soon),
            "row_average_precision": metrics.average_precision(scores, soon),
            "row_f1": _precision_recall_f1(warned, soon)[2],
            "stopped_f1": _precision_recall_f1(warned[near], soon[near])[2],
            "best_threshold": best,
            "best_stopped_f1": best_f1,
            "warned": len(leads),
            "lead_median": float(np.median(leads)) if leads else None,
            "false_alarms_per_1000": per_1000(sum(left > self.horizon for left in raised)),
            "false_rows_per_1000": per_1000(int((warned & ~soon).sum())),
        }

    @property
    def sentence(self) -> str:
        """'Warned before 3 of 4 ends, half of them with 5 or more left; 0 false alarms in 1000 rows
        before.'
        """
        lead, false = self.scores["lead_median"], self.scores["false_alarms_per_1000"]
        text = "No end to warn of"
        if ends := self.scores["positives"]:
            text = f"Warned before {self.scores['warned']} of {counted(ends, 'end')}"
        text += "" if lead is None else f", half of them with {lead:g} or more left"
        return text + ("." if false is None else f"; {false:.3g} false alarms in 1000 rows before.")

    def to_json(self) -> dict[str, Any]:
        return self.scores

    def markdown(self) -> str:
        scores, interval = self.scores, self.scores["f1_interval"]
        shown = f" ({percent(interval[0])} to {percent(interval[1])})" if interval else ""
        rows = {
            "F1 at the last row of each sequence (95% interval)": percent(scores["f1"]) + shown,
            "precision": percent(scores["precision"]),
            "recall": percent(scores["recall"]),
            "AUROC, every row": figure_text(scores["row_auroc"]),
            "average precision, every row": figure_text(scores["row_average_precision"]),
            "F1, every row": percent(scores["row_f1"]),
            "median of what remains when the alarm is raised":
                figure_text(scores["lead_median"], 0),
            "false alarms per 1000 rows outside the horizon":
                figure_text(scores["false_alarms_per_1000"], 1),
            "rows falsely warned per 1000": figure_text(scores["false_rows_per_1000"], 1),
        }  # fmt: skip
        return paragraphs(
            "## Warnings",
            f"The end within {self.horizon:g}, warned of from a probability of {self.threshold:g} "
            f"on. {counted(scores['sequences'], 'sequence')}, {scores['positives']} of them within "
            f"the horizon at their last row; {counted(scores['rows'], 'row')}.",
            table(["figure", "value"], rows.items()),
            "![precision and recall](warnings.png)",
        )

    def plot(self) -> Figure:
        """Precision against recall, of every row and of last rows, with the threshold marked."""
        figure = plots.new_figure(5.4, 4.2)
        axes = figure.add_subplot()
        for (scores, remaining), colour, style, name in (
            (self.rows, plots.BLUE, "-", "every row"),
            (self.last_rows, plots.ORANGE, "--", "last row of each sequence"),
        ):
            truth = remaining <= self.horizon
            if not truth.any():
                continue
            precision, recall, _ = metrics.precision_recall_curve(scores, truth)
            axes.plot(recall, precision, style, color=colour, label=name, drawstyle="steps-post")
            at = _precision_recall_f1(scores >= self.threshold, truth)
            if at[0] is not None and at[1] is not None:
                axes.plot(at[1], at[0], "o", color=colour, markeredgecolor="black", zorder=3)
        label = f"threshold {self.threshold:g}"
        axes.plot([], [], "o", color=plots.GREY, markeredgecolor="black", label=label)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left")
        return figure


def best_threshold(scores: FloatArray, truth: BoolArray) -> tuple[float | None, float | None]:
    """The threshold with the largest F1, and that F1; None without a positive."""
    if not truth.any():
        return None, None
    precision, recall, thresholds = metrics.precision_recall_curve(scores, truth)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[f1.argmax()]), float(f1.max())


def _precision_recall_f1(
    warned: BoolArray, truth: BoolArray
) -> tuple[float | None, float | None, float | None]:
    return metrics.precision_recall_f1((warned & truth).sum(), warned.sum(), truth.sum())


def _f1_interval(warned: BoolArray, truth: BoolArray, seed: int) -> Interval | None:
    """Over whole sequences, with half of an unseen right one and half of an unseen wrong one; None
    without a positive.
    """
    if not truth.any():
        return None
    right, wrong = warned & truth, warned ^ truth
    counts = right + wrong / 2  # F1 is right / (right + wrong / 2)
    return metrics.ratio_interval(right, counts, [(1.0, 1.0), (0.0, 0.5)], seed)


def write_warnings(report: WarningReport, folder: Path) -> None:
    """warnings.json, warnings.md and warnings.png in a folder, each atomically."""
    text, figures = f"{report.markdown()}\n", {"warnings": report.plot()}
    plots.write_documents(folder, "warnings", report.scores, text, figures)
