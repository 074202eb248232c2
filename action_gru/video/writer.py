"""Writes RGB frames to a video file."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from action_gru.errors import VideoError
from action_gru.video.frame import Image


class VideoWriter:
    """Writes RGB frames to a file, as H.264.

    The file appears under its name only when the writer closes without an error.
    """

    def __init__(self, path: str | Path, size_px: tuple[int, int], fps: float) -> None:
        self.path = Path(path)
        self.size_px = size_px
        self.fps = fps
        self._part = self.path.with_name(f".{self.path.stem}.part-{os.getpid()}{self.path.suffix}")
        self._sink: _Sink | None = None

    def __enter__(self) -> VideoWriter:
        if self.path.is_dir():
            raise VideoError(f"{self.path} is a folder; name a .mp4 file")
        if min(self.size_px) < 2:
            raise VideoError(f"{self.path}: a video is at least 2x2 px, got {self.size_px}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._sink = _Sink(self._part, self.size_px, self.fps)
        return self

    @property
    def codec(self) -> str:
        """Name of the codec in use, once the writer is open."""
        return self._sink.codec if self._sink else ""

    def write(self, image: Image) -> None:
        """Append one frame. image (H, W, 3) uint8 RGB of the writer's size."""
        width_px, height_px = self.size_px
        if image.shape != (height_px, width_px, 3):
            raise VideoError(
                f"{self.path}: a frame of shape {image.shape} does not fit the video's "
                f"({height_px}, {width_px}, 3); resize it first"
            )
        if self._sink is None:
            raise VideoError(f"{self.path}: the writer is not open; use it in a 'with' block")
        self._sink.write(image)

    def discard(self) -> None:
        """Give up: close what can be closed, and remove the half-written file."""
        sink, self._sink = self._sink, None
        if sink is not None:
            with suppress(OSError, ValueError):  # PyAV's errors are of these kinds
                sink.close()
        self._part.unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._sink is not None:
                self._sink.close()
            if kind is None:
                self._part.replace(self.path)
        finally:
            self._sink = None
            self._part.unlink(missing_ok=True)


class _Sink:
    codec = "h264"

    def __init__(self, path: Path, size_px: tuple[int, int], fps: float) -> None:
        try:
            # faststart: a browser can play it before all of it has arrived.
            options = {"movflags": "+faststart"} if path.suffix in (".mp4", ".mov") else {}
            self._container = av.open(str(path), "w", options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise VideoError(f"{path}: cannot be written ({error}); use a .mp4 name") from error
        try:
            self._stream = self._container.add_stream(
                "libx264", rate=Fraction(fps).limit_denominator(100000)
            )
        except (av.FFmpegError, ValueError) as error:
            self._container.close()
            raise VideoError(
                f"{path}: this container takes no H.264 ({error}); use .mp4"
            ) from error
        # yuv420p, which every player shows, needs even sides: an odd last row or column is dropped.
        self._stream.width, self._stream.height = size_px[0] // 2 * 2, size_px[1] // 2 * 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"preset": "veryfast"}  # a third of the time, a few more bytes

    def write(self, image: Image) -> None:
        even = np.ascontiguousarray(image[: self._stream.height, : self._stream.width])
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()
