"""A comparison of cells as text, Markdown, JSON and one plot. Takes no decision."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from action_gru.evaluation.cell_findings import (
    LOOKS,
    CellComparison,
    CellFigures,
    cell_name,
    findings,
)
from action_gru.evaluation.memory_probe import SOLVED
from action_gru.report.documents import bullets, escape, json_text, percent, replace_file, table
from action_gru.report.plots import GREY, despine, new_figure, save_figure

PARAMETER_BYTES = 4  # float32
PLOT, TEXT, VALUES = "cells.png", "cells.md", "cells.json"
SMALLEST = 1e-12  # of the gradients shown: below that nothing can be learned from them


def write_comparison(comparison: CellComparison, folder: Path) -> None:
    """cells.json, cells.png and cells.md, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / VALUES, json_text(comparison_json(comparison)).encode())
    save_figure(plot_comparison(comparison), folder / PLOT)
    replace_file(folder / TEXT, comparison_markdown(comparison).encode())


def summary(comparison: CellComparison) -> str:
    """A line a cell and a line a finding, for the terminal."""
    lines = [
        f"{cell_name(cell.key):<18} top-1 {_score(cell):<16} {cell.cell_parameters:>9,} "
        f"parameters in the cell, {_time(cell.epoch_s)} an epoch, step {_step(cell)}"
        for cell in comparison.cells
    ]
    lines += [f"{one.verdict}: {one.claim} ({one.figures})" for one in findings(comparison)]
    return "\n".join(lines)


def comparison_markdown(comparison: CellComparison) -> str:
    sections = [
        "# Cells compared",
        f"{escape(comparison.data)}. Always the most frequent class: "
        f"{percent(comparison.majority)}.",
        _cell_table(comparison),
        f"![The figures of the tables]({PLOT})",
        "## What holds here",
        table(
            ["the textbook says", "", "measured"],
            [list(finding) for finding in findings(comparison)],
            align="lll",
        ),
        *_probe_section(comparison),
        "## How it was measured",
        bullets(_notes(comparison)),
    ]
    return "\n\n".join(sections) + "\n"


def _cell_table(comparison: CellComparison) -> str:
    header = ["", "top-1 ± spread", "parameters: cell", "whole model", "bytes: cell",
              "whole model", "epoch", "step"]  # fmt: skip
    rows = [
        [
            cell_name(cell.key),
            _score(cell),
            f"{cell.cell_parameters:,}",
            f"{cell.parameters:,}",
            f"{PARAMETER_BYTES * cell.cell_parameters:,}",
            f"{PARAMETER_BYTES * cell.parameters:,}",
            _time(cell.epoch_s),
            _step(cell),
        ]
        for cell in comparison.cells
    ]
    return table(header, rows, align="lrrrrrrr")


def _score(cell: CellFigures) -> str:
    top1 = cell.top1()
    return percent(top1.mean) + (f" ± {100 * top1.spread:.1f}" if top1.spread else "")


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _step(cell: CellFigures) -> str:
    return "not live" if cell.step_ms is None else f"{cell.step_ms:.2f} ms"


def _probe_section(comparison: CellComparison) -> list[str]:
    if not comparison.probe:
        return []
    lags = comparison.probe_settings.lags if comparison.probe_settings else ()
    rows = []
    for result in comparison.probe:
        scores = [
            percent(result.mean_accuracy(lag)) if lag in result.accuracy else "" for lag in lags
        ]
        rows.append([cell_name(result.cell), *scores])
    return [
        "## How far each cell remembers",
        table(["steps of noise", *map(str, lags)], rows, align="l" + "r" * len(lags)),
    ]


def _notes(comparison: CellComparison) -> list[str]:
    notes = [
        "Accuracy: every clip is named by models blind to its group; clips with the split test are "
        "left out. ± is the deviation over the seeds, each with its own folds and weights.",
        "Differences are of the same clips, with 95% intervals over groups. Of twenty such "
        "intervals one misses the truth by chance.",
        "Epochs and steps are timed on this machine in turns, medians; 'not live' reads backwards.",
    ]
    if comparison.closed_form:
        notes.append(
            "model.closed_form is on: beside each cell stands the same linear classifier, which "
            "makes the cells' scores more alike. Bytes and times are those without it."
        )
    settings = comparison.probe_settings
    if settings is not None:
        notes.append(
            f"Probe: a label is shown once, then noise, then it is asked for. {settings.seeds} "
            f"seeds, {settings.hidden_size} units, {settings.steps} training steps a lag, the same "
            "sequences for all cells. A cell stops at the first lag with less than 95% in the "
            "mean."
        )
    if comparison.quarantined:
        notes.append(f"{len(comparison.quarantined)} clips could not be read: quarantine.csv.")
    return notes


