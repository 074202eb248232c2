"""Early warnings in a report: a table, and precision against recall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from action_gru.report.files import json_text, replace_file
from action_gru.report.markdown import percent, table
from action_gru.report.pictures import BLUE, GREY, ORANGE, save_picture
from action_gru.report.warnings import (
    WarnedSequence,
    WarningScores,
    precision_recall_curve,
    precision_recall_f1,
    warning_scores,
)


def warnings_markdown(scores: WarningScores, picture: str) -> str:
    """A section of the report."""
    interval = scores.f1_interval
    shown = f" ({percent(interval[0])} to {percent(interval[1])})" if interval else ""
    rows = [
        ["F1 at the last row of each sequence (95% interval)", percent(scores.f1) + shown],
        ["precision", percent(scores.precision)],
        ["recall", percent(scores.recall)],
        ["AUROC, every row", _figure(scores.row_auroc)],
        ["average precision, every row", _figure(scores.row_average_precision)],
        ["F1, every row", percent(scores.row_f1)],
        ["median of what remains when the alarm is raised", _figure(scores.lead_median, 0)],
        [
            "false alarms per 1000 rows outside the horizon",
            _figure(scores.false_alarms_per_1000, 1),
        ],
        ["rows falsely warned per 1000", _figure(scores.false_rows_per_1000, 1)],
    ]
    return (
        f"## Warnings\n\nThe end within {scores.horizon:g}, warned of from a probability of "
        f"{scores.threshold:g} on. {scores.sequences} sequences, {scores.positives} of them within "
        f"the horizon at their last row; {scores.rows} rows.\n\n"
        + table(["figure", "value"], rows, align="lr")
        + f"\n\n![precision and recall]({picture})"
    )


def warnings_picture(
    sequences: Sequence[WarnedSequence], horizon: float, threshold: float
) -> Figure:
    """Precision against recall, for every row and at the last row, with the threshold marked."""
    figure = Figure(figsize=(5.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = [
        np.concatenate([getattr(one, key) for one in sequences]) for key in ("scores", "remaining")
    ]
    lasts = [
        np.array([getattr(one, key)[-1] for one in sequences]) for key in ("scores", "remaining")
    ]
    for (scores, remaining), colour, style, name in (
        (rows, BLUE, "-", "every row"),
        (lasts, ORANGE, "--", "last row of each sequence"),
    ):
        truth = remaining <= horizon
        if not truth.any():
            continue
        precision, recall, _ = precision_recall_curve(scores, truth)
        axes.plot(recall, precision, style, color=colour, label=name, drawstyle="steps-post")
        at = precision_recall_f1(scores >= threshold, truth)
        if at[0] is not None and at[1] is not None:
            axes.plot(at[1], at[0], "o", color=colour, markeredgecolor="black", zorder=3)
    axes.plot([], [], "o", color=GREY, markeredgecolor="black", label=f"threshold {threshold:g}")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    return figure


def write_warnings(
    sequences: Sequence[WarnedSequence], horizon: float, threshold: float, folder: Path
) -> WarningScores:
    """warnings.json, warnings.md and warnings.png in a folder, each atomically."""
    scores = warning_scores(sequences, horizon, threshold)
    save_picture(warnings_picture(sequences, horizon, threshold), folder / "warnings.png")
    replace_file(folder / "warnings.json", json_text(scores.to_json()).encode())
    text = warnings_markdown(scores, "warnings.png")
    replace_file(folder / "warnings.md", f"{text}\n".encode())
    return scores


def _figure(value: float | None, digits: int = 3) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"
