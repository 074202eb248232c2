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
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from action_gru.core import graphics
from action_gru.report import metrics
from action_gru.report.documents import html_page, json_text, replace_file
from action_gru.report.metrics import CalibrationBin, ClassMetrics, IntArray

DPI = 130
NAME_LENGTH = 28
MANY = 30  # more classes than this: smaller rows, and no counts in cells
MOST_CLASSES = 150  # more than this: those that matter most, so that names can be read

BLUE, ORANGE, GREEN, *_ = graphics.OKABE_ITO  # for what is no class
GREY = "#666666"
LINES = graphics.OKABE_ITO[:4]
FAINT = 2.0  # a line with less contrast to its background, yellow on white, needs an edge


GRID, LANE = "#E5E5E5", "#F5F5F5"  # LANE: under bars

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
    graphics.set_fonts(figure)
    with graphics.no_raw_warnings():
        figure.savefig(buffer, format="png", dpi=DPI, facecolor=figure.get_facecolor())
    replace_file(path, buffer.getvalue())


def write_documents(
    folder: Path,
    stem: str,
    values: Mapping[str, object],
    text: str,
    figures: Mapping[str, Figure],
    html_title: str = "",
) -> Path:
    """Write NAME.png of each figure, STEM.md, STEM.html if it has a title, and STEM.json, each
    atomically. Returns the path of the JSON.
    """
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png")
    replace_file(folder / f"{stem}.md", text.encode())
    if html_title:
        replace_file(folder / f"{stem}.html", html_page(text, html_title, folder).encode())
    replace_file(folder / f"{stem}.json", json_text(values).encode())
    return folder / f"{stem}.json"


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


def name_rows(axes: Any, names: Sequence[str], font_size: float) -> None:
    """Name the rows of a panel, the first at the bottom."""
    axes.set_yticks(range(len(names)), names, fontsize=font_size, parse_math=False)
    axes.set_ylim(-0.7, len(names) - 0.3)


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
        font = FontProperties(family=graphics.families(text), size=font_size)
        return float(renderer.get_text_width_height_descent(text, font, False)[0])

    with graphics.no_raw_warnings():
        return max(map(width, texts)) / DPI


def edge_colour(colour: str) -> str:
    """The background's, or a muted one where the colour would be lost on the background."""
    return graphics.WHITE if graphics.contrast(colour, graphics.WHITE) >= FAINT else GREY


def edge_of(colour: str) -> list[Any]:
    """matplotlib's path effects of a thin line: an edge where its colour would be lost."""
    edge = edge_colour(colour)
    return [] if edge == graphics.WHITE else [withStroke(linewidth=2.1, foreground=edge)]


def plot_confusion(confusion: IntArray, classes: Sequence[str]) -> Figure:
    """Counts as text, share of the true class as colour. confusion (C, C), rows are true.

    Of very many classes those that are most often taken for others, or others for them.
    """
    wrong = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * confusion.diagonal()
    shown = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    confusion, shares = confusion[np.ix_(shown, shown)], shares[np.ix_(shown, shown)]
    count = len(shown)
    cell_in, font_size = (max(0.42, 2.4 / count), 9.0) if count <= MANY else (0.12, 5.5)
    names = short_names([classes[index] for index in shown])
    names_in = text_width_in(names, font_size)
    title = part_title(count, len(classes), "most confused")
    rotation = 0 if names_in < 0.9 * cell_in else 90
    below_in, top_in = 0.6 + (names_in if rotation else 0.1), 0.4 if title else 0.2
    figure, axes, bar_axes = _square_axes(count * cell_in, names_in + 0.6, below_in, top_in)
    axes.set_title(title, fontsize=10)
    # The square root lifts rare confusions: 4% takes a fifth of the colour range.
    image = axes.imshow(shares, cmap="cividis", norm=PowerNorm(0.5, vmin=0, vmax=1))
    axes.set_xticks(range(count), names, rotation=rotation, fontsize=font_size, parse_math=False)
    axes.set_yticks(range(count), names, fontsize=font_size, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, cax=bar_axes, label="share of the true class")
    for row, column in np.argwhere(confusion) if count <= MANY else ():
        colour = "black" if shares[row, column] > 0.25 else "white"
        size = 9 if confusion[row, column] < 1000 else 7
        text = str(confusion[row, column])
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    return figure


def _square_axes(
    side_in: float, left_in: float, below_in: float, top_in: float
) -> tuple[Figure, Any, Any]:
    """Axes of an exact size with room at the left and below, and a colour bar at the right."""
    wide, high = left_in + side_in + 1.2, below_in + side_in + top_in
    left, bottom = left_in / wide, below_in / high
    figure = new_figure(wide, high, is_laid_out=False)
    bar = ((left_in + side_in + 0.15) / wide, bottom, 0.18 / wide, min(side_in, 4.0) / high)
    axes = figure.add_axes((left, bottom, side_in / wide, side_in / high))
    return figure, axes, figure.add_axes(bar)


