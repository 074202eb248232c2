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
from action_gru.evaluation.curves import LayerCurves, StreamCurves
from action_gru.evaluation.explanation import Explanation, FrameHeat, gate_name
from action_gru.report.plots import GREY, LINES, despine, edge_of, new_figure, short_names
from action_gru.video import Image

COLOURS = (*LINES, "#000000")  # of gates, views and layers
STYLES = ("-", "--", ":")  # with COLOURS fifteen different looks
BACKWARDS = (0, (4, 1, 1, 1))
WIDTH_IN, LEFT_IN, PANEL_IN = 11.0, 0.75, 7.5  # legends are beside the panels
ROW_IN, GAP_IN, TITLE_IN, FOOT_IN = 1.15, 0.16, 0.62, 0.35
MOST_THUMB_IN = 1.1
SHOWN_CLASSES = 4
MARK = 0.03  # of the width of a panel: the mark of a moment
FOR, AGAINST = "#D55E00", "#0072B2"  # vermilion and blue: Okabe and Ito 2008
STRONGEST = 0.75  # of the colour where the heat is largest
HEAT_HEAD_IN, HEAT_NAME_IN, HEAT_GAP_IN = 0.5, 0.24, 0.1
MOST_WIDE_IN, MOST_HIGH_IN = 3.2, 2.2
HEAT_TEXT = (
    "where in these frames: hiding an orange place makes the class less likely, a blue one "
    "more. Each has its own scale; in brackets the largest change of the log-odds"
)


def plot_explanation(explanation: Explanation) -> Figure:
    """One figure, about 11 inches wide; its height depends on streams, views and frames."""
    return _Drawing(explanation).figure


