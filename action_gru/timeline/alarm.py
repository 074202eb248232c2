"""An alarm with hysteresis: raised by one score, cleared by a much lower one. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass

# Below this share of the threshold an alarm is over; between the two it stays as it is, so that a
# score that trembles around the threshold is one alarm and not twenty.
CLEAR_SHARE = 0.5


@dataclass
class Alarm:
    """threshold: the score from which it is on."""

    threshold: float
    on: bool = False

    def push(self, score: float) -> str | None:
        """`raised` or `cleared` where this score changes the alarm, else None."""
        if not self.on and score >= self.threshold:
            self.on = True
            return "raised"
        if self.on and score < CLEAR_SHARE * self.threshold:
            self.on = False
            return "cleared"
        return None
