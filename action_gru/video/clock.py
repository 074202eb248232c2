"""When the frames of a file are shown: a container's time stamps as a player counts them.

Knows no codec and no picture.
"""

from __future__ import annotations

JOIN_BACK_S, JOIN_AHEAD_S = 0.1, 10.0  # as ffmpeg's dts_delta_threshold


class FrameClock:
    """Seconds since the start of a file, from the time stamps of its frames in their order.

    time_base_s: one tick. start_s: where the container starts, sound included, so that a picture
    that starts after the sound has a player's time. step_s: from frame to frame where a frame has
    no stamp. may_restart: the format is one whose files can be joined end to end (MPEG-TS), so that
    a jump is a join and no pause; what follows it goes on one step after the last frame.
    """

    def __init__(
        self, time_base_s: float, start_s: float, step_s: float, may_restart: bool
    ) -> None:
        self._time_base_s, self._start_s, self._step_s = time_base_s, start_s, step_s
        self._may_restart = may_restart
        self._pts, self._dts = _Stamps(), _Stamps()
        self._last_s: float | None = None

    def time_s(self, pts: int | None, dts: int | None) -> float:
        """The next frame's instant. pts, dts: its time stamps in ticks, None where it has none."""
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
        return time_s

    def _best(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp to believe, as FFmpeg's best_effort_timestamp.

        AVI with B-frames gives many frames no pts, or ones that do not grow; its dts is right then.
        """
        self._pts.take(pts, dts)
        self._dts.take(dts, pts)
        if pts is not None and (dts is None or self._pts.faults <= self._dts.faults):
            return pts
        return dts


class _Stamps:
    """Counts how often the stamps of one kind did not grow."""

    def __init__(self) -> None:
        self.faults = 0
        self._last: int | None = None

    def take(self, stamp: int | None, other: int | None) -> None:
        """other: of the other kind, which stands in for a missing one."""
        if stamp is not None and self._last is not None:
            self.faults += stamp <= self._last
        self._last = stamp if stamp is not None else other if other is not None else self._last
