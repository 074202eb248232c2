"""Draws an explanation: thumbnails, gates, memory, attention, scores and what hiding does, in time.

Below them the frames that mattered most, with the places that mattered. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from action_gru.core.graphics import class_colour
from action_gru.evaluation.explanation import (
    Explanation,
    FrameHeat,
    LayerCurves,
    StreamCurves,
    gate_name,
    memory_words,
    shown_gates,
)
from action_gru.report.plots import GREY, LINES, despine, edge_of, new_figure, short_names
from action_gru.video import Image

COLOURS = (*LINES, "#000000")  # of gates, views and layers
STYLES = ("-", "--", ":")
WIDTH_IN, LEFT_IN, PANEL_IN = 11.0, 0.75, 7.5  # beside the panels stand their legends
ROW_IN, GAP_IN, TITLE_IN, FOOT_IN = 1.15, 0.16, 0.62, 0.35
MOST_THUMB_IN = 1.1
SHOWN_CLASSES = 4
MARK = 0.03  # of the width of a panel: the mark of a moment
FOR, AGAINST = "#D55E00", "#0072B2"  # vermilion and blue: Okabe and Ito 2008
STRONGEST = 0.75  # of the colour where the heat is largest
HEAT_HEAD_IN, HEAT_NAME_IN, HEAT_GAP_IN = 0.5, 0.24, 0.1
MOST_WIDE_IN, MOST_HIGH_IN = 3.2, 2.2

Draw = Callable[[Any, Explanation], None]


def plot_explanation(explanation: Explanation) -> Figure:
    """One figure, about 11 inches wide; its height depends on streams, views and frames."""
    rows = _rows(explanation)
    heats_in = _heats_in(explanation)
    top = heats_in + FOOT_IN + sum(height + GAP_IN for height, _ in rows)
    figure = new_figure(WIDTH_IN, top + TITLE_IN, is_laid_out=False)
    for index, (height, draw) in enumerate(rows):
        axes = _add_axes(figure, LEFT_IN, top - height, PANEL_IN, height)
        draw(axes, explanation)
        _finish(axes, explanation, last=index == len(rows) - 1, pictures=index == 0)
        top -= height + GAP_IN
    _title(figure, explanation)
    if explanation.heats:
        _draw_heats(figure, explanation, heats_in)
    return figure


def _rows(explanation: Explanation) -> list[tuple[float, Draw]]:
    """(height in inches, what draws it), from the top."""
    layers = [(s, layer) for s in explanation.streams for layer in explanation.last_layers(s)]
    rows: list[tuple[float, Draw]] = [(_thumb_size(explanation)[1], _draw_thumbnails)]
    rows += [(ROW_IN, partial(_draw_gates, stream=s, layer=layer)) for s, layer in layers]
    if any(layer.memory for _, layer in layers):
        rows.append((ROW_IN, _draw_reach))
    if explanation.pooling == "attention":
        rows.append((ROW_IN, _draw_attention))
    return [*rows, (1.3 * ROW_IN, _draw_scores), (1.2 * ROW_IN, _draw_falls)]


def _add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Any:
    """Axes at a place in inches."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / high, width / wide, height / high))


def _title(figure: Figure, explanation: Explanation) -> None:
    name = short_names([PurePath(explanation.video).name])[0]
    cell = "no cell" if explanation.cell == "none" else explanation.cell.upper()
    both_ways = any(layer.backwards for stream in explanation.streams for layer in stream.layers)
    cell = f"bidirectional {cell}" if both_ways else cell
    layers = f", layer {explanation.num_layers} of {explanation.num_layers}"
    below = f"{cell}{layers if explanation.num_layers > 1 else ''}, pooling: {explanation.pooling}"
    if explanation.linear is not None:
        share, answer = explanation.linear
        number = explanation.classes.index(explanation.label)
        below += (
            f"; beside it a closed-form classifier, share {share:.2f}, "
            f"alone {explanation.label} {answer[number]:.2f}"
        )
    first, high = f"{name}: {explanation.told}", figure.get_size_inches()[1]
    figure.text(0.01, 1 - 0.22 / high, first, fontsize=12, weight="bold", parse_math=False)
    figure.text(0.01, 1 - 0.44 / high, below, fontsize=9, color=GREY, parse_math=False)


