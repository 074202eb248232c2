"""Reads and writes video, from files and live. Knows nothing of sampling or models.

Images are RGB everywhere outside this package. OpenCV reads by default; PyAV (extra `av`) takes
over where OpenCV opens a file and decodes nothing, as with AV1, and reads network streams.
"""

from action_gru.given import VIDEO_SUFFIXES
from action_gru.video.frame import Frame, Image
from action_gru.video.limits import DecodeLimits
from action_gru.video.live import LiveSource, LiveStatus
from action_gru.video.reading import VideoFile
from action_gru.video.writing import VideoWriter

__all__ = [
    "VIDEO_SUFFIXES",
    "DecodeLimits",
    "Frame",
    "Image",
    "LiveSource",
    "LiveStatus",
    "VideoFile",
    "VideoWriter",
]
