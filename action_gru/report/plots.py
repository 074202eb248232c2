"""Draws metrics and training curves; helpers that all plots share. Knows no models, no reports.

Figures are made without pyplot, so nothing global is touched and threads may draw.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from action_gru.core.graphics import (
    NIGHT,
    OKABE_ITO,
    WHITE,
    class_colours,
    contrast,
    families,
    no_raw_warnings,
    set_fonts,
)
from action_gru.report.files import replace_file
from action_gru.report.metrics import (
    CalibrationBin,
    ClassMetrics,
    IntArray,
    expected_calibration_error,
)

DPI = 130
NAME_LENGTH = 28
CELL_TEXT_CLASSES = 30  # more classes than this: colours only
MOST_CLASSES = 150  # more than this: those that matter most, so that names can be read

BLUE, ORANGE, GREEN, *_ = OKABE_ITO  # where what is drawn is no class
GREY = "#666666"
LINES = OKABE_ITO[:4]
FAINT = 2.0  # a line with less contrast to its background, yellow on white, needs an edge


class Theme(NamedTuple):
    """The colours that a chart stands on."""

    background: str
    text: str
    muted: str  # of less important text and edges
    grid: str
    lane: str  # under bars


LIGHT = Theme(WHITE, "black", GREY, "#E5E5E5", "#F5F5F5")
DARK = Theme(NIGHT, "#E5E7EB", "#9CA3AF", "#374151", "#1F2937")

# Panel -> how the keys of its curves end.
PANELS = {"loss": ("loss",), "accuracy": ("accuracy",), "learning rate": ("lr", "learning_rate")}


def new_figure(width_in: float, height_in: float, is_laid_out: bool = True) -> Figure:
    """An empty figure, by default one that lays itself out."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained" if is_laid_out else None)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, atomically."""
    buffer = io.BytesIO()
    set_fonts(figure)
    with no_raw_warnings():
        figure.savefig(buffer, format="png", dpi=DPI, facecolor=figure.get_facecolor())
    replace_file(path, buffer.getvalue())


def despine(axes: Any) -> None:
    """No frame above and at the right, short ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2)


def add_legend(figure: Figure, axes: Any, columns: int) -> None:
    """A legend of one panel's labels below all panels; none without labels."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
        )


def part_title(shown: int, of: int, which: str) -> str:
    """'the 150 most confused of 400 classes'; '' where all are shown."""
    return f"the {shown} {which} of {of} classes" if shown < of else ""


def cut_middle(text: str, length: int) -> str:
    """At most `length` letters, an ellipsis in place of the middle."""
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[: length - 1 - half].rstrip()}…{text[-half:].lstrip()}"


def short_names(labels: Sequence[str]) -> list[str]:
    """One line each, long ones cut in the middle; those that then look alike get a number."""
    names = [cut_middle(" ".join(label.split()), NAME_LENGTH) for label in labels]
    seen = Counter(names)
    return [f"{number}: {name}" if seen[name] > 1 else name for number, name in enumerate(names, 1)]


def text_width_in(texts: Sequence[str], font_size: float) -> float:
    """The widest text, in inches."""
    renderer = FigureCanvasAgg(Figure(dpi=DPI)).get_renderer()

    def width(text: str) -> float:
        font = FontProperties(family=families(text), size=font_size)
        return float(renderer.get_text_width_height_descent(text, font, False)[0])

    with no_raw_warnings():
        return max(map(width, texts)) / DPI


def edge_of(colour: str, theme: Theme = LIGHT) -> list[Any]:
    """matplotlib's path effects of a thin line: an edge where its colour would be lost."""
    if contrast(colour, theme.background) >= FAINT:
        return []
    return [withStroke(linewidth=2.1, foreground=theme.muted)]


