"""What is told of an event: one JSON object, of one version. Knows no sink."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from action_gru.timeline import Event

SCHEMA = 1
State = Literal["start", "end"]
Message = dict[str, Any]  # what docs/events.md describes: plain values for JSON


@dataclass
class Watched:
    """An event and what is known beside it, from when it is seen until it is over.

    start_at: when it began by the wall clock, seconds since 1970. box (4,): where its person was
    seen last: left, top, right, bottom in px of a picture of picture_px (width, height).
    """

    source: str
    event: Event
    start_at: float
    box: Sequence[float] | None = None
    picture_px: tuple[int, int] | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def message(self, state: State, model: str) -> Message:
        """What is told of it now."""
        event, is_over = self.event, state == "end"
        return {
            "schema": SCHEMA,
            "id": self.id,
            "state": state,
            "source": self.source,
            "label": event.label,
            "score": round(event.score, 4),
            "start_s": round(event.start_s, 3),
            "end_s": round(event.end_s, 3) if is_over else None,
            "start_utc": utc_text(self.start_at),
            "end_utc": utc_text(self.start_at + event.duration_s) if is_over else None,
            "person": event.person,
            "box": None if self.box is None else [round(float(side), 1) for side in self.box],
            "picture_px": None if self.picture_px is None else list(self.picture_px),
            "model": model,
        }


def utc_text(at: float) -> str:
    """Seconds since 1970 as 2026-11-29T21:04:05.123Z."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
