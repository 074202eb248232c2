"""A comparison of cells as findings, text, Markdown, JSON and one plot.

The findings are the textbook's claims; every verdict is computed from the figures.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from action_gru.core.graphics import OKABE_ITO
from action_gru.evaluation.compare_cells import CellComparison, CellFigures
from action_gru.evaluation.memory_probe import SOLVED, ProbeResult
from action_gru.model import CELLS
from action_gru.report.documents import bullets, escape, json_text, percent, replace_file, table
from action_gru.report.plots import GREY, despine, new_figure, save_figure

HOLDS, FAILS, OPEN = "holds here", "does not hold here", "not told apart"
CLEAR_RATIO = 0.95  # times that differ by less are noise
CLEAR_GRADIENT = 10.0
PROBED = ("rnn", "lstm", "gru")  # of the claims about memory
# Key -> name, colour, marker. Markers tell cells apart without colour too.
LOOKS = {key: (cell.name, cell.colour, cell.marker) for key, cell in CELLS.items()}
LOOKS |= {
    "bigru": ("bidirectional GRU", OKABE_ITO[5], "o"),
    "transformer": ("transformer", OKABE_ITO[6], "o"),
    "none": ("mean-pool", GREY, "o"),
}
PARAMETER_BYTES = 4  # float32
PLOT, TEXT, VALUES = "cells.png", "cells.md", "cells.json"
SMALLEST = 1e-12  # of the gradients shown: below that nothing can be learned from them

CELL_HEADER = ("", "top-1 ± spread", "parameters: cell", "whole model", "bytes: cell",
               "whole model", "epoch", "step")  # fmt: skip
NOTES = (
    "Accuracy: models that never saw a clip's group classify it; clips with the split test are "
    "left out. ± is the deviation over the seeds, each with its own folds and weights.",
    "Differences are of the same clips, with 95% intervals over groups. Of twenty such "
    "intervals, about one misses the truth by chance.",
    "Epochs and steps are timed on this machine in turns, medians; 'not live' reads backwards.",
)
CLOSED_FORM_NOTE = (
    "model.closed_form is on: each cell has the same linear classifier beside it (`none`: one that "
    "reads no order), which makes the cells' scores more alike. Bytes and times are those without "
    "it."
)
PROBE_NOTE = (
    "Probe: a label is shown once, noise follows, the model answers at the end. {seeds} seeds, "
    "{hidden_size} units, {steps} training steps a lag, the same sequences for all cells. A cell "
    "stops at the first lag with less than 95% in the mean."
)


class Finding(NamedTuple):
    """One claim, its verdict and the figures behind it."""

    claim: str
    verdict: str
    figures: str


def findings(comparison: CellComparison) -> list[Finding]:
    """Check all claims that the measurements cover."""
    claims = CLAIMS + PROBE_CLAIMS * bool(comparison.probe)
    return [Finding(claim, *check(comparison, *inputs)) for claim, check, *inputs in claims]


def _verdict(holds: bool, fails: bool = True) -> str:
    return HOLDS if holds else FAILS if fails else OPEN


def _has_three_quarters(comparison: CellComparison) -> tuple[str, str]:
    gru, lstm = comparison.cell("gru"), comparison.cell("lstm")
    inside, whole = gru.cell_parameters / lstm.cell_parameters, gru.parameters / lstm.parameters
    figures = (
        f"the cell: {gru.cell_parameters:,} to {lstm.cell_parameters:,}, {inside:.3f}; the whole "
        f"model, with its projections and head: {whole:.3f}"
    )
    return _verdict(4 * gru.cell_parameters == 3 * lstm.cell_parameters), figures


def _is_faster(comparison: CellComparison, time: str, text: str) -> tuple[str, str]:
    gru, lstm = (getattr(comparison.cell(key), time) for key in ("gru", "lstm"))
    ratio = gru / lstm
    figures = f"{text.format(gru, lstm)}: {ratio:.2f} times as long"
    return _verdict(ratio < CLEAR_RATIO, ratio > 1 / CLEAR_RATIO), figures


def _is_more_accurate(comparison: CellComparison, key: str, other: str) -> tuple[str, str]:
    gain, interval = comparison.difference(key, other)
    figures = f"{LOOKS[key][0]} against {LOOKS[other][0]}: {_points(gain)} points"
    if interval is None:
        return OPEN, f"{figures}; one group of clips gives no interval"
    low, high = interval
    figures += f" (95%: {_points(low)} to {_points(high)})"
    if not any(comparison.beats_guessing(one) for one in (key, other)):
        return OPEN, f"{figures}; neither is shown to be better than guessing"
    return _verdict(low > 0, high < 0), figures


def _points(share: float) -> str:
    """0.0125 -> +1.2; what rounds to nothing is 0.0, without a sign."""
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def _remember_longer(comparison: CellComparison) -> tuple[str, str]:
    results = [comparison.probed(key) for key in PROBED]
    words = [f"{LOOKS[result.cell][0]} {_solved_words(result)}" for result in results]
    rnn, *gated = (result.largest_solved or 0 for result in results)
    return _verdict(min(gated) > rnn), f"probe: {', '.join(words)}"


def _solved_words(result: ProbeResult) -> str:
    if result.largest_solved is None:
        return f"fails at {result.first_failed} steps already"
    end = ", the most that was tried" if result.first_failed is None else ""
    return f"{result.largest_solved} steps{end}"


def _carry_further(comparison: CellComparison, moment: str) -> tuple[str, str]:
    lag = comparison.probed("gru").trained_lag
    norms = [getattr(comparison.probed(key), moment)[lag] for key in PROBED]
    least = min(norms[1:]) / norms[0]
    words = (f"{LOOKS[key][0]} {norm:.1e}" for key, norm in zip(PROBED, norms, strict=True))
    figures = f"norm over {lag} steps: {', '.join(words)}"
    return _verdict(least > CLEAR_GRADIENT, least < 1), figures


# Claim, what checks it, and what that reads. A check returns the verdict and its figures.
CLAIMS: tuple[tuple[Any, ...], ...] = (
    ("A GRU has three quarters of an LSTM's parameters", _has_three_quarters),
    ("A GRU trains faster than an LSTM", _is_faster, "epoch_s",
     "an epoch takes {:.3g} s with a GRU, {:.3g} s with an LSTM"),
    ("A GRU's step is cheaper than an LSTM's", _is_faster, "step_ms",
     "{:.3g} ms to {:.3g} ms a frame"),
    ("A GRU is more accurate than a plain RNN", _is_more_accurate, "gru", "rnn"),
    ("An LSTM is more accurate than a plain RNN", _is_more_accurate, "lstm", "rnn"),
    ("A GRU is more accurate than an LSTM", _is_more_accurate, "gru", "lstm"),
    ("Order matters: a GRU is more accurate than averaging over time", _is_more_accurate,
     "gru", "none"),
    ("Reading backwards too helps", _is_more_accurate, "bigru", "gru"),
)  # fmt: skip
PROBE_CLAIMS: tuple[tuple[Any, ...], ...] = (
    ("Gated cells remember longer than a plain RNN", _remember_longer),
    ("Before training, gates carry the gradient further than a plain RNN", _carry_further,
     "gradient_before"),
    ("Once trained, gates carry the gradient further than a plain RNN", _carry_further,
     "gradient_after"),
)  # fmt: skip


def write_comparison(comparison: CellComparison, folder: Path) -> None:
    """cells.json, cells.png and cells.md, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / VALUES, json_text(comparison_json(comparison)).encode())
    save_figure(plot_comparison(comparison), folder / PLOT)
    replace_file(folder / TEXT, comparison_markdown(comparison).encode())


