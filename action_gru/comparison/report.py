"""A comparison of cells as Markdown, JSON and one picture. Takes no decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from action_gru.comparison.findings import findings
from action_gru.comparison.picture import comparison_picture
from action_gru.comparison.probe import ProbeResult
from action_gru.comparison.result import CellComparison, CellFigures, cell_name
from action_gru.report.files import json_text, replace_file
from action_gru.report.markdown import bullets, escape, percent, table
from action_gru.report.plots import save_figure

PICTURE, TEXT, VALUES = "cells.png", "cells.md", "cells.json"


def write_comparison(comparison: CellComparison, folder: Path) -> None:
    """cells.json, cells.png and cells.md, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / VALUES, json_text(comparison_json(comparison)).encode())
    save_figure(comparison_picture(comparison), folder / PICTURE)
    replace_file(folder / TEXT, comparison_markdown(comparison).encode())


def summary(comparison: CellComparison) -> str:
    """A line a cell and a line a finding, for the terminal."""
    lines = [
        f"{cell.name:<18} top-1 {_score(cell):<16} {cell.cell_parameters:>9,} parameters in the "
        f"cell, {_time(cell.epoch_s)} an epoch, step {_step(cell)}"
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
        f"![The figures of the tables]({PICTURE})",
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
            cell.name,
            _score(cell),
            f"{cell.cell_parameters:,}",
            f"{cell.parameters:,}",
            f"{cell.cell_bytes:,}",
            f"{cell.bytes:,}",
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
    return {
        "data": comparison.data,
        "folds": comparison.folds,
        "seeds": list(comparison.seeds),
        "majority": comparison.majority,
        "closed_form": comparison.closed_form,
        "cells": [_cell_json(cell) for cell in comparison.cells],
        "findings": [finding._asdict() for finding in findings(comparison)],
        "probe_settings": asdict(comparison.probe_settings) if comparison.probe_settings else None,
        "probe": [_probe_json(result) for result in comparison.probe],
        "quarantined": sorted(comparison.quarantined),
    }


def _cell_json(cell: CellFigures) -> Mapping[str, object]:
    top1 = cell.top1()
    return {
        "cell": cell.key,
        "top1_mean": top1.mean,
        "top1_spread": top1.spread,
        "top1_by_seed": cell.right.mean(1).tolist(),
        "cell_parameters": cell.cell_parameters,
        "parameters": cell.parameters,
        "cell_bytes": cell.cell_bytes,
        "bytes": cell.bytes,
        "epoch_s": cell.epoch_s,
        "step_ms": cell.step_ms,
    }


def _probe_json(result: ProbeResult) -> Mapping[str, object]:
    return {
        "cell": result.cell,
        "largest_lag_solved": result.largest_solved,
        "accuracy_by_seed": {str(lag): scores for lag, scores in result.accuracy.items()},
        "trained_lag": result.trained_lag,
        "gradient_before": {str(lag): norm for lag, norm in result.gradient_before.items()},
        "gradient_after": {str(lag): norm for lag, norm in result.gradient_after.items()},
    }