def comparison_json(comparison: CellComparison) -> dict[str, object]:
    """Plain values for json.dumps."""
    settings = comparison.probe_settings
    return {
        "data": comparison.data,
        "folds": comparison.folds,
        "seeds": list(comparison.seeds),
        "majority": comparison.majority,
        "closed_form": comparison.closed_form,
        "cells": [_cell_json(cell) for cell in comparison.cells],
        "findings": [finding._asdict() for finding in findings(comparison)],
        "probe_settings": None if settings is None else asdict(settings),
        "probe": [
            {
                "cell": result.cell,
                "largest_lag_solved": result.largest_solved,
                "accuracy_by_seed": _by_lag(result.accuracy),
                "trained_lag": result.trained_lag,
                "gradient_before": _by_lag(result.gradient_before),
                "gradient_after": _by_lag(result.gradient_after),
            }
            for result in comparison.probe
        ],
        "quarantined": sorted(comparison.quarantined),
    }


def _by_lag(values: dict[int, Any]) -> dict[str, Any]:
    return {str(lag): value for lag, value in values.items()}


def _cell_json(cell: CellFigures) -> dict[str, object]:
    top1 = cell.top1()
    return {
        "cell": cell.key,
        "top1_mean": top1.mean,
        "top1_spread": top1.spread,
        "top1_by_seed": cell.right.mean(1).tolist(),
        "cell_parameters": cell.cell_parameters,
        "parameters": cell.parameters,
        "cell_bytes": PARAMETER_BYTES * cell.cell_parameters,
        "bytes": PARAMETER_BYTES * cell.parameters,
        "epoch_s": cell.epoch_s,
        "step_ms": cell.step_ms,
    }


def plot_comparison(comparison: CellComparison) -> Figure:
    """Accuracy and cost of each cell; below them the probe, if it was run."""
    rows = 2 if comparison.probe else 1
    figure = new_figure(11.5, 3.0 * rows + 0.2)
    parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    _draw_data(parts[0], comparison)
    if comparison.probe:
        _draw_probe(parts[1], comparison)
    return figure


def _draw_data(figure: Any, comparison: CellComparison) -> None:
    accuracy, *others = figure.subplots(1, 4, sharey=True, width_ratios=[1.6, 1, 1, 1])
    cells = list(reversed(comparison.cells))
    colours = [LOOKS[cell.key][1] for cell in cells]
    for row, (cell, colour) in enumerate(zip(cells, colours, strict=True)):
        scores = cell.right.mean(1)
        accuracy.plot(scores, np.full(len(scores), row), "o", color=colour, alpha=0.5, markersize=5)
        accuracy.plot([scores.mean()] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=2.5)
    accuracy.axvline(comparison.majority, color=GREY, linestyle=":", linewidth=1)
    accuracy.set_yticks(range(len(cells)), [cell_name(cell.key) for cell in cells])
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
        _finish(axes)


def _figure(value: float) -> str:
    if not value:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _draw_probe(figure: Any, comparison: CellComparison) -> None:
    solved, before, after = figure.subplots(1, 3)
    for result in comparison.probe:
        name, colour, marker = LOOKS[result.cell]
        look = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.5}
        lags = list(result.accuracy)
        means = [result.mean_accuracy(lag) for lag in lags]
        solved.plot(lags, means, label=name, **look)
        for axes, norms in ((before, result.gradient_before), (after, result.gradient_after)):
            axes.plot(list(norms), list(norms.values()), label=name, **look)
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
        _finish(axes)
    solved.legend(frameon=False, fontsize=8.5, loc="lower left")


def _finish(axes: Any) -> None:
    despine(axes)
    axes.tick_params(labelsize=8.5)
    axes.grid(color="#E8E8E8", linewidth=0.7)
    axes.set_axisbelow(True)
