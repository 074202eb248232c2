"""Draws a comparison of cells. Computes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from action_gru.comparison.probe import SOLVED
from action_gru.comparison.result import CellComparison, cell_name
from action_gru.palette import OKABE_ITO
from action_gru.report.plots import BLUE, GREEN, GREY, ORANGE

# Okabe and Ito 2008; markers tell them apart without colour too.
COLOURS = {"rnn": ORANGE, "lstm": GREEN, "gru": BLUE, "bigru": OKABE_ITO[5], "none": GREY}
MARKERS = {"rnn": "s", "lstm": "^", "gru": "o"}
OTHER_COLOURS = ("#CC79A7", "#D55E00", "#F0E442", "#000000")  # of further cells, in turn
OTHER_MARKERS = ("D", "v", "P", "X")
SMALLEST = 1e-12  # of the gradients shown: below that nothing can be learned from them


def looks(keys: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each cell; those that are not named above get further ones in turn."""
    further = itertools.cycle(zip(OTHER_COLOURS, OTHER_MARKERS, strict=True))
    return {
        key: (COLOURS[key], MARKERS.get(key, "o")) if key in COLOURS else next(further)
        for key in keys
    }


def comparison_picture(comparison: CellComparison) -> Figure:
    """Accuracy and cost of each cell; below them the probe, if it was run."""
    rows = 2 if comparison.probe else 1
    figure = Figure(figsize=(11.5, 3.0 * rows + 0.2), layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    _draw_data(parts[0], comparison)
    if comparison.probe:
        _draw_probe(parts[1], comparison)
    return figure


def _draw_data(figure: Any, comparison: CellComparison) -> None:
    accuracy, *others = figure.subplots(1, 4, sharey=True, width_ratios=[1.6, 1, 1, 1])
    cells = list(reversed(comparison.cells))
    look = looks(cell.key for cell in comparison.cells)
    colours = [look[cell.key][0] for cell in cells]
    for row, (cell, colour) in enumerate(zip(cells, colours, strict=True)):
        scores = cell.right.mean(1)
        accuracy.plot(scores, np.full(len(scores), row), "o", color=colour, alpha=0.5, markersize=5)
        accuracy.plot([scores.mean()] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=2.5)
    accuracy.axvline(comparison.majority, color=GREY, linestyle=":", linewidth=1)
    accuracy.set_yticks(range(len(cells)), [cell.name for cell in cells])
    accuracy.set_title("accuracy: a dot a seed, bar the mean", fontsize=9.5)
    accuracy.set_xlabel("top-1; dotted: the most frequent class", fontsize=8.5)
    columns = (
        ("parameters of the cell", [cell.cell_parameters / 1e6 for cell in cells], "million"),
        ("training", [1000 * cell.epoch_s for cell in cells], "ms an epoch"),
        ("live step, one stream", [cell.step_ms or 0.0 for cell in cells], "ms"),
    )
    for axes, (title, values, unit) in zip(others, columns, strict=True):
        bars = axes.barh(range(len(cells)), values, color=colours, height=0.65)
        texts = [_figure(value) for value in values]
        axes.bar_label(bars, texts, padding=3, fontsize=8)
        axes.set_title(title, fontsize=9.5)
        axes.set_xlabel(unit, fontsize=8.5)
        axes.margins(x=0.3)
    others[2].set_xlabel("ms; -: cannot run live", fontsize=8.5)
    for axes in (accuracy, *others):
        _plain(axes)


def _figure(value: float) -> str:
    if not value:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _draw_probe(figure: Any, comparison: CellComparison) -> None:
    solved, before, after = figure.subplots(1, 3)
    known = looks(cell.key for cell in comparison.cells)
    for result in comparison.probe:
        colour, marker = known[result.cell]
        look = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.5}
        lags = list(result.accuracy)
        means = [result.mean_accuracy(lag) for lag in lags]
        solved.plot(lags, means, label=cell_name(result.cell), **look)
        for axes, norms in ((before, result.gradient_before), (after, result.gradient_after)):
            axes.plot(list(norms), list(norms.values()), label=cell_name(result.cell), **look)
    solved.axhline(SOLVED, color=GREY, linestyle=":", linewidth=1)
    solved.set(ylim=(0, 1.05), ylabel="accuracy")
    solved.set_title("long-memory probe: right after k steps of noise", fontsize=9.5)
    lag = comparison.probe[0].trained_lag
    for axes, title in ((before, "untrained"), (after, f"trained at {lag} steps")):
        axes.set_yscale("log")
        axes.set_ylim(SMALLEST / 2, 30)
        axes.set_title(f"gradient over k steps, {title}", fontsize=9.5)
        axes.axhline(1, color=GREY, linestyle=":", linewidth=1)
    before.set_ylabel("norm; 1: carried unchanged")
    for axes in (solved, before, after):
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(comparison.probe[0].gradient_before))
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set_xlabel("steps k", fontsize=8.5)
        _plain(axes)
    solved.legend(frameon=False, fontsize=8.5, loc="lower left")


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2, labelsize=8.5)
    axes.grid(color="#E8E8E8", linewidth=0.7)
    axes.set_axisbelow(True)
