"""Writes RGB frames to a video file."""

from __future__ import annotations

import math
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

# MP4's usual clock: divides every usual rate.
TICK_S = Fraction(1, 90000)


class VideoWriter:
    """Writes RGB frames to a file, as H.264: at a steady rate, or each at its own time.

    The file appears under its name only when the writer closes without an error.
    """

    codec = "h264"

    def __init__(self, path: str | Path, size_px: tuple[int, int], fps: float) -> None:
        self.path, self.size_px, self.fps = Path(path), size_px, fps
        self._part = self.path.with_name(f".{self.path.stem}.part-{os.getpid()}{self.path.suffix}")
        self._container: av.container.OutputContainer | None = None
        self._written = 0
        self._first_s: float | None = None  # of frames that have times
        self._last_ticks = -1

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

    def write(self, image: Image, time_s: float | None = None) -> None:
        """Append one frame. image (H, W, 3) uint8 RGB of the writer's size.

        time_s: when it is shown, in seconds of any clock, counted from the first frame's; all
        frames have one or none has, and fps then is only what the file declares. Raises VideoError
        for a time that is not after the one before.
        """
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
        self._set_time(frame, time_s)
        self._container.mux(self._stream.encode(frame))
        self._written += 1

    def _set_time(self, frame: av.VideoFrame, time_s: float | None) -> None:
        if self._written and (time_s is None) != (self._first_s is None):
            raise VideoError(
                f"{self.path}: frame {self._written} has {'no' if time_s is None else 'a'} time, "
                f"the first had {'none' if self._first_s is None else 'one'}; give all or none"
            )
        if time_s is None:
            return
        if self._first_s is None:
            self._first_s = time_s
            self._stream.codec_context.time_base = TICK_S
        from_first_s = time_s - self._first_s
        ticks = round(from_first_s / TICK_S) if math.isfinite(from_first_s) else -1
        if ticks <= self._last_ticks:
            raise VideoError(
                f"{self.path}: frame {self._written} at {time_s:g} s is not after the one before, "
                f"at {self._first_s + float(self._last_ticks * TICK_S):g} s; write them in order"
            )
        frame.pts, frame.time_base, self._last_ticks = ticks, TICK_S, ticks

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
