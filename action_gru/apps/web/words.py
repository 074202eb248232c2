"""Results as text and HTML. Whatever came from outside, labels and file names, is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from action_gru.core.text import clock_text
from action_gru.timeline import Event

Row = tuple[str, str, str, str]


def events_table(
    events: Sequence[Event],
    current: Event | None = None,
    empty: str = "",
    colours: Mapping[str, str] | None = None,
) -> str:
    """A table of events in the given order, the one that is going on above them.

    colours: of the labels, #RRGGBB.
    """
    rows: list[Row] = []
    if current is not None:
        rows.append((clock_text(current.start_s), "now", current.label, _percent(current.score)))
    rows += [
        (clock_text(event.start_s), clock_text(event.end_s), event.label, _percent(event.score))
        for event in events
    ]
    return _table(rows, colours or {}) if rows else note(empty)


def note(text: str, kind: str = "note") -> str:
    """A line of text; kind: note, or error for one in red."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="{kind}" role="{role}">{escape(text)}</p>' if text else ""


def class_list(colours: Mapping[str, str]) -> str:
    """Labels, each with its colour, #RRGGBB."""
    items = "".join(
        f"<li>{_swatch(colour)}{escape(label)}</li>" for label, colour in colours.items()
    )
    return f'<ul class="classes">{items}</ul>'


def bar_rules(colours: Mapping[str, str]) -> str:
    """The style sheet that gives the score bar of each label its colour."""
    return "".join(
        f'meter.bar[aria-label="{_css_text(label)}"] {{ background: {colour} !important; }}\n'
        for label, colour in colours.items()
    )


def _swatch(colour: str) -> str:
    return f'<i class="swatch" style="background:{colour}"></i>'


def _css_text(text: str) -> str:
    """A text within quotes of a style sheet: all but letters and digits as their numbers."""
    safe = [one if one.isascii() and one.isalnum() else f"\\{ord(one):x} " for one in text]
    return "".join(safe)


def _table(rows: Sequence[Row], colours: Mapping[str, str]) -> str:
    body = "".join(_table_row(row, colours.get(row[2])) for row in rows)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("from", "to", "action", "score"))
    return f'<table class="events"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _table_row(row: Row, colour: str | None) -> str:
    start, end, label, score = map(escape, row)
    swatch = "" if colour is None else _swatch(colour)
    cells = "".join(f"<td>{cell}</td>" for cell in (start, end, swatch + label, score))
    return f'<tr class="{"now" if end == "now" else "over"}">{cells}</tr>'


def _percent(score: float) -> str:
    return f"{round(100 * score)}%"