def apply_theme(figure: Figure, theme: Theme) -> None:
    """Colour background, axes and black text; what is coloured stays. Call it last."""
    figure.set_facecolor(theme.background)
    for axes in figure.axes:
        axes.set_facecolor(theme.background)
        axes.spines[:].set_color(theme.text)
        axes.tick_params(colors=theme.text)
    for text in figure.findobj(Text):
        if text.get_color() == "black":
            text.set_color(theme.text)


def plot_confusion(confusion: IntArray, classes: Sequence[str]) -> Figure:
    """Counts as text, share of the true class as colour. confusion (C, C), rows are true.

    Of very many classes those that are most often taken for others, or others for them.
    """
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    wrong = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * confusion.diagonal()
    shown = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
    confusion, shares = confusion[np.ix_(shown, shown)], shares[np.ix_(shown, shown)]
    title = part_title(len(shown), len(classes), "most confused")
    count = len(shown)
    detailed = count <= CELL_TEXT_CLASSES
    cell_in, font_size = (max(0.42, 2.4 / count), 9.0) if detailed else (0.12, 5.5)
    names = short_names([classes[index] for index in shown])
    names_in = text_width_in(names, font_size)
    figure, axes, bar_axes = _square_axes(count * cell_in, names_in + 0.6, 0.4 if title else 0.2)
    axes.set_title(title, fontsize=10)
    # The square root lifts rare confusions: 4% takes a fifth of the colour range.
    image = axes.imshow(shares, cmap="cividis", norm=PowerNorm(0.5, vmin=0, vmax=1))
    rotation = 0 if names_in < 0.9 * cell_in else 90
    axes.set_xticks(range(count), names, rotation=rotation, fontsize=font_size, parse_math=False)
    axes.set_yticks(range(count), names, fontsize=font_size, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, cax=bar_axes, label="share of the true class")
    if detailed:
        _write_counts(axes, confusion, shares)
    return figure


def _square_axes(side_in: float, margin_in: float, top_in: float) -> tuple[Figure, Any, Any]:
    """Axes of an exact size with room at the left and below, and a colour bar at the right."""
    width_in, height_in = margin_in + side_in + 1.2, margin_in + side_in + top_in
    figure = new_figure(width_in, height_in, is_laid_out=False)
    left, bottom = margin_in / width_in, margin_in / height_in
    axes = figure.add_axes((left, bottom, side_in / width_in, side_in / height_in))
    bar_left = (margin_in + side_in + 0.15) / width_in
    bar_height = min(side_in, 4.0) / height_in
    return figure, axes, figure.add_axes((bar_left, bottom, 0.18 / width_in, bar_height))


def _write_counts(axes: Any, confusion: IntArray, shares: Any) -> None:
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            colour = "black" if shares[row, column] > 0.25 else "white"
            size = 9 if count < 1000 else 7
            axes.text(
                column, row, str(count), ha="center", va="center", color=colour, fontsize=size
            )


def plot_classes(per_class: Sequence[ClassMetrics]) -> Figure:
    """One bar a class, best on top, with the clips it rests on beside it.

    Of very many classes those that are least often right.
    """
    labels = [row.label for row in per_class]
    short = dict(zip(labels, short_names(labels), strict=True))
    colours = class_colours(labels)
    rows = sorted(per_class, key=lambda row: (row.recall is not None, row.recall or 0))
    if len(rows) > MOST_CLASSES:  # of a class without a clip there is nothing to see
        rows = [row for row in rows if row.support][:MOST_CLASSES]
    names = [short[row.label] for row in rows]
    row_in, font_size = (0.14, 6.5) if len(rows) > CELL_TEXT_CLASSES else (0.28, 9)
    width_in = 5.0 + text_width_in(names, font_size)
    figure = new_figure(width_in, 1.2 + row_in * max(4, len(rows)))
    axes = figure.subplots()
    recalls = [row.recall or 0.0 for row in rows]
    axes.barh(range(len(rows)), recalls, color=[colours[row.label] for row in rows], height=0.7)
    axes.set_yticks(range(len(rows)), names, fontsize=font_size, parse_math=False)
    for position, row in enumerate(rows):
        right = f"{round((row.recall or 0) * row.support)} of {row.support}"
        text = right if row.support else "no clip"
        axes.text(1.02, position, text, fontsize=font_size, va="center", color=GREY)
    mean = float(np.mean([row.recall for row in per_class if row.recall is not None]))
    axes.axvline(mean, color="black", linestyle="--")
    part = part_title(len(rows), len(per_class), "least often right")
    axes.set_title(f"mean over classes: {100 * mean:.1f}% (dashed)\n{part}".rstrip(), fontsize=10)
    axes.set(xlim=(0, 1), ylim=(-0.7, len(rows) - 0.3), xlabel="share of the class's clips right")
    despine(axes)
    return figure


