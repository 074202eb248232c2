"""Reads and writes video, from files and live. Knows nothing of sampling or models.

Images are RGB everywhere outside this package. PyAV reads files and network streams, OpenCV reads
cameras.
"""

# Before av, wherever that is imported: both bring a libxcb of their own, and a window of OpenCV
# hangs when it meets av's first.
import cv2  # noqa: F401

from action_gru.video.file import VideoFile
from action_gru.video.frame import DecodeLimits, Frame, Image
from action_gru.video.live import LiveSource, LiveStatus
from action_gru.video.writer import VideoWriter

__all__ = [
    "DecodeLimits",
    "Frame",
    "Image",
    "LiveSource",
    "LiveStatus",
    "VideoFile",
    "VideoWriter",
]
