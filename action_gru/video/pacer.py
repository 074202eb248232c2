"""Lets frames that can be read at any speed pass at their own. Knows nothing of what they show."""

from __future__ import annotations

import math
import threading
import time


class Pacer:
    """Holds each frame until it is due, as a camera would; a late one does not pass."""

    def __init__(self, stop: threading.Event, longest_gap_s: float = math.inf) -> None:
        """stop ends a wait. Times that jump back or past longest_gap_s start the clock anew."""
        self._stop = stop
        self._longest_gap_s = longest_gap_s
        self._start_s: float | None = None  # the clock's reading when time 0 was due
        self._last_s = 0.0
        self._refused_late_s = math.inf  # how late the frame before was, if it did not pass

    def admit(self, time_s: float, interval_s: float) -> bool:
        """Wait until the frame of time_s is due. False: it is late by more than one interval."""
        step_s, self._last_s = time_s - self._last_s, time_s
        now_s = time.monotonic()
        if self._start_s is None or not 0 <= step_s <= self._longest_gap_s:
            self._start_s = now_s - time_s
        late_s = now_s - (self._start_s + time_s)
        if late_s > interval_s and late_s < self._refused_late_s:
            self._refused_late_s = late_s
            return False
        # Late, and leaving a frame out gained nothing: decoding is slower than real time, and
        # without a new start no frame would ever pass.
        if late_s > interval_s:
            self._start_s = now_s - time_s
        self._refused_late_s = math.inf
        self._stop.wait(max(0.0, -late_s))
        return True

    def rest(self, seconds: float) -> None:
        """Nothing was wanted for a while: what is to come is due so much later."""
        if self._start_s is not None:
            self._start_s += seconds
