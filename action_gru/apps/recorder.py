"""Records pictures that come when they come as a video at a steady rate. Knows no window."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from action_gru.apps.live_view import fitted
from action_gru.video import Image, VideoWriter

RECORDED_FPS = 15.0
LONGEST_FILL_S = 2.0  # a longer stretch without pictures is left out of the recording


class Recorder:
    """A recording at a fixed rate: a picture is repeated until the next one.

    The file appears when `close` is called, if there was a picture. All have the first one's size.
    """

    def __init__(self, path: Path, now_s: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.frames = 0
        self._now_s = now_s
        self._writer: VideoWriter | None = None
        self._last: Image | None = None
        self._next_s: float | None = None  # when the next one is due; None: with the next picture

    def add(self, image: Image) -> None:
        """Show a picture (H, W, 3) uint8 RGB from now on."""
        now_s = self._now_s()
        if self._writer is None:
            size_px = (image.shape[1], image.shape[0])
            self._writer = VideoWriter(self.path, size_px, RECORDED_FPS).__enter__()
        self._fill(now_s)
        if self._next_s is None or now_s - self._next_s > LONGEST_FILL_S:
            self._next_s = now_s
        width_px, height_px = self._writer.size_px
        fits = image.shape[:2] == (height_px, width_px)
        self._last = image if fits else fitted(image, (width_px, height_px))

    def pause(self) -> None:
        """The last picture was shown until now; the recording continues with the next one."""
        self._fill(self._now_s())
        self._next_s = None

    def close(self) -> int:
        """Finish the file; the number of frames in it."""
        if self._writer is not None:
            if self._last is not None:
                self._write(self._last)
            self._writer.__exit__(None, None, None)
            self._writer = None
        return self.frames

    def discard(self) -> None:
        """Leave nothing behind."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.discard()

    def _fill(self, now_s: float) -> None:
        """Repeat the last picture up to now, unless that is too long."""
        if self._last is None or self._next_s is None or now_s - self._next_s > LONGEST_FILL_S:
            return
        while self._next_s + 1 / RECORDED_FPS <= now_s:
            self._write(self._last)
            self._next_s += 1 / RECORDED_FPS

    def _write(self, image: Image) -> None:
        assert self._writer is not None
        self._writer.write(image)
        self.frames += 1
