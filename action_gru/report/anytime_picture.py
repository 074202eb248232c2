"""Draws accuracy along the clip. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from action_gru.channels import ROWS, SECONDS
from action_gru.report.anytime import NEARLY, AnytimeReport, Point
from action_gru.report.pictures import BLUE, GREY, ORANGE, new_figure, short_names, strip_frame


def anytime_picture(report: AnytimeReport) -> Figure:
    """Accuracy after a share of the clip, and after a time, with its interval over groups."""
    figure = new_figure(9.0, 4.0)
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.08})
    _draw_curve(left, report, report.by_share, scale=100.0)
    _draw_curve(right, report, report.by_second, scale=1.0)
    left.set(xlabel="share of the clip seen, %", ylabel="accuracy", xlim=(0, 101), ylim=(0, 1.02))
    right.set(xlim=(0, 1.02 * max(report.by_second[-1].at, 1e-3)))
    seen = {SECONDS: "seconds seen", ROWS: "rows seen"}
    name = seen.get(report.unit) or f"{short_names([report.unit])[0]} since the first row"
    right.set_xlabel(name, parse_math=False)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_curve(axes: Any, report: AnytimeReport, points: Sequence[Point], scale: float) -> None:
    at = [scale * point.at for point in points]
    if all(point.interval for point in points):
        bounds = [point.interval or (0.0, 0.0) for point in points]
        lows, highs = zip(*bounds, strict=True)
        axes.fill_between(
            at, lows, highs, color=BLUE, alpha=0.18, linewidth=0, label="95% interval"
        )
    axes.plot(at, [point.accuracy for point in points], color=BLUE, marker="o", markersize=3,
              label="accuracy")  # fmt: skip
    axes.axhline(report.chance, color=GREY, linestyle=":", label="most frequent class")
    nearly = report.reached(NEARLY, points)
    if nearly is not None:
        axes.axvline(scale * nearly, color=ORANGE, linestyle="--",
                     label=f"{100 * NEARLY:.0f}% of the gain")  # fmt: skip
    strip_frame(axes)
