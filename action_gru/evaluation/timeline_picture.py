"""Draws what happens when in one video. Knows nothing of models or thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from action_gru.evaluation.metrics import FloatArray
from action_gru.evaluation.pictures import BLUE, GREEN, GREY, ORANGE, short_names
from action_gru.timeline import Event, ScoreTrack, Timeline

# Okabe and Ito 2008, without yellow, which a thin line on white hides.
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#D55E00", "#56B4E9", "#000000")
OTHER = "#BBBBBB"  # classes past the last colour
SHOWN_SCORE = 0.25  # a class that never scores this, nor becomes an event, is left out
WIDTH_IN, SCORES_IN, ROW_IN = 11.0, 2.6, 0.42
MOST_TICKS = 10
MOST_PEOPLE = 24
TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def timeline_picture(timeline: Timeline, reference: Sequence[Event] | None = None) -> Figure:
    """Scores over time above the events as bars, and above the reference if there is one.

    The classes that last longest or score highest have a colour, the same in all panels; a bar has
    its label where it fits.
    """
    rows = {"events": timeline.events}
    if reference is not None:
        rows = {"found": timeline.events, "reference": tuple(reference)}
    shown = _shown_classes(timeline, [event for row in rows.values() for event in row])
    colours = dict(zip(shown, COLOURS, strict=False))
    heights_in = [SCORES_IN, ROW_IN * len(rows)]
    figure = Figure(figsize=(WIDTH_IN, sum(heights_in) + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    scores, bars = figure.subplots(2, 1, sharex=True, height_ratios=heights_in)
    figure.suptitle(_title(timeline), x=0.01, ha="left", fontsize=10, parse_math=False)
    _draw_scores(scores, timeline, colours)
    last_s = max(timeline.duration_s, 1e-3, *(event.end_s for event in _events(rows)))
    _draw_bars(bars, rows, colours, last_s)
    _mark_time(bars, last_s)
    if not timeline.complete:
        for axes in (scores, bars):
            axes.axvline(timeline.duration_s, color=GREY, linestyle=":", linewidth=1.2)
    _add_legend(figure, colours, any(event.label not in colours for event in _events(rows)))
    _write_labels(figure, bars, rows, colours)
    return figure


def people_picture(timeline: Timeline) -> Figure:
    """What each person did, a row each; beyond MOST_PEOPLE those who did something longest."""
    did_s: dict[int, float] = {}
    for event in timeline.events:
        did_s[event.person or 0] = did_s.get(event.person or 0, 0.0) + event.duration_s
    chosen = sorted(sorted(did_s, key=lambda number: -did_s[number])[:MOST_PEOPLE])
    rows = {
        f"person {number}": tuple(e for e in timeline.events if (e.person or 0) == number)
        for number in chosen
    } or {"people": ()}
    colours = dict(zip(_shown_classes(timeline, _events(rows)), COLOURS, strict=False))
    figure = Figure(figsize=(WIDTH_IN, ROW_IN * len(rows) + 1.3), layout="constrained")
    FigureCanvasAgg(figure)
    bars = figure.subplots()
    left_out = len(did_s) - len(chosen)
    more = f", {left_out} people not shown" if left_out else ""
    figure.suptitle(_title(timeline) + more, x=0.01, ha="left", fontsize=10, parse_math=False)
    last_s = max(timeline.duration_s, 1e-3, *(event.end_s for event in timeline.events))
    _draw_bars(bars, rows, colours, last_s)
    _mark_time(bars, last_s)
    _add_legend(figure, colours, any(event.label not in colours for event in _events(rows)))
    _write_labels(figure, bars, rows, colours)
    return figure


def _events(rows: dict[str, tuple[Event, ...]]) -> list[Event]:
    return [event for row in rows.values() for event in row]


def _shown_classes(timeline: Timeline, events: Iterable[Event]) -> list[str]:
    """The classes worth a colour: by how long they last, then by their highest score."""
    values = timeline.scores.values
    peaks = values.max(axis=0) if len(values) else np.zeros(len(timeline.classes))
    ranks = {label: (0.0, float(peak)) for label, peak in zip(timeline.classes, peaks, strict=True)}
    for event in events:
        lasts_s, peak = ranks.get(event.label, (0.0, 0.0))
        ranks[event.label] = (lasts_s + max(event.duration_s, 1e-3), peak)
    best = sorted(ranks, key=lambda label: ranks[label], reverse=True)
    worth = [label for label in best if ranks[label][0] > 0 or ranks[label][1] >= SHOWN_SCORE]
    return (worth or best[:2])[: len(COLOURS)]


def _title(timeline: Timeline) -> str:
    count = len(timeline.events)
    found = "no event" if not count else "1 event" if count == 1 else f"{count} events"
    ended = " in" if timeline.complete else ", stopped at"
    name = short_names([PurePath(timeline.source).name])[0]
    title = f"{name}: {found}{ended} {_clock(timeline.duration_s)}"
    if timeline.restarts:
        title += (
            f", {timeline.restarts} restart{'s' * (timeline.restarts > 1)} after missing frames"
        )
    return title


def _draw_scores(axes: Any, timeline: Timeline, colours: dict[str, str]) -> None:
    track = timeline.scores
    times_s, values = _with_breaks(track)
    # The most important one last: on top.
    for label in reversed([label for label in colours if label in timeline.classes]):
        if len(values):
            curve = values[:, timeline.classes.index(label)]
            marker = "o" if len(times_s) == 1 else None
            axes.plot(times_s, curve, color=colours[label], linewidth=1.3, marker=marker)
    if not len(values):
        axes.text(0.5, 0.5, "no score", transform=axes.transAxes, ha="center", color=GREY)
    axes.set(ylim=(0, 1.03), ylabel="score")
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2, labelbottom=False)


def _with_breaks(track: ScoreTrack) -> tuple[FloatArray, FloatArray]:
    """(N,) times and (N, C) scores with a NaN before each gap, so that no line is drawn across.

    How far apart the instants lie says nothing: they jump whenever a younger state answers.
    """
    breaks = np.flatnonzero(track.begins)
    return np.insert(track.times_s, breaks, np.nan), np.insert(track.values, breaks, np.nan, axis=0)


def _draw_bars(
    axes: Any, rows: dict[str, tuple[Event, ...]], colours: dict[str, str], last_s: float
) -> None:
    for position, events in enumerate(rows.values()):
        axes.axhspan(position - 0.4, position + 0.4, color="#F5F5F5", linewidth=0)
        drawn = [colours.get(event.label, OTHER) for event in events]
        # A white edge parts neighbours; its own colour keeps the shortest visible in hours.
        wide = [event.duration_s > last_s / 250 for event in events]
        edges = [
            "white" if is_wide else colour for is_wide, colour in zip(wide, drawn, strict=True)
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
                0.5,
                position,
                "no event",
                transform=axes.get_yaxis_transform(),
                ha="center",
                va="center",
                color=GREY,
                fontsize=9,
            )
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel="time")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=2)
    axes.tick_params(axis="y", length=0)


def _mark_time(axes: Any, last_s: float) -> None:
    step_s = next((step for step in TICKS_S if last_s <= step * MOST_TICKS), last_s / MOST_TICKS)
    axes.xaxis.set_major_locator(MultipleLocator(step_s))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time_s, _: _clock(time_s, step_s < 1)))
    axes.set_xlim(0, last_s)


def _clock(time_s: float, tenths: bool = False) -> str:
    """62.5 -> 1:02, or 1:02.5 with tenths; 3723 -> 1:02:03."""
    whole, tenth = divmod(round(time_s * 10), 10) if tenths else (round(time_s), 0)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{seconds:02d}" + (f".{tenth}" if tenths else "")


def _add_legend(figure: Figure, colours: dict[str, str], others: bool) -> None:
    handles = [
        Patch(color=colour, label=name)
        for name, colour in zip(short_names(list(colours)), colours.values(), strict=True)
    ]
    if others:
        handles.append(Patch(color=OTHER, label="other classes"))
    legend = figure.legend(
        handles=handles, loc="outside right upper", frameon=False, fontsize=9, handlelength=1.0
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _write_labels(
    figure: Figure, axes: Any, rows: dict[str, tuple[Event, ...]], colours: dict[str, str]
) -> None:
    """Write each event's label into its bar, where there is room."""
    figure.draw_without_rendering()  # the layout decides how wide a second is
    px_per_s = axes.bbox.width / axes.get_xlim()[1]
    for position, events in enumerate(rows.values()):
        for event in events:
            room_px = event.duration_s * px_per_s - 6
            if room_px < 8:
                continue
            text = axes.text(
                (event.start_s + event.end_s) / 2,
                position,
                short_names([event.label])[0],
                ha="center",
                va="center_baseline",
                fontsize=8,
                color=_ink(colours.get(event.label, OTHER)),
                parse_math=False,
            )
            if text.get_window_extent().width > room_px:
                text.remove()


def _ink(colour: str) -> str:
    """Black or white, whichever is read better on the colour."""
    red, green, blue = to_rgb(colour)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else "black"
