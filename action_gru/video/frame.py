"""What the package passes around: pictures, what is known of their video, who reads it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

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


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video that stands on its first frame, at first_s.

    fps: as declared. size_px: width and height as announced; (0, 0) where nothing opened.
    length_s: as declared, which can be wrong; None where it is live and has no end. waits: the
    server sends as fast as it is read, so that the reader must keep the time.
    """

    first_s: float
    fps: float
    size_px: tuple[int, int]
    length_s: float | None = None
    waits: bool = False


class FrameReader(Protocol):
    """Frames one after the other. `grab` moves to the next one, `retrieve` converts it."""

    @property
    def info(self) -> VideoInfo: ...

    def grab(self) -> float | None:
        """The next frame's instant in seconds; None: ended, lost or silent. Raises VideoError."""

    def retrieve(self) -> Image:
        """The frame that was grabbed, (H, W, 3) uint8 RGB. Raises VideoError."""

    def close(self) -> None: ...
