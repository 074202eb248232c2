"""Scores of early warnings: at the last row of each sequence, row by row, and by lead time.

Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from action_gru.report.files import json_text, replace_file
from action_gru.report.markdown import figure_text, percent, table
from action_gru.report.plots import BLUE, GREY, ORANGE, new_figure, save_figure
from action_gru.report.statistics import (
    BoolArray,
    FloatArray,
    Interval,
    area_under_roc,
    average_precision,
    precision_recall_curve,
    precision_recall_f1,
    ratio_interval,
)
from action_gru.timeline import Alarm

# Rows up to this many horizons before the end stand for a sequence that was stopped at random.
STOPPED_HORIZONS = 4


@dataclass(frozen=True)
class WarnedSequence:
    """scores (T,): the probability of the end within the horizon; remaining (T,): the truth."""

    name: str
    scores: FloatArray
    remaining: FloatArray


@dataclass(frozen=True)
class WarningScores:
    """None where a figure has no denominator. Every rate is over the sequences given."""

    horizon: float
    threshold: float
    sequences: int
    positives: int  # sequences whose last row is within the horizon
    precision: float | None  # these three at the last row of each sequence
    recall: float | None
    f1: float | None
    f1_interval: Interval | None  # 95%, over sequences
    rows: int
    row_auroc: float | None
    row_average_precision: float | None
    row_f1: float | None
    stopped_f1: float | None  # every row of the last horizons taken as a last row
    best_threshold: float | None  # of stopped_f1: to choose with, on training data only
    best_stopped_f1: float | None
    lead_median: float | None  # of what remained when the alarm was raised that stood at the end
    false_alarms_per_1000: float | None  # alarms raised outside the horizon, per 1000 such rows
    false_rows_per_1000: float | None


def warning_scores(
    sequences: Sequence[WarnedSequence], horizon: float, threshold: float, seed: int = 0
) -> WarningScores:
    """Score warnings of the end within `horizon`, given from `threshold` on."""
    scores, remaining = _every_row(sequences)
    last_scores, last_remaining = _last_rows(sequences)
    soon, last_soon = remaining <= horizon, last_remaining <= horizon
    warned, last_warned = scores >= threshold, last_scores >= threshold
    near = remaining <= STOPPED_HORIZONS * horizon
    best, best_f1 = best_threshold(scores[near], soon[near])
    precision, recall, f1 = precision_recall_f1(last_warned, last_soon)
    raised = [_raised(one, threshold) for one in sequences]
    leads = [
        lead
        for one, (_, lead) in zip(sequences, raised, strict=True)
        if lead is not None and one.remaining[-1] <= horizon
    ]
    false_alarms = sum(left > horizon for alarms, _ in raised for left in alarms)
    outside = int((~soon).sum())
    return WarningScores(
        horizon=horizon,
        threshold=threshold,
        sequences=len(sequences),
        positives=int(last_soon.sum()),
        precision=precision,
        recall=recall,
        f1=f1,
        f1_interval=_f1_interval(last_warned, last_soon, seed),
        rows=len(scores),
        row_auroc=area_under_roc(scores, soon),
        row_average_precision=average_precision(scores, soon),
        row_f1=precision_recall_f1(warned, soon)[2],
        stopped_f1=precision_recall_f1(warned[near], soon[near])[2],
        best_threshold=best,
        best_stopped_f1=best_f1,
        lead_median=float(np.median(leads)) if leads else None,
        false_alarms_per_1000=1000 * false_alarms / outside if outside else None,
        false_rows_per_1000=1000 * int((warned & ~soon).sum()) / outside if outside else None,
    )


def _every_row(sequences: Sequence[WarnedSequence]) -> tuple[FloatArray, FloatArray]:
    """Scores and what remains, of all rows."""
    return (
        np.concatenate([one.scores for one in sequences]),
        np.concatenate([one.remaining for one in sequences]),
    )


def _last_rows(sequences: Sequence[WarnedSequence]) -> tuple[FloatArray, FloatArray]:
    """Scores and what remains, of the last row of each sequence."""
    return (
        np.array([one.scores[-1] for one in sequences]),
        np.array([one.remaining[-1] for one in sequences]),
    )


def best_threshold(scores: FloatArray, truth: BoolArray) -> tuple[float | None, float | None]:
    """The threshold with the largest F1, and that F1; None without a positive."""
    if not truth.any():
        return None, None
    precision, recall, thresholds = precision_recall_curve(scores, truth)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[f1.argmax()]), float(f1.max())


def _f1_interval(warned: BoolArray, truth: BoolArray, seed: int) -> Interval | None:
    """Over whole sequences, with half of a right and half of a wrong one that were not met; None
    without a positive.
    """
    if not truth.any():
        return None
    right, wrong = warned & truth, warned ^ truth
    counts = right + wrong / 2  # F1 is right / (right + wrong / 2)
    return ratio_interval(right, counts, [(1.0, 1.0), (0.0, 0.5)], seed)


def _raised(one: WarnedSequence, threshold: float) -> tuple[list[float], float | None]:
    """Return what remained at each alarm, and at the alarm that is on at the end, if any."""
    alarm, raised = Alarm(threshold), []
    for score, remaining in zip(one.scores, one.remaining, strict=True):
        if alarm.push(float(score)) == "raised":
            raised.append(float(remaining))
    return raised, raised[-1] if alarm.on else None


@dataclass(frozen=True)
class WarningReport:
    """The scores of warnings and the sequences they were given for."""

    scores: WarningScores
    sequences: tuple[WarnedSequence, ...]

    @classmethod
    def of(
        cls, sequences: Sequence[WarnedSequence], horizon: float, threshold: float, seed: int = 0
    ) -> WarningReport:
        """Warnings of the end within `horizon`, given from `threshold` on."""
        return cls(warning_scores(sequences, horizon, threshold, seed), tuple(sequences))

    def to_json(self) -> dict[str, Any]:
        """Return JSON-serialisable values."""
        return asdict(self.scores)

    def markdown(self) -> str:
        """Return the section of the report."""
        scores, interval = self.scores, self.scores.f1_interval
        shown = f" ({percent(interval[0])} to {percent(interval[1])})" if interval else ""
        rows = [
            ["F1 at the last row of each sequence (95% interval)", percent(scores.f1) + shown],
            ["precision", percent(scores.precision)],
            ["recall", percent(scores.recall)],
            ["AUROC, every row", figure_text(scores.row_auroc)],
            ["average precision, every row", figure_text(scores.row_average_precision)],
            ["F1, every row", percent(scores.row_f1)],
            ["median of what remains when the alarm is raised", figure_text(scores.lead_median, 0)],
            ["false alarms per 1000 rows outside the horizon",
             figure_text(scores.false_alarms_per_1000, 1)],
            ["rows falsely warned per 1000", figure_text(scores.false_rows_per_1000, 1)],
        ]  # fmt: skip
        return (
            f"## Warnings\n\nThe end within {scores.horizon:g}, warned of from a probability of "
            f"{scores.threshold:g} on. {scores.sequences} sequences, {scores.positives} of them "
            f"within the horizon at their last row; {scores.rows} rows.\n\n"
            + table(["figure", "value"], rows, align="lr")
            + "\n\n![precision and recall](warnings.png)"
        )

    def plot(self) -> Figure:
        """Precision against recall, of every row and of last rows, with the threshold marked."""
        horizon, threshold = self.scores.horizon, self.scores.threshold
        figure = new_figure(5.4, 4.2)
        axes = figure.add_subplot()
        for (scores, remaining), colour, style, name in (
            (_every_row(self.sequences), BLUE, "-", "every row"),
            (_last_rows(self.sequences), ORANGE, "--", "last row of each sequence"),
        ):
            truth = remaining <= horizon
            if not truth.any():
                continue
            precision, recall, _ = precision_recall_curve(scores, truth)
            axes.plot(recall, precision, style, color=colour, label=name, drawstyle="steps-post")
            at = precision_recall_f1(scores >= threshold, truth)
            if at[0] is not None and at[1] is not None:
                axes.plot(at[1], at[0], "o", color=colour, markeredgecolor="black", zorder=3)
        label = f"threshold {threshold:g}"
        axes.plot([], [], "o", color=GREY, markeredgecolor="black", label=label)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left")
        return figure


def write_warnings(report: WarningReport, folder: Path) -> None:
    """warnings.json, warnings.md and warnings.png in a folder, each atomically."""
    save_figure(report.plot(), folder / "warnings.png")
    replace_file(folder / "warnings.json", json_text(report.to_json()).encode())
    replace_file(folder / "warnings.md", f"{report.markdown()}\n".encode())
