"""Which events go to a sink, and when: class, length, score, pause, place and hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from action_gru.apps.sinks.message import State, Watched
from action_gru.config.sinks import HOURS, SinkSection

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass
class _Progress:
    """Of an event that is not over: was its person in the zone, has it passed, was it left out."""

    inside: bool = False
    passed: bool = False
    left_out: bool = False


class Conditions:
    """Says of each event, again and again, which of its messages are due now.

    when: start, end or both. Of one that passes as it ends, a start is due too.
    """

    def __init__(self, settings: SinkSection, when: str) -> None:
        self.settings, self.when = settings, when
        self._known: dict[str, _Progress] = {}
        self._last_s: dict[tuple[str, str], float] = {}  # source, class -> start of the last one

    def due(self, watched: Watched, is_over: bool) -> list[State]:
        """The messages that leave now, in order."""
        progress = self._known.setdefault(watched.id, _Progress())
        progress.inside = progress.inside or self._is_inside(watched)
        decides = is_over or self.when != "end"  # its mean score is known when it is over
        states: list[State] = []
        if decides and not (progress.passed or progress.left_out) and self._fits(watched, progress):
            progress.left_out = self._is_too_soon(watched)
            progress.passed = not progress.left_out
            states += ["start"] if progress.passed else []
        if is_over:
            del self._known[watched.id]
            states += ["end"] if progress.passed else []
        return [state for state in states if self.when in (state, "both")]

    def _fits(self, watched: Watched, progress: _Progress) -> bool:
        settings, event = self.settings, watched.event
        return (
            progress.inside
            and (not settings.classes or event.label in settings.classes)
            and event.duration_s >= settings.min_s
            and event.score >= settings.min_score
            and is_in_hours(
                datetime.fromtimestamp(watched.start_at), settings.hours, settings.weekdays
            )
        )

    def _is_too_soon(self, watched: Watched) -> bool:
        """Whether one of its class passed a moment ago; else it is that one from now on."""
        key, start_s = (watched.source, watched.event.label), watched.event.start_s
        last_s = self._last_s.get(key)
        # A clock that began anew lies before the last one.
        if last_s is not None and 0 <= start_s - last_s < self.settings.cooldown_s:
            return True
        self._last_s[key] = start_s
        return False

    def _is_inside(self, watched: Watched) -> bool:
        zone = self.settings.zone
        if zone is None:
            return True
        if watched.box is None or watched.picture_px is None:
            return False
        left, top, right, bottom = watched.box
        width_px, height_px = watched.picture_px
        y_px = bottom if self.settings.zone_point == "foot" else (top + bottom) / 2
        return is_inside((left + right) / 2 / width_px, y_px / height_px, zone)


def is_inside(x: float, y: float, polygon: Sequence[Sequence[float]]) -> bool:
    """Whether a point lies in a polygon: does a ray to its right cross the edges an odd time?

    Feet at the picture's lower edge, or a little below it, count as on it.
    """
    x, y = min(max(x, 0.0), 1.0 - 1e-9), min(max(y, 0.0), 1.0 - 1e-9)
    inside = False
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            inside = not inside
    return inside


def is_in_hours(at: datetime, hours: str | None, weekdays: Sequence[str]) -> bool:
    """Whether a local time lies in hours such as 22:00-06:00, on a day of those named.

    06:00 itself is outside; 22:00-22:00 is the whole day. After midnight the day is the one before.
    """
    minute, day = 60 * at.hour + at.minute, at
    if hours is not None:
        found = HOURS.fullmatch(hours)
        assert found is not None  # the config has checked it
        first, last = (60 * int(found[group]) + int(found[group + 1]) for group in (1, 3))
        is_night = last <= first
        if not (minute >= first or minute < last if is_night else first <= minute < last):
            return False
        if is_night and minute < first:
            day = at - timedelta(days=1)
    return not weekdays or WEEKDAYS[day.weekday()] in weekdays
