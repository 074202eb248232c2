"""Plots the scores and events of one video over time. Knows nothing of models or thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from action_gru.core.graphics import (
    UNKNOWN,
    class_colours,
    contrast,
    families,
    ink_on,
    no_raw_warnings,
    set_fonts,
)
from action_gru.core.text import clock_text
from action_gru.report import plots
from action_gru.report.statistics import FloatArray
from action_gru.timeline import Event, ScoreTrack, Timeline

SHOWN_SCORE = 0.25  # a class that never scores this, never wins and is no event, is left out
BESIDE = 16  # so many names fit beside the picture; more stand below it, in columns
NAME_HIGH_IN, NAME_MARGIN_IN, NAME_POINTS = 0.19, 0.6, 9
WIDTH_IN, SCORES_IN, ROW_IN = 11.0, 2.6, 0.42
MOST_TICKS = 10
MOST_PEOPLE = 24
TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)

Rows = dict[str, tuple[Event, ...]]


def plot_timeline(
    timeline: Timeline,
    reference: Sequence[Event] | None = None,
    *,
    dark: bool = False,
    legend: bool = True,
) -> Figure:
    """Scores over time above the events as bars, and above the reference if there is one.

    Each class has its colour, the same in all panels; those that win somewhere, become an event or
    score SHOWN_SCORE are named. A bar has its label where it fits. dark: for a dark page.
    """
    rows = {"events": timeline.events}
    if reference is not None:
        rows = {"found": timeline.events, "reference": tuple(reference)}
    return _plot(
        timeline, rows, _title(timeline), plots.DARK if dark else plots.LIGHT, legend, SCORES_IN
    )


def plot_people(timeline: Timeline) -> Figure:
    """What each person did, a row each; beyond MOST_PEOPLE those who did something longest."""
    did_s: dict[int, float] = {}
    for event in timeline.events:
        did_s[event.person or 0] = did_s.get(event.person or 0, 0.0) + event.duration_s
    chosen = sorted(sorted(did_s, key=lambda number: -did_s[number])[:MOST_PEOPLE])
    rows = {
        f"person {number}": tuple(e for e in timeline.events if (e.person or 0) == number)
        for number in chosen
    } or {"people": ()}
    left_out = len(did_s) - len(chosen)
    more = f", {left_out} people not shown" if left_out else ""
    return _plot(timeline, rows, _title(timeline) + more, plots.LIGHT)


def _plot(
    timeline: Timeline,
    rows: Rows,
    title: str,
    theme: plots.Theme,
    legend: bool = True,
    scores_in: float = 0.0,
) -> Figure:
    """Rows of bars; above them the scores, scores_in inches high, or none for 0."""
    events = [event for row in rows.values() for event in row]
    colours = shown_colours(timeline, events)
    rows_in = ROW_IN * len(rows)
    margin_in = 0.9 if scores_in else 1.3
    figure = _new_figure(scores_in + rows_in + margin_in, list(colours) if legend else [])
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, parse_math=False)
    if scores_in:
        scores, bars = figure.subplots(2, 1, sharex=True, height_ratios=[scores_in, rows_in])
        _draw_scores(scores, timeline, colours, theme)
    else:
        bars = figure.subplots()
    last_s = max(timeline.duration_s, 1e-3, *(e.end_s for e in (*timeline.events, *events)))
    _draw_bars(bars, rows, colours, last_s, theme)
    _mark_time(bars, last_s)
    for axes in figure.axes if not timeline.complete else ():
        axes.axvline(timeline.duration_s, color=theme.muted, linestyle=":", linewidth=1.2)
    if legend:
        _add_legend(figure, colours)
    plots.apply_theme(figure, theme)
    _write_labels(figure, bars, rows, colours)
    return figure


def shown_colours(timeline: Timeline, events: Iterable[Event]) -> dict[str, str]:
    """The classes that a timeline's picture names with their colours, the weightiest first.

    By how long they last, then by their highest score.
    """
    values = timeline.scores.values
    peaks = values.max(axis=0) if len(values) else np.zeros(len(timeline.classes))
    winners = {timeline.classes[index] for index in values.argmax(axis=1)} if len(values) else set()
    ranks = {label: (0.0, float(peak)) for label, peak in zip(timeline.classes, peaks, strict=True)}
    for event in events:
        lasts_s, peak = ranks.get(event.label, (0.0, 0.0))
        ranks[event.label] = (lasts_s + max(event.duration_s, 1e-3), peak)
    best = sorted(ranks, key=lambda label: ranks[label], reverse=True)
    worth = [
        label
        for label in best
        if label in winners or ranks[label][0] > 0 or ranks[label][1] >= SHOWN_SCORE
    ]
    colours = class_colours(timeline.classes)
    return {label: colours.get(label, UNKNOWN) for label in worth or best[:2]}


def _new_figure(height_in: float, names: Sequence[str]) -> Figure:
    """An empty one with room for the names below, where they do not stand beside."""
    lines = -(-len(names) // _columns(names)) if len(names) > BESIDE else 0
    return plots.new_figure(WIDTH_IN, height_in + NAME_HIGH_IN * lines)


def _columns(names: Sequence[str]) -> int:
    """How many of the names fit into a line below the picture; 1 beside it."""
    if len(names) <= BESIDE:
        return 1
    name_in = plots.text_width_in(plots.short_names(names), NAME_POINTS) + NAME_MARGIN_IN
    return max(1, int(WIDTH_IN / name_in))


def _title(timeline: Timeline) -> str:
    count = len(timeline.events)
    found = "no event" if not count else "1 event" if count == 1 else f"{count} events"
    ended = " in" if timeline.complete else ", stopped at"
    name = plots.short_names([PurePath(timeline.source).name])[0]
    title = f"{name}: {found}{ended} {clock_text(timeline.duration_s, 0)}"
    if timeline.restarts:
        title += (
            f", {timeline.restarts} restart{'s' * (timeline.restarts > 1)} after missing frames"
        )
    return title


def _draw_scores(
    axes: Any, timeline: Timeline, colours: dict[str, str], theme: plots.Theme
) -> None:
    track = timeline.scores
    times_s, values = _with_breaks(track)
    # The most important one last: on top.
    for label in reversed([label for label in colours if label in timeline.classes]):
        if len(values):
            curve = values[:, timeline.classes.index(label)]
            marker = "o" if len(times_s) == 1 else None
            axes.plot(
                times_s, curve, color=colours[label], linewidth=1.3, marker=marker,
                path_effects=plots.edge_of(colours[label], theme),
            )  # fmt: skip
    if not len(values):
        axes.text(0.5, 0.5, "no score", transform=axes.transAxes, ha="center", color=theme.muted)
    axes.set(ylim=(0, 1.03), ylabel="score")
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    plots.despine(axes)
    axes.tick_params(labelbottom=False)


def _with_breaks(track: ScoreTrack) -> tuple[FloatArray, FloatArray]:
    """(N,) times and (N, C) scores with a NaN before each gap, so that no line is drawn across.

    How far apart the instants lie says nothing: they jump whenever a younger state answers.
    """
    breaks = np.flatnonzero(track.begins)
    return np.insert(track.times_s, breaks, np.nan), np.insert(track.values, breaks, np.nan, axis=0)


def _draw_bars(
    axes: Any,
    rows: Rows,
    colours: dict[str, str],
    last_s: float,
    theme: plots.Theme,
) -> None:
    for position, events in enumerate(rows.values()):
        axes.axhspan(position - 0.4, position + 0.4, color=theme.lane, linewidth=0)
        drawn = [colours[event.label] for event in events]
        # An edge parts neighbours; its own colour keeps the shortest visible in hours.
        edges = [
            colour if event.duration_s <= last_s / 250 else _edge_colour(colour, theme)
            for event, colour in zip(events, drawn, strict=True)
        ]
        axes.barh(
            [position] * len(events),
            [event.duration_s for event in events],
            left=[event.start_s for event in events],
            height=0.8,
            color=drawn,
            edgecolor=edges,
            linewidth=0.7,
        )
        if not events:
            axes.text(
                0.5, position, "no event", transform=axes.get_yaxis_transform(), ha="center",
                va="center", color=theme.muted, fontsize=9,
            )  # fmt: skip
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel="time")
    plots.despine(axes)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _mark_time(axes: Any, last_s: float) -> None:
    step_s = next((step for step in TICKS_S if last_s <= step * MOST_TICKS), last_s / MOST_TICKS)
    decimals = 1 if step_s < 1 else 0
    axes.xaxis.set_major_locator(MultipleLocator(step_s))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time_s, _: clock_text(time_s, decimals)))
    axes.set_xlim(0, last_s)


def _edge_colour(colour: str, theme: plots.Theme) -> str:
    return theme.background if contrast(colour, theme.background) >= plots.FAINT else theme.muted


def _add_legend(figure: Figure, colours: dict[str, str]) -> None:
    handles = [
        Patch(color=colour, label=name)
        for name, colour in zip(plots.short_names(list(colours)), colours.values(), strict=True)
    ]
    legend = figure.legend(
        handles=handles,
        loc="outside right upper" if len(colours) <= BESIDE else "outside lower left",
        ncols=_columns(list(colours)), frameon=False, fontsize=NAME_POINTS, handlelength=1.0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _write_labels(figure: Figure, axes: Any, rows: Rows, colours: dict[str, str]) -> None:
    """Write each event's label into its bar, where there is room."""
    set_fonts(figure)
    with no_raw_warnings():
        figure.draw_without_rendering()  # the layout decides how wide a second is
    px_per_s = axes.bbox.width / axes.get_xlim()[1]
    for position, events in enumerate(rows.values()):
        for event in events:
            room_px = event.duration_s * px_per_s - 6
            if room_px < 8:
                continue
            text = axes.text(
                (event.start_s + event.end_s) / 2, position, plots.short_names([event.label])[0],
                ha="center", va="center_baseline", fontsize=8, color=ink_on(colours[event.label]),
                family=families(event.label), parse_math=False,
            )  # fmt: skip
            with no_raw_warnings():
                width_px = text.get_window_extent().width
            if width_px > room_px:
                text.remove()
