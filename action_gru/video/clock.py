"""Two clocks: the instants of a file's frames, and when a frame is due that could be read sooner.

Knows nothing of what frames show.
"""

from __future__ import annotations

import math
import threading
import time

JOIN_BACK_S, JOIN_AHEAD_S = 0.1, 10.0  # as ffmpeg's dts_delta_threshold


class FrameClock:
    """Seconds since the start of a file, from the time stamps of its frames in their order.

    time_base_s: one tick. start_s: where the container starts, sound included, so that a picture
    that starts after the sound has a player's time. step_s: from frame to frame where a frame has
    no stamp. may_restart: files of the format can be joined end to end (MPEG-TS), so that a jump is
    a join and no pause; what follows continues one step after the last frame.
    """

    def __init__(
        self, time_base_s: float, start_s: float, step_s: float, may_restart: bool
    ) -> None:
        self._time_base_s, self._start_s, self._step_s = time_base_s, start_s, step_s
        self._may_restart = may_restart
        self._stamps: list[int | None] = [None, None]  # the last pts and dts
        self._faults = [0, 0]  # how often each did not grow
        self._last_s: float | None = None
        self._given_s = -math.inf

    def time_s(self, pts: int | None, dts: int | None) -> float:
        """The next frame's instant, which is later than the last one's.

        pts, dts: its time stamps in ticks, None where it has none. Broken ones (all zero, or
        jumping back) become steps.
        """
        last_s = self._last_s
        expected_s = 0.0 if last_s is None else last_s + self._step_s
        stamp = self._best(pts, dts)
        time_s = expected_s if stamp is None else stamp * self._time_base_s - self._start_s
        # 1.4, 1.44, 0.02, 0.06 -> 1.4, 1.44, 1.48, 1.52
        joins = last_s is not None and not -JOIN_BACK_S <= time_s - last_s <= JOIN_AHEAD_S
        if self._may_restart and joins:
            self._start_s += time_s - expected_s
            time_s = expected_s
        self._last_s = time_s
        self._given_s = time_s if time_s > self._given_s else self._given_s + self._step_s
        return self._given_s

    def _best(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp to believe, as FFmpeg's best_effort_timestamp.

        AVI with B-frames gives many frames no pts, or ones that do not grow; its dts is right then.
        """
        for kind, (stamp, other) in enumerate(((pts, dts), (dts, pts))):
            last = self._stamps[kind]
            if stamp is not None and last is not None:
                self._faults[kind] += stamp <= last
            newest = other if stamp is None else stamp
            self._stamps[kind] = last if newest is None else newest
        believes_pts = dts is None or self._faults[0] <= self._faults[1]
        return pts if pts is not None and believes_pts else dts


class Pacer:
    """Holds each frame until it is due, as a camera would; a late one does not pass."""

    def __init__(self, stop: threading.Event, longest_gap_s: float = math.inf) -> None:
        """stop ends a wait. Times that jump back or past longest_gap_s start the clock anew."""
        self._stop, self._longest_gap_s = stop, longest_gap_s
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
        if interval_s < late_s < self._refused_late_s:
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
