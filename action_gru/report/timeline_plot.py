"""Plots the scores and events of one video over time. Knows nothing of models or thresholds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from action_gru.core import graphics
from action_gru.core.text import clock_text, counted
from action_gru.report import plots
from action_gru.timeline import Event, Timeline

SHOWN_SCORE = 0.25  # a class that never scores this, never wins and is no event, is left out
BESIDE = 16  # names that fit beside the picture; more are below it, in columns
NAME_HIGH_IN, NAME_MARGIN_IN, NAME_POINTS = 0.19, 0.6, 9
WIDTH_IN, SCORES_IN, ROW_IN = 11.0, 2.6, 0.42
MOST_TICKS = 10
MOST_PEOPLE = 24
MOST_ROWS = 24  # classes whose events overlap; of more, those that last longest
TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)

Rows = Mapping[str, Sequence[Event]]
Colours = Mapping[str, str]


def plot_timeline(timeline: Timeline, reference: Sequence[Event] | None = None) -> Figure:
    """Scores over time above the events as bars, and above the reference if there is one.

    Where events overlap each class has a row of its own. Each has its colour, the same in all
    panels; those that win somewhere, become an event or score SHOWN_SCORE are named. A bar has its
    label where it fits.
    """
    rows: Rows = {"events": timeline.events}
    if reference is not None:
        rows = {"found": timeline.events, "reference": reference}
    if any(map(overlap, rows.values())):
        rows = _by_class(rows)
    return _plot(timeline, rows, _title(timeline), SCORES_IN)


def overlap(events: Sequence[Event]) -> bool:
    """Whether an event begins before another one ends."""
    ordered = sorted(events, key=lambda event: event.start_s)
    return any(later.start_s < event.end_s for event, later in pairwise(ordered))


def _by_class(rows: Rows) -> Rows:
    """A row for each class of each row, the one that lasts longest first."""
    lasts_s: dict[str, float] = defaultdict(float)
    for event in (event for row in rows.values() for event in row):
        lasts_s[event.label] += event.duration_s
    return {
        label if len(rows) == 1 else f"{label}, {name}": [e for e in row if e.label == label]
        for label in sorted(lasts_s, key=lambda label: -lasts_s[label])[:MOST_ROWS]
        for name, row in rows.items()
    }


def plot_people(timeline: Timeline) -> Figure:
    """The events of each person, a row each; of more than MOST_PEOPLE those active longest."""
    by_person: dict[int, list[Event]] = {}
    for event in timeline.events:
        by_person.setdefault(event.person or 0, []).append(event)
    longest = sorted(by_person, key=lambda n: -sum(e.duration_s for e in by_person[n]))
    chosen = sorted(longest[:MOST_PEOPLE])
    rows: Rows = {f"person {n}": by_person[n] for n in chosen} or {"people": ()}
    left_out = len(by_person) - len(chosen)
    more = f", {counted(left_out, 'person')} not shown" if left_out else ""
    return _plot(timeline, rows, _title(timeline) + more)


def _plot(timeline: Timeline, rows: Rows, title: str, scores_in: float = 0.0) -> Figure:
    """Rows of bars; above them the scores, scores_in inches high, or none for 0."""
    events = [event for row in rows.values() for event in row]
    colours = shown_colours(timeline, events)
    columns = _columns(list(colours))
    lines = -(-len(colours) // columns) if len(colours) > BESIDE else 0
    rows_in, margin_in = ROW_IN * len(rows), 0.9 if scores_in else 1.3
    figure = plots.new_figure(WIDTH_IN, scores_in + rows_in + margin_in + NAME_HIGH_IN * lines)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, parse_math=False)
    if scores_in:
        scores, bars = figure.subplots(2, 1, sharex=True, height_ratios=[scores_in, rows_in])
        _draw_scores(scores, timeline, colours)
    else:
        bars = figure.subplots()
    last_s = max(timeline.duration_s, 1e-3, *(e.end_s for e in (*timeline.events, *events)))
    _draw_bars(bars, rows, colours, last_s)
    _mark_time(bars, last_s)
    for axes in figure.axes if not timeline.complete else ():
        axes.axvline(timeline.duration_s, color=plots.GREY, linestyle=":", linewidth=1.2)
    _add_legend(figure, colours, columns)
    _write_labels(figure, bars, rows, colours)
    return figure


def shown_colours(timeline: Timeline, events: Iterable[Event]) -> dict[str, str]:
    """The classes that a timeline's picture names, with their colours.

    Ranked by how long they last, then by their highest score.
    """
    classes, values = timeline.classes, timeline.scores.values
    peaks = values.max(axis=0).tolist() if len(values) else [0.0] * len(classes)
    winners = {classes[index] for index in values.argmax(axis=1)} if len(values) else set()
    ranks = {label: (0.0, peak) for label, peak in zip(classes, peaks, strict=True)}
    for event in events:
        lasts_s, peak = ranks.get(event.label, (0.0, 0.0))
        ranks[event.label] = (lasts_s + max(event.duration_s, 1e-3), peak)
    best = sorted(ranks, key=lambda label: ranks[label], reverse=True)
    least = (0.0, SHOWN_SCORE)
    worth = [label for label in best if label in winners or ranks[label] >= least]
    colours = graphics.class_colours(classes)
    return {label: colours.get(label, graphics.UNKNOWN) for label in worth or best[:2]}


def _columns(names: Sequence[str]) -> int:
    """How many of the names fit into a line below the picture; 1 beside it."""
    if len(names) <= BESIDE:
        return 1
    name_in = plots.text_width_in(plots.short_names(names), NAME_POINTS) + NAME_MARGIN_IN
    return max(1, int(WIDTH_IN / name_in))


def _title(timeline: Timeline) -> str:
    count, restarts = len(timeline.events), timeline.restarts
    found = f"{count or 'no'} event{'s' * (count > 1)}"
    ended = " in" if timeline.complete else ", stopped at"
    name = plots.short_names([PurePath(timeline.source).name])[0]
    again = f", {restarts} restart{'s' * (restarts > 1)} after missing frames" if restarts else ""
    return f"{name}: {found}{ended} {clock_text(timeline.duration_s, 0)}{again}"


def _draw_scores(axes: Any, timeline: Timeline, colours: Colours) -> None:
    track = timeline.scores
    # A NaN before each gap, so that no line is drawn across. The distance of the instants shows
    # nothing: they jump whenever a younger state answers.
    breaks = np.flatnonzero(track.begins)
    times_s = np.insert(track.times_s, breaks, np.nan)
    values = np.insert(track.values, breaks, np.nan, axis=0)
    marker = "o" if len(times_s) == 1 else None
    # The most important one last: on top.
    for label in reversed([label for label in colours if label in timeline.classes]):
        if len(values):
            axes.plot(
                times_s, values[:, timeline.classes.index(label)], color=colours[label],
                linewidth=1.3, marker=marker, path_effects=plots.edge_of(colours[label]),
            )  # fmt: skip
    if not len(values):
        axes.text(0.5, 0.5, "no score", transform=axes.transAxes, ha="center", color=plots.GREY)
    axes.set(ylim=(0, 1.03), ylabel="score")
    axes.grid(axis="y", color=plots.GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    plots.despine(axes)
    axes.tick_params(labelbottom=False)


def _draw_bars(axes: Any, rows: Rows, colours: Colours, last_s: float) -> None:
    for position, events in enumerate(rows.values()):
        axes.axhspan(position - 0.4, position + 0.4, color=plots.LANE, linewidth=0)
        drawn, lasts_s = [colours[e.label] for e in events], [e.duration_s for e in events]
        # An edge parts neighbours; its own colour keeps the shortest visible in hours.
        edges = [
            colour if duration_s <= last_s / 250 else plots.edge_colour(colour)
            for colour, duration_s in zip(drawn, lasts_s, strict=True)
        ]
        axes.barh(
            [position] * len(events), lasts_s, left=[e.start_s for e in events], height=0.8,
            color=drawn, edgecolor=edges, linewidth=0.7,
        )  # fmt: skip
        if not events:
            axes.text(
                0.5, position, "no event", transform=axes.get_yaxis_transform(), ha="center",
                va="center", color=plots.GREY, fontsize=9,
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


def _add_legend(figure: Figure, colours: Colours, columns: int) -> None:
    names = plots.short_names(list(colours))
    legend = figure.legend(
        handles=[Patch(color=c, label=n) for n, c in zip(names, colours.values(), strict=True)],
        loc="outside right upper" if len(colours) <= BESIDE else "outside lower left",
        ncols=columns, frameon=False, fontsize=NAME_POINTS, handlelength=1.0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _write_labels(figure: Figure, axes: Any, rows: Rows, colours: Colours) -> None:
    """Write each event's label into its bar, where there is room."""
    graphics.set_fonts(figure)
    with graphics.no_raw_warnings():
        figure.draw_without_rendering()  # the layout decides how wide a second is
    px_per_s = axes.bbox.width / axes.get_xlim()[1]
    for position, events in enumerate(rows.values()):
        for event in events:
            room_px = event.duration_s * px_per_s - 6
            if room_px < 8:
                continue
            text = axes.text(
                (event.start_s + event.end_s) / 2, position, plots.short_names([event.label])[0],
                ha="center", va="center_baseline", fontsize=8, parse_math=False,
                color=graphics.ink_on(colours[event.label]), family=graphics.families(event.label),
            )  # fmt: skip
            with graphics.no_raw_warnings():
                width_px = text.get_window_extent().width
            if width_px > room_px:
                text.remove()
