"""What one file or stream may ask of its decoder, and a reader that is held to that.

Knows nothing of processes: the memory limit is for whoever owns the process to set.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from action_gru.core.errors import VideoError
from action_gru.video.file_reader import FileReader
from action_gru.video.frame import FrameReader, Image
from action_gru.video.live_reader import open_live
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
    """A reader's frames until a limit is passed; then VideoError, which names the limit's key.

    alarm: called with the longest silence before each piece of the decoder's work, and with 0 after
    it.
    """

    alarm: ClassVar[Callable[[float], None]] = lambda _: None

    def __init__(
        self,
        name: str,
        open_reader: Callable[[], FrameReader],
        *,
        open_silence_s: float,
        silence_s: float,
        max_frames: float = math.inf,
        max_decode_s: float = math.inf,
    ) -> None:
        self._name, self._silence_s = name, silence_s
        self._max_frames, self._max_decode_s = max_frames, max_decode_s
        self._frames, self._work_s = 0, 0.0
        with self._working(open_silence_s):
            self._reader = open_reader()
        self.info = self._reader.info
        self._frames = 1

    def grab(self) -> float | None:
        with self._working(self._silence_s):
            time_s = self._reader.grab()
        if time_s is not None:
            self._frames += 1
            if self._frames > self._max_frames:
                raise VideoError(
                    f"{self._name}: holds more than {self._max_frames:,} frames; cut it, or raise "
                    "decoding.max_frames"
                )
        return time_s

    def retrieve(self) -> Image:
        with self._working(self._silence_s):
            return self._reader.retrieve()

    def close(self) -> None:
        self._reader.close()

    @contextmanager
    def _working(self, silence_s: float) -> Iterator[None]:
        began_s = time.monotonic()
        type(self).alarm(silence_s)
        try:
            yield
        finally:
            type(self).alarm(0)
        self._work_s += time.monotonic() - began_s
        if self._work_s > self._max_decode_s:
            raise VideoError(
                f"{self._name}: decoding took more than {self._max_decode_s:g} s, up to frame "
                f"{self._frames:,}; cut it, or raise decoding.max_decode_s"
            )


def limited_file(path: Path, threads: int | None, limits: DecodeLimits) -> LimitedReader:
    """A file's frames in this process. threads: of the decoder, None: as many as it likes."""
    return LimitedReader(
        str(path),
        lambda: FileReader(path, threads, limits.max_pixels),
        open_silence_s=limits.max_silence_s,
        silence_s=limits.max_silence_s,
        max_frames=limits.max_frames,
        max_decode_s=limits.max_decode_s,
    )


def limited_stream(
    source: Source, open_timeout_s: float, read_timeout_s: float, max_pixels: int
) -> LimitedReader:
    """A stream's frames in this process; only a silence beyond its own timeouts is too long."""
    return LimitedReader(
        source.name,
        lambda: open_live(source, open_timeout_s, read_timeout_s, max_pixels),
        open_silence_s=open_timeout_s + 2 * read_timeout_s + GRACE_S,
        silence_s=read_timeout_s + GRACE_S,
    )
