"""The picture type that the package passes around, and what its two video libraries need."""

from __future__ import annotations

import os
from dataclasses import dataclass

import av.logging
import numpy as np
from numpy.typing import NDArray

# A damaged file makes FFmpeg chatter on stderr; the typed errors say the same once.
av.logging.set_level(None)
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

# Raised when the same file gives other pictures or times: its features are then extracted again.
# 2: interlaced and mirrored video, times since the container's start.
DECODING_VERSION = 2

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One decoded picture. image (H, W, 3) uint8 RGB; time_s counts from the file's start."""

    index: int
    time_s: float
    image: Image
