"""Writes RGB frames to a video file."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import numpy as np

from action_gru.core.errors import VideoError
from action_gru.video.frame import Image


class VideoWriter:
    """Writes RGB frames to a file, as H.264.

    The file appears under its name only when the writer closes without an error.
    """

    codec = "h264"

    def __init__(self, path: str | Path, size_px: tuple[int, int], fps: float) -> None:
        self.path, self.size_px, self.fps = Path(path), size_px, fps
        self._part = self.path.with_name(f".{self.path.stem}.part-{os.getpid()}{self.path.suffix}")
        self._container: av.container.OutputContainer | None = None

    def __enter__(self) -> VideoWriter:
        if self.path.is_dir():
            raise VideoError(f"{self.path} is a folder; name a .mp4 file")
        if min(self.size_px) < 2:
            raise VideoError(f"{self.path}: a video is at least 2x2 px, got {self.size_px}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # faststart: a browser can play it before all of it has arrived.
            options = {"movflags": "+faststart"} if self.path.suffix in (".mp4", ".mov") else {}
            container = av.open(str(self._part), "w", options=options)
            rate = Fraction(self.fps).limit_denominator(100000)
            self._stream: Any = container.add_stream("libx264", rate=rate)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._part.unlink(missing_ok=True)
            raise VideoError(
                f"{self._part}: cannot be written as H.264 ({error}); use a .mp4 name"
            ) from error
        # yuv420p, which every player shows, needs even sides: an odd last row or column is dropped.
        self._stream.width, self._stream.height = (side // 2 * 2 for side in self.size_px)
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"preset": "veryfast"}  # a third of the time, a few more bytes
        self._container = container
        return self

    def write(self, image: Image) -> None:
        """Append one frame. image (H, W, 3) uint8 RGB of the writer's size."""
        width_px, height_px = self.size_px
        if image.shape != (height_px, width_px, 3):
            raise VideoError(
                f"{self.path}: a frame of shape {image.shape} does not fit the video's "
                f"({height_px}, {width_px}, 3); resize it first"
            )
        if self._container is None:
            raise VideoError(f"{self.path}: the writer is not open; use it in a 'with' block")
        even = np.ascontiguousarray(image[: self._stream.height, : self._stream.width])
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def discard(self) -> None:
        """Give up: close what can be closed, and remove the half-written file."""
        with suppress(OSError, ValueError):  # PyAV's errors are of these kinds
            self._close()
        self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.mux(self._stream.encode())
            container.close()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            self._close()
            if kind is None:
                self._part.replace(self.path)
        finally:
            self._part.unlink(missing_ok=True)
