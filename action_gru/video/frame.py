"""The picture type that the package passes around, and what its two video libraries need."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

# A damaged file makes FFmpeg chatter on stderr; the typed errors say the same once.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import MissingExtraError

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One decoded picture. image (H, W, 3) uint8 RGB; time_s counts from the file's start."""

    index: int
    time_s: float
    image: Image


def import_av(purpose: str) -> Any:
    """PyAV, or MissingExtraError that names the extra."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "av", purpose) from error
    av.logging.set_level(None)
    return av