def plot_classes(per_class: Sequence[ClassMetrics]) -> Figure:
    """One bar a class, best on top, with the clips it rests on beside it.

    Of very many classes those that are least often right.
    """
    labels = [row.label for row in per_class]
    short = dict(zip(labels, short_names(labels), strict=True))
    colours = graphics.class_colours(labels)
    rows = sorted(per_class, key=lambda row: (row.recall is not None, row.recall or 0))
    if len(rows) > MOST_CLASSES:  # of a class without a clip there is nothing to see
        rows = [row for row in rows if row.support][:MOST_CLASSES]
    names = [short[row.label] for row in rows]
    row_in, font_size = (0.14, 6.5) if len(rows) > MANY else (0.28, 9)
    figure = new_figure(5.0 + text_width_in(names, font_size), 1.2 + row_in * max(4, len(rows)))
    axes = figure.subplots()
    recalls = [row.recall or 0.0 for row in rows]
    axes.barh(range(len(rows)), recalls, color=[colours[row.label] for row in rows], height=0.7)
    for position, (row, recall) in enumerate(zip(rows, recalls, strict=True)):
        right = f"{round(recall * row.support)} of {row.support}" if row.support else "no clip"
        axes.text(1.02, position, right, fontsize=font_size, va="center", color=GREY)
    mean = metrics.mean_class_accuracy(per_class)
    axes.axvline(mean, color="black", linestyle="--")
    part = part_title(len(rows), len(per_class), "least often right")
    axes.set_title(f"mean over classes: {100 * mean:.1f}% (dashed)\n{part}".rstrip(), fontsize=10)
    axes.set(xlim=(0, 1), xlabel="share of the class's clips right")
    name_rows(axes, names, font_size)
    despine(axes)
    return figure


def plot_reliability(
    bins: Sequence[CalibrationBin], before: Sequence[CalibrationBin] | None = None
) -> Figure:
    """How often answers of a given score are right, over how many there are.

    before: the bins of the scores as they were before calibration, drawn at the left.
    """
    columns = {"": bins} if before is None else {"before calibration: ": before, "after: ": bins}
    figure = new_figure(0.8 + 4.2 * len(columns), 5.6)
    grid = figure.subplots(
        2, len(columns), height_ratios=[3, 1], sharex=True, sharey="row", squeeze=False
    )
    middles, width = (np.arange(len(bins)) + 0.5) / len(bins), 0.92 / len(bins)
    for (name, column), (above, below) in zip(columns.items(), grid.T, strict=True):
        accuracies = [one.accuracy or 0.0 for one in column]
        above.bar(middles, accuracies, width=width, color=BLUE, label="accuracy in the bin")
        above.plot([0, 1], [0, 1], color=ORANGE, linestyle="--", label="perfectly calibrated")
        above.set(xlim=(0, 1), ylim=(0, 1))
        error = metrics.expected_calibration_error(column)
        above.set_title(f"{name}expected calibration error {error:.3f}", fontsize=10)
        below.bar(middles, [one.clips for one in column], width=width, color=GREY)
        below.set(xlabel="score of the answer")
        below.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    for axes in grid.flat:
        despine(axes)
    add_legend(figure, grid[0, 0], 2)
    grid[0, 0].set_ylabel("share right")
    grid[1, 0].set_ylabel("clips")
    return figure


def plot_training(history: Sequence[Mapping[str, float]]) -> Figure:
    """One panel each for loss, accuracy and learning rate, over epochs counted from 1.

    Each epoch is a mapping; the end of a key says which panel it belongs to
    (`train_loss`, `val_accuracy`, `lr`). A missing value leaves a gap.
    """
    keys = list(dict.fromkeys(key for epoch in history for key in epoch))
    panels = {title: [k for k in keys if k.endswith(ends)] for title, ends in PANELS.items()}
    panels = {title: found for title, found in panels.items() if found}
    figure = new_figure(4.2 * max(1, len(panels)), 3.4)
    all_axes = figure.subplots(1, max(1, len(panels)), squeeze=False)[0]
    epochs, marker = range(1, len(history) + 1), "o" if len(history) < 30 else None
    for axes, (title, found) in zip(all_axes, panels.items(), strict=False):
        for key, colour in zip(found, cycle(LINES), strict=False):
            values = [epoch.get(key, math.nan) for epoch in history]
            axes.plot(epochs, values, color=colour, marker=marker, markersize=3, label=key)
        if len(found) > 1:
            axes.legend(frameon=False, fontsize=9)
        axes.set(xlabel="epoch", title=title, xlim=(0.5, len(history) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        despine(axes)
    return figure