def _span(explanation: Explanation) -> tuple[float, float, float]:
    """First and last instant, and the room of a thumbnail, seconds."""
    times_s = [time_s for time_s, _ in explanation.thumbnails]
    room = float(np.diff(times_s).min()) if len(times_s) > 1 else 1 / explanation.fps
    return float(explanation.times_s[0]), float(explanation.times_s[-1]), room


def _thumb_size(explanation: Explanation) -> tuple[float, float]:
    """Width and height of a thumbnail, inches."""
    first, last, room = _span(explanation)
    share = room / (last - first + room)
    width = PANEL_IN * min(0.96 * share, 0.25)
    ratio = explanation.thumbnails[0][1].shape[0] / explanation.thumbnails[0][1].shape[1]
    shrink = min(1.0, MOST_THUMB_IN / (width * ratio))
    return width * shrink, width * ratio * shrink


def _draw_thumbnails(axes: Any, explanation: Explanation) -> None:
    first, last, room = _span(explanation)
    per_inch = (last - first + room) / PANEL_IN
    half = 0.5 * per_inch * _thumb_size(explanation)[0]
    for time_s, image in explanation.thumbnails:
        axes.imshow(image, extent=(time_s - half, time_s + half, 0, 1), aspect="auto")
    axes.set(ylim=(0, 1), yticks=[])


def _draw_gates(
    axes: Any, explanation: Explanation, stream: StreamCurves, layer: LayerCurves
) -> None:
    names = shown_gates(explanation.cell)
    for name, colour, style in zip(names, COLOURS, STYLES, strict=False):
        curve = layer.curves[name]
        label = f"{gate_name(name)}, mean {curve.mean():.2f}"
        _line(axes, explanation, curve, colour, style, label)
    # The first gate is the one that keeps; three bands would hide each other.
    band = layer.spread[names[0]]
    axes.fill_between(explanation.times_s, *band, color=COLOURS[0], alpha=0.13, linewidth=0)
    axes.set(ylim=(0, 1), ylabel="mean |h|" if names == ("hidden",) else "mean gate")
    note = f"{memory_words(explanation, layer)}\nband: four fifths of its units"
    _legend(axes, f"{stream.name} {layer.direction}".strip(), note)


def _draw_reach(axes: Any, explanation: Explanation) -> None:
    for index, stream in enumerate(explanation.streams):
        for layer in explanation.last_layers(stream):
            assert layer.memory is not None
            reach = np.array(layer.memory.reach_frames) / explanation.fps
            style = (0, (4, 1, 1, 1)) if layer.backwards else STYLES[index % 3]
            label = f"{layer.direction}{stream.name}"
            _line(axes, explanation, reach, _colour(index), style, label)
            cut = ~np.array(layer.memory.faded)
            axes.plot(
                explanation.times_s[cut], reach[cut], "o", color="white", markersize=4,
                markeredgecolor=_colour(index),
            )  # fmt: skip
    axes.set(ylabel="reach (s)")
    axes.set_ylim(bottom=0)
    _legend(
        axes, "how far back the state reaches", "carried share above 1/e\no: as far as the clip"
    )


def _draw_attention(axes: Any, explanation: Explanation) -> None:
    for index, stream in enumerate(explanation.streams):
        assert stream.attention is not None
        style = STYLES[index % 3]
        _line(axes, explanation, stream.attention, _colour(index), style, stream.name)
    even = np.concatenate(
        [np.full(high - low, 1 / (high - low)) for low, high in explanation.windows]
    )
    _line(axes, explanation, even, GREY, (0, (1, 4)), "even")
    axes.set(ylabel="weight")
    axes.set_ylim(bottom=0)
    _legend(axes, "attention of the pooling")


