"""What one file or stream may ask of its decoder, and readers that hold it to that.

Knows nothing of processes: the memory limit is for whoever owns the process to set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from action_gru.errors import VideoError
from action_gru.video.connection import connect
from action_gru.video.decoders import FileReader
from action_gru.video.frame import Image
from action_gru.video.source import Source

GRACE_S = 3.0  # a stream's decoder gives up by itself after its timeouts; later it hangs


@dataclass(frozen=True)
class DecodeLimits:
    """max_pixels of one frame, max_frames of one file, max_silence_s until the next frame,
    max_decode_s of work on one file in all, max_memory_gb beyond what the process needs by itself.

    isolate: decode in a process of its own, the only way to stop a decoder that hangs, crashes or
    eats memory.
    """

    max_pixels: int = 1 << 26
    max_frames: int = 10_000_000
    max_silence_s: float = 60.0
    max_decode_s: float = 86_400.0
    max_memory_gb: float = 4.0
    isolate: bool = True


class LimitedReader:
    """A file's frames until a limit is passed; then VideoError, which names the limit's key.

    alarm: called with max_silence_s before each piece of the decoder's work, and with 0 after it.
    """

    alarm: ClassVar[Callable[[float], None]] = lambda _: None

    def __init__(self, path: Path, threads: int | None, limits: DecodeLimits) -> None:
        self.path, self.limits = path, limits
        self.frames, self._work_s = 0, 0.0
        with self._working():
            self._reader = FileReader(path, threads, limits.max_pixels)
        self.first_s = self._reader.first_s
        self.frames = 1
        self.fps, self.declared_s = self._reader.fps, self._reader.declared_s

    def grab(self) -> float | None:
        with self._working():
            time_s = self._reader.grab()
        if time_s is not None:
            self.frames += 1
            if self.frames > self.limits.max_frames:
                raise VideoError(
                    f"{self.path}: holds more than {self.limits.max_frames:,} frames; cut it, or "
                    "raise decoding.max_frames"
                )
        return time_s

    def retrieve(self) -> Image:
        with self._working():
            return self._reader.retrieve()

    def close(self) -> None:
        self._reader.close()

    @contextmanager
    def _working(self) -> Iterator[None]:
        began_s = time.monotonic()
        type(self).alarm(self.limits.max_silence_s)
        try:
            yield
        finally:
            type(self).alarm(0)
        self._work_s += time.monotonic() - began_s
        if self._work_s > self.limits.max_decode_s:
            raise VideoError(
                f"{self.path}: decoding took more than {self.limits.max_decode_s:g} s, up to frame "
                f"{self.frames:,}; cut it, or raise decoding.max_decode_s"
            )


class LimitedStream:
    """A stream's frames; the alarm goes where it stays silent beyond its own timeouts.

    Raises VideoError where a picture is too large; what else ends a stream, `grab` says with None.
    """

    alarm: ClassVar[Callable[[float], None]] = lambda _: None

    def __init__(
        self, source: Source, open_timeout_s: float, read_timeout_s: float, max_pixels: int
    ) -> None:
        self._silence_s = read_timeout_s + GRACE_S
        with self._working(open_timeout_s + 2 * read_timeout_s + GRACE_S):
            self._stream, self.first_s = connect(source, open_timeout_s, read_timeout_s, max_pixels)
        self.fps, self.length_s = self._stream.fps, self._stream.length_s
        self.size_px, self.waits = self._stream.size_px, self._stream.waits

    def grab(self) -> float | None:
        with self._working(self._silence_s):
            return self._stream.grab()

    def retrieve(self) -> Image:
        with self._working(self._silence_s):
            return self._stream.retrieve()

    def close(self) -> None:
        self._stream.close()

    @contextmanager
    def _working(self, most_s: float) -> Iterator[None]:
        type(self).alarm(most_s)
        try:
            yield
        finally:
            type(self).alarm(0)
