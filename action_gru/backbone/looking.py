"""The pictures of a file's sampled instants, in order of time. Knows no network: it starts fast.

`pictures` runs in the process that decodes, so that pictures come out of it and not whole frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from action_gru.backbone.views import MOTION_HISTORY_S, Image, ViewMaker
from action_gru.sampling import Sampler, in_window
from action_gru.video import VideoFile


class Maker(Protocol):
    """What makes something of each sampled frame: a `ViewMaker`, or one that finds things too."""

    needs_history: bool

    def remember(self, image: Image, time_s: float) -> None: ...

    def observe(self, image: Image, time_s: float) -> dict[str, Any]: ...


def look(
    video: VideoFile,
    maker: Maker,
    fps: float,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Iterator[tuple[float, dict[str, Any]]]:
    """(time_s, view -> picture) at each sampled instant from start_s to end_s.

    Motion is measured at the video's own rate, also over the moment before start_s.
    """
    first_s = start_s or 0.0
    sampler = Sampler(fps)

    def due(time_s: float) -> bool:
        return in_window(time_s, first_s, end_s) and sampler.due(time_s)

    def near(time_s: float) -> bool:
        return time_s >= first_s - MOTION_HISTORY_S

    for frame in video.frames(near if maker.needs_history else due, end_s):
        if not maker.needs_history or due(frame.time_s):
            yield frame.time_s, maker.observe(frame.image, frame.time_s)
        else:
            maker.remember(frame.image, frame.time_s)


def pictures(
    video: VideoFile,
    views: Sequence[str],
    size_px: int,
    fit: str,
    fps: float,
    start_s: float | None,
    end_s: float | None,
) -> Iterator[tuple[float, dict[str, Image]]]:
    """(time_s, view -> (S, S, 3 or 4) uint8) at each sampled instant, without a network."""
    return look(video, ViewMaker(views, size_px, fit), fps, start_s, end_s)