def summary(comparison: CellComparison) -> str:
    """A line a cell and a line a finding, for the terminal."""
    lines = []
    for cell in comparison.cells:
        name, score, parameters, *_, epoch, step = _cell_row(cell)
        lines.append(
            f"{name:<18} top-1 {score:<16} {parameters:>9} parameters in the cell, {epoch} an "
            f"epoch, step {step}"
        )
    lines += [f"{one.verdict}: {one.claim} ({one.figures})" for one in findings(comparison)]
    return "\n".join(lines)


def comparison_markdown(comparison: CellComparison) -> str:
    settings, notes, probe_table = comparison.probe_settings, list(NOTES), []
    if comparison.closed_form:
        notes.append(CLOSED_FORM_NOTE)
    if settings is not None:
        notes.append(PROBE_NOTE.format(**asdict(settings)))
        rows = [
            [
                LOOKS[result.cell][0],
                *(percent(result.mean_accuracy(lag)) if lag in result.accuracy_by_seed else ""
                  for lag in settings.lags),
            ]
            for result in comparison.probe
        ]  # fmt: skip
        header = ["steps of noise", *map(str, settings.lags)]
        probe_table = ["## How far each cell remembers",
                       table(header, rows, align="l" + "r" * len(settings.lags))]  # fmt: skip
    if comparison.quarantined:
        notes.append(f"{len(comparison.quarantined)} clips could not be read: quarantine.csv.")
    sections = [
        "# Cells compared",
        f"{escape(comparison.data)}. Always the most frequent class: "
        f"{percent(comparison.majority)}.",
        table(CELL_HEADER, [_cell_row(cell) for cell in comparison.cells], align="lrrrrrrr"),
        f"![The figures of the tables]({PLOT})",
        "## What holds here",
        table(["the textbook says", "", "measured"], findings(comparison), align="lll"),
        *probe_table,
        "## How it was measured",
        bullets(notes),
    ]
    return "\n\n".join(sections) + "\n"


def _cell_row(cell: CellFigures) -> list[str]:
    """The texts of CELL_HEADER's columns."""
    top1, counts = cell.top1(), (cell.cell_parameters, cell.parameters)
    return [
        LOOKS[cell.key][0],
        percent(top1.mean) + (f" ± {100 * top1.spread:.1f}" if top1.spread else ""),
        *(f"{count:,}" for count in counts),
        *(f"{PARAMETER_BYTES * count:,}" for count in counts),
        f"{cell.epoch_s:.2f} s" if cell.epoch_s >= 1 else f"{1000 * cell.epoch_s:.0f} ms",
        "not live" if cell.step_ms is None else f"{cell.step_ms:.2f} ms",
    ]


