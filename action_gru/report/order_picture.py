"""Draws what losing the order costs. Knows nothing of how the costs came about."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from action_gru.report.order import (
    CHANGES,
    NEEDS_ORDER,
    NO_ORDER,
    ORDER_CHANGES,
    UNDECIDED,
    ClassOrder,
    OrderReport,
)
from action_gru.report.pictures import (
    BLUE,
    GREY,
    MOST_CLASSES,
    ORANGE,
    new_figure,
    part_title,
    short_names,
    strip_frame,
)

# A colour and a shape each: either alone tells them apart.
LOOKS = {NEEDS_ORDER: (ORANGE, "D"), NO_ORDER: (BLUE, "o"), UNDECIDED: (GREY, "s")}
TITLES = {change: "\n".join(wrap(name, 14)) for change, name in CHANGES.items()}
WHOLE = ("black", "P")
PANEL_IN, NAMES_IN = 1.75, 2.4
MANY = 30  # more classes than this: smaller rows


def order_picture(report: OrderReport) -> Figure:
    """A panel for each change; in it a dot a class with its interval, costliest on top.

    Of very many classes those that order costs most.
    """
    rows = sorted(report.classes, key=_order_cost)[-MOST_CLASSES:]
    changes = [change for change in CHANGES if change in report.overall.costs]
    many = len(rows) > MANY
    row_in, font_size = (0.14, 6.5) if many else (0.26, 9.0)
    figure = new_figure(NAMES_IN + PANEL_IN * len(changes), 1.5 + row_in * max(4, len(rows) + 2))
    panels = figure.subplots(1, len(changes), sharey=True, sharex=True, squeeze=False)[0]
    for axes, change in zip(panels, changes, strict=True):
        for height, row in enumerate([report.overall, *rows]):
            _draw_cost(axes, height, row, change, whole=height == 0)
        axes.set_title(TITLES[change], fontsize=9)
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        axes.axhline(0.5, color=GREY, linewidth=0.6, linestyle=":")
        axes.set_xlim(_lowest(report, changes) - 5, 105)
        axes.set_xticks([-50, 0, 50, 100])
        axes.tick_params(labelsize=8)
        strip_frame(axes)
    names = ["all classes", *short_names([row.label for row in rows])]
    panels[0].set_yticks(range(len(names)), names, fontsize=font_size, parse_math=False)
    panels[0].set_ylim(-0.7, len(names) - 0.3)
    figure.supxlabel("accuracy lost, points (95% interval over groups)", fontsize=9)
    _add_legend(figure, [row.verdict for row in rows])
    title = part_title(len(rows), len(report.classes), "costliest")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
    return figure


def _lowest(report: OrderReport, changes: Sequence[str]) -> float:
    """How far to the left the panels must go, points: -50, or -100 where an interval does."""
    costs = [row.costs[change] for row in (report.overall, *report.classes) for change in changes]
    lows = [min([cost.loss, *(cost.interval or ())]) for cost in costs]
    return -100.0 if min(lows) < -0.5 else -50.0


def _order_cost(row: ClassOrder) -> float:
    return max(row.costs[change].loss for change in ORDER_CHANGES)


def _draw_cost(axes: Any, height: int, row: ClassOrder, change: str, whole: bool) -> None:
    cost = row.costs[change]
    colour, marker = WHOLE if whole else LOOKS[row.verdict]
    if cost.interval is not None:
        low, high = cost.interval
        axes.plot([100 * low, 100 * high], [height] * 2, color=colour, linewidth=1.6)
    axes.plot([100 * cost.loss], [height], color=colour, marker=marker, markersize=5)


def _add_legend(figure: Figure, verdicts: Sequence[str]) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.6, label=verdict)
        for verdict, (colour, marker) in LOOKS.items()
        if verdict in verdicts
    ]
    figure.legend(
        handles=handles, loc="outside upper right", ncols=len(LOOKS), frameon=False, fontsize=9
    )
