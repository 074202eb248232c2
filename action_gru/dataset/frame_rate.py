"""How many pictures of a folder of frames are a second: from a manifest's cell, or for all."""

from __future__ import annotations

from pathlib import Path

from action_gru.core.errors import DataError
from action_gru.core.paths import VIDEO_SUFFIXES, is_frames

MOST_FPS = 1000.0


def parse_frame_rate(text: str) -> float | None:
    """A cell of the column frame_rate; None for an empty one. Raises ValueError."""
    try:
        rate = float(text) if text else None
    except ValueError:
        rate = 0.0
    if rate is not None and not 0 < rate <= MOST_FPS:  # NaN is refused too
        raise ValueError(f"frame_rate is frames a second, up to {MOST_FPS:g}, got '{text}'")
    return rate


def choose_frame_rate(
    path: Path, named: str, rate: float | None, default: float | None
) -> float | None:
    """The rate at which a path's pictures were taken; None for a video file, which has its own.

    named: what errors begin with. rate: of its own cell. Raises DataError for a folder of frames
    without a rate, and for a video file with one.
    """
    is_video = path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()
    if is_video and rate is not None:
        raise DataError(
            f"{named} is a video file, which has its own times, and its row says frame_rate "
            f"{rate:g}; leave the cell empty"
        )
    if is_video or rate is not None or not is_frames(path):
        return rate
    if default is None:
        raise DataError(
            f"{named} holds pictures, which have no frame rate of their own; give the one at which "
            "they were taken in a column frame_rate, or for all as data.frame_rate=25"
        )
    return default