def plot_reliability(
    bins: Sequence[CalibrationBin], before: Sequence[CalibrationBin] | None = None
) -> Figure:
    """How often answers of a given score are right, over how many there are.

    before: the bins of the scores as they were before calibration, drawn at the left.
    """
    columns = [("", bins)]
    if before is not None:
        columns = [("before calibration: ", before), ("after: ", bins)]
    figure = new_figure(0.8 + 4.2 * len(columns), 5.6)
    grid = figure.subplots(
        2, len(columns), height_ratios=[3, 1], sharex=True, sharey="row", squeeze=False
    )
    for (name, column), (above, below) in zip(columns, grid.T, strict=True):
        _draw_reliability(above, below, column)
        error = expected_calibration_error(column)
        above.set_title(f"{name}expected calibration error {error:.3f}", fontsize=10)
    add_legend(figure, grid[0, 0], 2)
    grid[0, 0].set_ylabel("share right")
    grid[1, 0].set_ylabel("clips")
    return figure


def _draw_reliability(above: Any, below: Any, bins: Sequence[CalibrationBin]) -> None:
    width = 1 / len(bins)
    middles = [(index + 0.5) * width for index in range(len(bins))]
    accuracies = [one.accuracy or 0.0 for one in bins]
    above.bar(middles, accuracies, width=0.92 * width, color=BLUE, label="accuracy in the bin")
    above.plot([0, 1], [0, 1], color=ORANGE, linestyle="--", label="perfectly calibrated")
    above.set(xlim=(0, 1), ylim=(0, 1))
    below.bar(middles, [one.clips for one in bins], width=0.92 * width, color=GREY)
    below.set(xlabel="score of the answer")
    below.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    for axes in (above, below):
        despine(axes)


def plot_training(history: Sequence[Mapping[str, float]]) -> Figure:
    """One panel each for loss, accuracy and learning rate, over epochs counted from 1.

    Each epoch is a mapping; the end of a key says which panel it belongs to
    (`train_loss`, `val_accuracy`, `lr`). A missing value leaves a gap.
    """
    keys = list(dict.fromkeys(key for epoch in history for key in epoch))
    panels = {
        panel: [key for key in keys if key.endswith(endings)] for panel, endings in PANELS.items()
    }
    shown = {panel: found for panel, found in panels.items() if found}
    figure = new_figure(4.2 * max(1, len(shown)), 3.4)
    all_axes = figure.subplots(1, max(1, len(shown)), squeeze=False)[0]
    for axes, (panel, found) in zip(all_axes, shown.items(), strict=False):
        _draw_curves(axes, history, found)
        axes.set(xlabel="epoch", title=panel, xlim=(0.5, len(history) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        despine(axes)
    return figure


def _draw_curves(axes: Any, history: Sequence[Mapping[str, float]], keys: Sequence[str]) -> None:
    epochs = range(1, len(history) + 1)
    marker = "o" if len(history) < 30 else None
    for key, colour in zip(keys, cycle(LINES), strict=False):
        values = [epoch.get(key, math.nan) for epoch in history]
        axes.plot(epochs, values, color=colour, marker=marker, markersize=3, label=key)
    if len(keys) > 1:
        axes.legend(frameon=False, fontsize=9)