def _draw_scores(axes: Any, explanation: Explanation) -> None:
    axes.set(ylim=(0, 1.03), ylabel="score")
    if explanation.scores is None:
        text = "this model reads backwards too:\nit has no answer before the end of the clip"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
        return
    peaks = explanation.scores.max(0)
    number = explanation.classes.index(explanation.label)
    peaks[number] = np.inf  # the explained class always has its line
    shown = np.argsort(-peaks, kind="stable")[:SHOWN_CLASSES]
    names = short_names(explanation.classes)
    for index in map(int, reversed(shown)):
        style = "-" if index == number else "--"
        scores = explanation.scores[:, index]
        _line(axes, explanation, scores, class_colour(index), style, names[index])
    _legend(axes, "answer as it stood", reverse=True)


def _draw_falls(axes: Any, explanation: Explanation) -> None:
    times_s = explanation.times_s[list(explanation.middles)]
    step = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1 / explanation.fps
    change = -explanation.falls
    axes.bar(times_s, change[:, 0], width=0.85 * step, color="#BBBBBB", label="all views hidden")
    if len(explanation.views) > 1:
        for index, view in enumerate(explanation.views):
            style = STYLES[index % 3]
            axes.plot(times_s, change[:, 1 + index], style, color=_colour(index), lw=1.3,
                      label=f"{view} hidden")  # fmt: skip
    axes.axhline(0, color=GREY, linewidth=0.8)
    low, high = min(0.0, float(change.min())), max(0.0, float(change.max()))
    room = max(high - low, 0.01)  # less is nothing, and not blown up
    axes.set(ylim=(low - 0.28 * room, high + 0.08 * room), ylabel="log-odds")
    first, last, thumb_s = _span(explanation)
    best_s = [float(explanation.times_s[frame]) for frame in explanation.best]
    for rank, place_s in enumerate(apart(best_s, MARK * (last - first + thumb_s)), 1):
        axes.text(
            place_s, low - 0.14 * room, str(rank), ha="center", va="center", fontsize=9,
            weight="bold", bbox={"boxstyle": "circle,pad=0.2", "fc": "white", "lw": 0.8},
        )  # fmt: skip
    note = f"when {explanation.hidden_s:.2f} s around are hidden"
    _legend(axes, f"change for {short_names([explanation.label])[0]}", note)


def apart(places: Sequence[float], room: float) -> list[float]:
    """The places, those that are nearer to each other than room moved apart by as little as that
    takes.
    """
    order = sorted(range(len(places)), key=lambda number: places[number])
    groups: list[list[int]] = []
    middles: list[float] = []
    for number in order:
        group, middle = [number], places[number]
        while groups and middle - middles[-1] < room * (len(group) + len(groups[-1])) / 2:
            group = groups.pop() + group
            middles.pop()
            middle = sum(places[one] for one in group) / len(group)
        groups.append(group)
        middles.append(middle)
    moved = list(places)
    for group, middle in zip(groups, middles, strict=True):
        for rank, number in enumerate(group):
            moved[number] = middle + room * (rank - (len(group) - 1) / 2)
    return moved


def _colour(index: int) -> str:
    """Of the n-th view or stream; with STYLES fifteen of them are told apart."""
    return COLOURS[index % len(COLOURS)]


def _line(
    axes: Any, explanation: Explanation, values: Any, colour: str, style: Any, label: str
) -> None:
    """A curve over the frames, with a break where the model starts a new window."""
    for low, high in explanation.windows:
        marker = "o" if high - low == 1 else None
        axes.plot(
            explanation.times_s[low:high], values[low:high], linestyle=style, color=colour,
            linewidth=1.5, marker=marker, markersize=4, label=None if low else label,
            path_effects=edge_of(colour),
        )  # fmt: skip


def _legend(axes: Any, title: str, note: str = "", reverse: bool = False) -> None:
    """Beside the panel, so that it never hides a curve."""
    legend = axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.06), frameon=False, fontsize=8.5, title=title,
        title_fontproperties={"size": 9, "weight": "bold"}, alignment="left", borderaxespad=0.2,
        handlelength=1.8, labelspacing=0.25, reverse=reverse,
    )  # fmt: skip
    for text in [*legend.get_texts(), legend.get_title()]:
        text.set_parse_math(False)
    if note:
        axes.text(1.02, 0.0, note, transform=axes.transAxes, fontsize=8.5, va="bottom", color=GREY)