class _Drawing:
    """One figure; widths and heights are in inches, times in seconds."""

    def __init__(self, explanation: Explanation) -> None:
        self.of = explanation
        thumbs_s = [time_s for time_s, _ in explanation.thumbnails]
        self.first_s, self.last_s = map(float, explanation.times_s[[0, -1]])
        # The width of one thumbnail: half of it is outside the first and the last instant.
        self.room_s = float(np.diff(thumbs_s).min()) if len(thumbs_s) > 1 else 1 / explanation.fps
        self.width_s = self.last_s - self.first_s + self.room_s
        share = min(0.96 * self.room_s / self.width_s, 0.25)
        self.thumb_in = _fitted(explanation.thumbnails[0][1], PANEL_IN * share, MOST_THUMB_IN)
        rows, heats_in = self._rows(), 0.0
        if explanation.heats:
            columns = max(3, len(explanation.best))
            wide = min(MOST_WIDE_IN, (WIDTH_IN - LEFT_IN - 0.2) / columns - HEAT_GAP_IN)
            self.heat_in = _fitted(explanation.heats[0].image, wide, MOST_HIGH_IN)
            self.heat_row_in = self.heat_in[1] + HEAT_NAME_IN + HEAT_GAP_IN
            heats_in = HEAT_HEAD_IN + len(explanation.picture_views) * self.heat_row_in
        top = heats_in + FOOT_IN + sum(height + GAP_IN for height, _ in rows)
        self.height_in = top + TITLE_IN
        self.figure = new_figure(WIDTH_IN, self.height_in, is_laid_out=False)
        for index, (height, draw) in enumerate(rows):
            axes = self._add_axes(LEFT_IN, top - height, PANEL_IN, height)
            draw(axes)
            self._finish(axes, last=index == len(rows) - 1, pictures=index == 0)
            top -= height + GAP_IN
        self._title()
        if explanation.heats:
            self._draw_heats(heats_in)

    def _rows(self) -> list[tuple[float, Callable[[Any], None]]]:
        """(height, what draws it), from the top."""
        layers = [(s, layer) for s in self.of.streams for layer in self.of.last_layers(s)]
        rows: list[tuple[float, Callable[[Any], None]]]
        rows = [(self.thumb_in[1], self._draw_thumbnails)]
        rows += [(ROW_IN, partial(self._draw_gates, stream=s, layer=one)) for s, one in layers]
        if any(layer.memory for _, layer in layers):
            rows.append((ROW_IN, self._draw_reach))
        if self.of.pooling == "attention":
            rows.append((ROW_IN, self._draw_attention))
        return [*rows, (1.3 * ROW_IN, self._draw_scores), (1.2 * ROW_IN, self._draw_falls)]

    def _add_axes(self, left: float, bottom: float, width: float, height: float) -> Any:
        wide, high = WIDTH_IN, self.height_in
        return self.figure.add_axes((left / wide, bottom / high, width / wide, height / high))

    def _title(self) -> None:
        of = self.of
        cell = "no cell" if of.cell == "none" else of.cell.upper()
        if any(layer.backwards for stream in of.streams for layer in stream.layers):
            cell = f"bidirectional {cell}"
        layers = f", layer {of.num_layers} of {of.num_layers}" if of.num_layers > 1 else ""
        below = f"{cell}{layers}, pooling: {of.pooling}"
        if of.linear is not None:
            share, answer = of.linear
            alone = f"{of.label} {answer[of.classes.index(of.label)]:.2f}"
            below += f"; beside it a closed-form classifier, share {share:.2f}, alone {alone}"
        title = f"{short_names([PurePath(of.video).name])[0]}: {of.headline}"
        self._text(title, self.height_in - 0.22, fontsize=12, weight="bold")
        self._text(below, self.height_in - 0.44, fontsize=9, color=GREY)

    def _text(self, text: str, bottom: float, **look: Any) -> None:
        self.figure.text(0.01, bottom / self.height_in, text, parse_math=False, **look)

    def _draw_thumbnails(self, axes: Any) -> None:
        half = 0.5 * self.thumb_in[0] * self.width_s / PANEL_IN
        for time_s, image in self.of.thumbnails:
            axes.imshow(image, extent=(time_s - half, time_s + half, 0, 1), aspect="auto")
        axes.set(ylim=(0, 1), yticks=[])

    def _draw_gates(self, axes: Any, stream: StreamCurves, layer: LayerCurves) -> None:
        names = self.of.shown_gates
        for name, colour, style in zip(names, COLOURS, STYLES, strict=False):
            curve = layer.curves[name]
            self._line(axes, curve, colour, style, f"{gate_name(name)}, mean {curve.mean():.2f}")
        # The first gate is the one that keeps; three bands would hide each other.
        band = layer.spread[names[0]]
        axes.fill_between(self.of.times_s, *band, color=COLOURS[0], alpha=0.13, linewidth=0)
        axes.set(ylim=(0, 1), ylabel="mean |h|" if names == ("hidden",) else "mean gate")
        note = f"{self.of.memory_words(layer.memory)}\nband: four fifths of its units"
        _legend(axes, f"{stream.name} {layer.direction}".strip(), note)

    def _draw_reach(self, axes: Any) -> None:
        for index, stream in enumerate(self.of.streams):
            for layer in self.of.last_layers(stream):
                assert layer.memory is not None
                reach = np.array(layer.memory.reach_frames) / self.of.fps
                colour, style = _look(index)
                style = BACKWARDS if layer.backwards else style
                self._line(axes, reach, colour, style, f"{layer.direction}{stream.name}")
                cut = ~np.array(layer.memory.faded)
                marks = {"color": "white", "markersize": 4, "markeredgecolor": colour}
                axes.plot(self.of.times_s[cut], reach[cut], "o", **marks)
        axes.set(ylabel="reach (s)")
        axes.set_ylim(bottom=0)
        note = "carried share above 1/e\no: as far as the clip"
        _legend(axes, "how far back the state reaches", note)

    def _draw_attention(self, axes: Any) -> None:
        for index, stream in enumerate(self.of.streams):
            self._line(axes, stream.attention, *_look(index), stream.name)
        lengths = [high - low for low, high in self.of.windows]
        self._line(axes, 1 / np.repeat(lengths, lengths), GREY, (0, (1, 4)), "even")
        axes.set(ylabel="weight")
        axes.set_ylim(bottom=0)
        _legend(axes, "attention of the pooling")

    def _draw_scores(self, axes: Any) -> None:
        axes.set(ylim=(0, 1.03), ylabel="score")
        if self.of.scores is None:
            text = "this model reads backwards too:\nit has no answer before the end of the clip"
            centre = {"ha": "center", "va": "center", "transform": axes.transAxes}
            axes.text(0.5, 0.5, text, color=GREY, **centre)
            return
        peaks = self.of.scores.max(0)
        number = self.of.classes.index(self.of.label)
        peaks[number] = np.inf  # the explained class always has its line
        names = short_names(self.of.classes)
        for index in np.argsort(-peaks, kind="stable")[:SHOWN_CLASSES][::-1].tolist():
            style = "-" if index == number else "--"
            scores = self.of.scores[:, index]
            self._line(axes, scores, class_colour(index), style, names[index])
        _legend(axes, "answer as it stood", reverse=True)

    def _draw_falls(self, axes: Any) -> None:
        of, change = self.of, -self.of.falls
        times_s = of.times_s[list(of.middles)]
        step = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1 / of.fps
        axes.bar(times_s, change[:, 0], 0.85 * step, color="#BBBBBB", label="all views hidden")
        for index, view in enumerate(of.views if len(of.views) > 1 else ()):
            colour, style = _look(index)
            axes.plot(times_s, change[:, 1 + index], style, color=colour, lw=1.3,
                      label=f"{view} hidden")  # fmt: skip
        axes.axhline(0, color=GREY, linewidth=0.8)
        low, high = min(0.0, float(change.min())), max(0.0, float(change.max()))
        room = max(high - low, 0.01)  # less is nothing, and not blown up
        axes.set(ylim=(low - 0.28 * room, high + 0.08 * room), ylabel="log-odds")
        best_s = [float(of.times_s[frame]) for frame in of.best]
        circle = {"boxstyle": "circle,pad=0.2", "fc": "white", "lw": 0.8}
        for rank, place_s in enumerate(apart(best_s, MARK * self.width_s), 1):
            axes.text(place_s, low - 0.14 * room, str(rank), ha="center", va="center", fontsize=9,
                      weight="bold", bbox=circle)  # fmt: skip
        note = f"when {of.hidden_s:.2f} s around are hidden"
        _legend(axes, f"change for {short_names([of.label])[0]}", note)

    def _line(self, axes: Any, values: Any, colour: str, style: Any, label: str) -> None:
        """A curve over the frames, with a break where the model starts a new window."""
        for low, high in self.of.windows:
            axes.plot(
                self.of.times_s[low:high], values[low:high], linestyle=style, color=colour,
                linewidth=1.5, marker="o" if high - low == 1 else None, markersize=4,
                label=None if low else label, path_effects=edge_of(colour),
            )  # fmt: skip

    def _finish(self, axes: Any, last: bool, pictures: bool) -> None:
        axes.set_xlim(self.first_s - self.room_s / 2, self.last_s + self.room_s / 2)
        despine(axes)
        axes.tick_params(labelbottom=last, labelsize=8.5)
        axes.yaxis.label.set_fontsize(8.5)
        if pictures:
            axes.spines[:].set_visible(False)
            axes.set_xticks([])
            return
        axes.grid(color="#E8E8E8", linewidth=0.7)
        axes.set_axisbelow(True)
        for low, _ in self.of.windows[1:]:
            border = self.of.times_s[low - 1 : low + 1].mean()
            axes.axvline(border, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
        if last:
            afresh = "; dotted: here the model starts afresh (a new window)"
            axes.set_xlabel(f"time (s){afresh * (len(self.of.windows) > 1)}", fontsize=9)

    def _draw_heats(self, height_in: float) -> None:
        """A row a view, a column a frame in the order of time, at the bottom of the figure."""
        self._text(HEAT_TEXT, height_in - 0.24, fontsize=9, color=GREY)
        frames = sorted(self.of.best)
        for heat in self.of.heats:
            row, column = self.of.picture_views.index(heat.view), frames.index(heat.frame)
            bottom = height_in - HEAT_HEAD_IN - (row + 1) * self.heat_row_in + HEAT_GAP_IN
            left = LEFT_IN + column * (self.heat_in[0] + HEAT_GAP_IN)
            axes = self._add_axes(left, bottom, *self.heat_in)
            axes.imshow(blended(heat), aspect="auto")
            axes.set(xticks=[], yticks=[])
            largest = float(heat.heat.flat[np.abs(heat.heat).argmax()])
            change = f"{-largest:+.3f}" if abs(largest) >= 0.0005 else "no change"
            rank, time_s = self.of.best.index(heat.frame) + 1, self.of.times_s[heat.frame]
            name = f"{rank}: {time_s:.2f} s, {heat.view} ({change})"
            axes.set_title(name, fontsize=8.5, loc="left", pad=3, parse_math=False)


def _fitted(image: Image, width: float, most_high: float) -> tuple[float, float]:
    """Width and height of an image that is no wider than width and no higher than most_high."""
    height = width * image.shape[0] / image.shape[1]
    shrink = min(1.0, most_high / height)
    return width * shrink, height * shrink


def _look(index: int) -> tuple[str, Any]:
    """Colour and line style of the n-th view or stream."""
    return COLOURS[index % len(COLOURS)], STYLES[index % len(STYLES)]


def _legend(axes: Any, title: str, note: str = "", reverse: bool = False) -> None:
    """Beside the panel, so that it never hides a curve."""
    legend = axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.06), frameon=False, fontsize=8.5, title=title,
        title_fontproperties={"size": 9, "weight": "bold"}, alignment="left", borderaxespad=0.2,
        handlelength=1.8, labelspacing=0.25, reverse=reverse,
    )  # fmt: skip
    for text in [*legend.get_texts(), legend.get_title()]:
        text.set_parse_math(False)
    axes.text(1.02, 0.0, note, transform=axes.transAxes, fontsize=8.5, va="bottom", color=GREY)


def apart(places: Sequence[float], room: float) -> list[float]:
    """Places moved until any two are `room` apart, with the least sum of squared moves.

    Isotonic regression by its max-min formula (Robertson, Wright and Dykstra 1988, section 1.4).
    """
    order = np.argsort(places, kind="stable")
    steps, moved = room * np.arange(len(places)), np.zeros(len(places))
    near, count = np.array(places)[order] - steps, len(places)
    for index in range(count):
        moved[order[index]] = steps[index] + max(
            min(near[first:last].mean() for last in range(index + 1, count + 1))
            for first in range(index + 1)
        )
    return [float(place) for place in moved]


def blended(heat: FrameHeat) -> Image:
    """The frame in grey with the heat over it, (H, W, 3) uint8 RGB."""
    grey = heat.image.mean(-1, keepdims=True)
    strength = heat.laid[..., None] / max(float(np.abs(heat.laid).max()), 1e-12)
    colour = np.where(strength > 0, *(255 * np.array(to_rgb(one)) for one in (FOR, AGAINST)))
    opaque = STRONGEST * np.abs(strength)
    return np.asarray(((1 - opaque) * grey + opaque * colour).round(), dtype=np.uint8)