def comparison_json(comparison: CellComparison) -> dict[str, object]:
    """Plain values for json.dumps."""
    settings = comparison.probe_settings
    return {
        "data": comparison.data,
        "folds": comparison.folds,
        "seeds": list(comparison.seeds),
        "majority": comparison.majority,
        "closed_form": comparison.closed_form,
        "cells": [
            {
                "cell": cell.key,
                "top1_mean": cell.top1().mean,
                "top1_spread": cell.top1().spread,
                "top1_by_seed": cell.right.mean(1).tolist(),
                "cell_parameters": cell.cell_parameters,
                "parameters": cell.parameters,
                "cell_bytes": PARAMETER_BYTES * cell.cell_parameters,
                "bytes": PARAMETER_BYTES * cell.parameters,
                "epoch_s": cell.epoch_s,
                "step_ms": cell.step_ms,
            }
            for cell in comparison.cells
        ],
        "findings": [finding._asdict() for finding in findings(comparison)],
        "probe_settings": None if settings is None else asdict(settings),
        "probe": [
            {**asdict(result), "largest_lag_solved": result.largest_solved}
            for result in comparison.probe
        ],
        "quarantined": sorted(comparison.quarantined),
    }


def plot_comparison(comparison: CellComparison) -> Figure:
    """Accuracy and cost of each cell; below them the probe, if it was run."""
    rows = 2 if comparison.probe else 1
    figure = new_figure(11.5, 3.0 * rows + 0.2)
    parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    _draw_data(parts[0], comparison)
    if comparison.probe:
        _draw_probe(parts[1], comparison)
    for axes in figure.axes:
        despine(axes)
        axes.tick_params(labelsize=8.5)
        axes.grid(color="#E8E8E8", linewidth=0.7)
        axes.set_axisbelow(True)
    return figure


def _draw_data(figure: Any, comparison: CellComparison) -> None:
    accuracy, *others = figure.subplots(1, 4, sharey=True, width_ratios=[1.6, 1, 1, 1])
    cells = comparison.cells[::-1]
    colours = [LOOKS[cell.key][1] for cell in cells]
    for row, (cell, colour) in enumerate(zip(cells, colours, strict=True)):
        scores = cell.right.mean(1)
        accuracy.plot(scores, np.full(len(scores), row), "o", color=colour, alpha=0.5, markersize=5)
        accuracy.plot([scores.mean()] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=2.5)
    accuracy.axvline(comparison.majority, color=GREY, linestyle=":", linewidth=1)
    accuracy.set_yticks(range(len(cells)), [LOOKS[cell.key][0] for cell in cells])
    accuracy.set_title("accuracy: a dot a seed, bar the mean", fontsize=9.5)
    accuracy.set_xlabel("top-1; dotted: the most frequent class", fontsize=8.5)
    columns = (
        ("parameters of the cell", "million", [cell.cell_parameters / 1e6 for cell in cells]),
        ("training", "ms an epoch", [1000 * cell.epoch_s for cell in cells]),
        ("live step, one stream", "ms; -: cannot run live", [cell.step_ms or 0 for cell in cells]),
    )
    for axes, (title, unit, values) in zip(others, columns, strict=True):
        bars = axes.barh(range(len(cells)), values, color=colours, height=0.65)
        texts = ["-" if not v else f"{v:.0f}" if v >= 100 else f"{v:.3g}" for v in values]
        axes.bar_label(bars, texts, padding=3, fontsize=8)
        axes.set_title(title, fontsize=9.5)
        axes.set_xlabel(unit, fontsize=8.5)
        axes.margins(x=0.3)


def _draw_probe(figure: Any, comparison: CellComparison) -> None:
    solved, before, after = panels = figure.subplots(1, 3)
    for result in comparison.probe:
        name, colour, marker = LOOKS[result.cell]
        means = {lag: result.mean_accuracy(lag) for lag in result.accuracy_by_seed}
        curves = (means, result.gradient_before, result.gradient_after)
        for axes, values in zip(panels, curves, strict=True):
            axes.plot(list(values), list(values.values()), label=name, color=colour,
                      marker=marker, markersize=5, linewidth=1.5)  # fmt: skip
    first = comparison.probe[0]
    titles = (
        "long-memory probe: right after k steps of noise",
        "gradient over k steps, untrained",
        f"gradient over k steps, trained at {first.trained_lag} steps",
    )
    for axes, title, level in zip(panels, titles, (SOLVED, 1, 1), strict=True):
        axes.set_title(title, fontsize=9.5)
        axes.axhline(level, color=GREY, linestyle=":", linewidth=1)
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(first.gradient_before))
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set_xlabel("steps k", fontsize=8.5)
    solved.set(ylim=(0, 1.05), ylabel="accuracy")
    solved.legend(frameon=False, fontsize=8.5, loc="lower left")
    for axes in (before, after):
        axes.set(yscale="log", ylim=(SMALLEST / 2, 30))
    before.set_ylabel("norm; 1: carried unchanged")
