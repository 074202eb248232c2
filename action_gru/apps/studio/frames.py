"""Pictures between page and worker: JPEG to pictures, to a video, and back. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from action_gru.core.errors import VideoError
from action_gru.video import Image, VideoWriter
from action_gru.video.picture_files import DamageError, decode_picture

JPEG = b"\xff\xd8\xff"
MOST_PIXELS = 4_000_000
QUALITY = 80  # of a JPEG that a page shows
JpegFrames = Sequence[tuple[float, bytes]]


def write_frames(frames: JpegFrames, path: Path) -> None:
    """JPEG frames as a video with their times; those of another size than the last are left out."""
    images = [(time_s, decode_frame(data)) for time_s, data in frames]
    height, width = images[-1][1].shape[:2]
    fps = len(frames) / max(frames[-1][0] - frames[0][0], 1e-3)
    with VideoWriter(path, (width, height), min(max(fps, 1.0), 60.0)) as writer:
        for time_s, image in images:
            if image.shape[:2] == (height, width):
                writer.write(image, time_s)


def decode_frame(data: bytes) -> Image:
    """A page's JPEG as (H, W, 3) uint8 RGB. Raises VideoError for what is none, or too large."""
    mend = "send the picture again, as a JPEG of a canvas"
    if not data.startswith(JPEG):
        raise VideoError(f"a frame is no JPEG ({len(data)} bytes); {mend}")
    try:
        return decode_picture(data, "a frame", MOST_PIXELS)
    except DamageError as error:
        raise VideoError(f"a frame is no picture ({error}); {mend}") from error


def jpeg_bytes(image: Image) -> bytes:
    """image (H, W, 3) uint8 RGB."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    is_made, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert is_made
    return bytes(data)


def at_most(image: Image, side_px: int) -> Image:
    """The picture (H, W, 3), smaller where a side is longer than side_px."""
    share = side_px / max(image.shape[:2])
    if share >= 1:
        return image
    size_px = (max(2, round(image.shape[1] * share)), max(2, round(image.shape[0] * share)))
    return np.asarray(cv2.resize(image, size_px, interpolation=cv2.INTER_AREA), np.uint8)
