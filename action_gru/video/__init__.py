"""Reads and writes video, from files and live. Knows nothing of sampling or models.

Images are RGB everywhere outside this package. PyAV reads files and network streams, OpenCV reads
cameras.
"""

from action_gru.video.frame import Frame, Image
from action_gru.video.limits import DecodeLimits
from action_gru.video.live import LiveSource, LiveStatus
from action_gru.video.reading import VideoFile
from action_gru.video.writing import VideoWriter

__all__ = [
    "DecodeLimits",
    "Frame",
    "Image",
    "LiveSource",
    "LiveStatus",
    "VideoFile",
    "VideoWriter",
]