def _finish(axes: Any, explanation: Explanation, last: bool, pictures: bool) -> None:
    first_s, last_s, room = _span(explanation)
    axes.set_xlim(first_s - room / 2, last_s + room / 2)
    despine(axes)
    axes.tick_params(labelbottom=last, labelsize=8.5)
    axes.yaxis.label.set_fontsize(8.5)
    if pictures:
        axes.spines[:].set_visible(False)
        axes.set_xticks([])
        return
    axes.grid(color="#E8E8E8", linewidth=0.7)
    axes.set_axisbelow(True)
    for low, _ in explanation.windows[1:]:
        border = (explanation.times_s[low - 1] + explanation.times_s[low]) / 2
        axes.axvline(border, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    if last:
        afresh = "; dotted: here the model starts afresh (a new window)"
        note = afresh if len(explanation.windows) > 1 else ""
        axes.set_xlabel(f"time (s){note}", fontsize=9)


def _heats_in(explanation: Explanation) -> float:
    """The height that the heat pictures need, inches; 0 when there are none."""
    if not explanation.heats:
        return 0.0
    row_in = _heat_size(explanation)[1] + HEAT_NAME_IN + HEAT_GAP_IN
    return HEAT_HEAD_IN + len(explanation.picture_views) * row_in


def _draw_heats(figure: Figure, explanation: Explanation, height_in: float) -> None:
    """A row a view, a column a frame in the order of time, in the lowest height_in of a figure."""
    wide, high = _heat_size(explanation)
    text = (
        "where in these frames: hiding an orange place makes the class less likely, a blue one "
        "more. Each has its own scale; in brackets the largest change of the log-odds"
    )
    whole_in = figure.get_size_inches()[1]
    figure.text(0.01, (height_in - 0.24) / whole_in, text, fontsize=9, color=GREY)
    frames = sorted(explanation.best)
    row_in, column_in = high + HEAT_NAME_IN + HEAT_GAP_IN, wide + HEAT_GAP_IN
    for heat in explanation.heats:
        row, column = explanation.picture_views.index(heat.view), frames.index(heat.frame)
        bottom = height_in - HEAT_HEAD_IN - (row + 1) * row_in + HEAT_GAP_IN
        axes = _add_axes(figure, LEFT_IN + column * column_in, bottom, wide, high)
        axes.imshow(_blended(heat), aspect="auto")
        axes.set(xticks=[], yticks=[])
        name = _heat_name(explanation, heat)
        axes.set_title(name, fontsize=8.5, loc="left", pad=3, parse_math=False)


def _heat_size(explanation: Explanation) -> tuple[float, float]:
    """Width and height of one picture, inches."""
    height, width = explanation.heats[0].image.shape[:2]
    columns = max(3, len(explanation.best))
    wide = min(MOST_WIDE_IN, (WIDTH_IN - LEFT_IN - 0.2) / columns - HEAT_GAP_IN)
    shrink = min(1.0, MOST_HIGH_IN / (wide * height / width))
    return wide * shrink, wide * shrink * height / width


def _heat_name(explanation: Explanation, heat: FrameHeat) -> str:
    rank = explanation.best.index(heat.frame) + 1
    largest = float(heat.heat.flat[np.abs(heat.heat).argmax()])
    change = f"{-largest:+.3f}" if abs(largest) >= 0.0005 else "no change"
    return f"{rank}: {explanation.times_s[heat.frame]:.2f} s, {heat.view} ({change})"


def _blended(heat: FrameHeat) -> Image:
    """The frame in grey with the heat over it, (H, W, 3) uint8 RGB."""
    grey = heat.image.mean(-1, keepdims=True)
    strength = heat.laid[..., None] / max(float(np.abs(heat.laid).max()), 1e-12)
    speaks_for, against = 255 * np.array(to_rgb(FOR)), 255 * np.array(to_rgb(AGAINST))
    colour = np.where(strength > 0, speaks_for, against)
    opaque = STRONGEST * np.abs(strength)
    return np.asarray(((1 - opaque) * grey + opaque * colour).round(), dtype=np.uint8)
