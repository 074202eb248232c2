"""Results as text and HTML. Whatever came from outside, labels and file names, is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from action_gru.apps.overlay import clock_text
from action_gru.timeline import Event

Row = tuple[str, str, str, str]


def events_table(events: Sequence[Event], current: Event | None = None, empty: str = "") -> str:
    """A table of events in the given order, the one that is going on above them."""
    rows: list[Row] = []
    if current is not None:
        rows.append((clock_text(current.start_s), "now", current.label, _percent(current.score)))
    rows += [
        (clock_text(event.start_s), clock_text(event.end_s), event.label, _percent(event.score))
        for event in events
    ]
    return _table(rows) if rows else note(empty)


def note(text: str, kind: str = "note") -> str:
    """A line of text; kind: note, or error for one in red."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="{kind}" role="{role}">{escape(text)}</p>' if text else ""


def class_list(classes: Iterable[str]) -> str:
    """The labels that the model knows."""
    items = "".join(f"<li>{escape(label)}</li>" for label in classes)
    return f'<ul class="classes">{items}</ul>'


def _table(rows: Sequence[Row]) -> str:
    body = "".join(
        f'<tr class="{"now" if row[1] == "now" else "over"}">'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("from", "to", "action", "score"))
    return f'<table class="events"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _percent(score: float) -> str:
    return f"{round(100 * score)}%"
