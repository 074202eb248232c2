"""Video files as frames with real timestamps, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from action_gru.core.errors import VideoError
from action_gru.video.frame import Frame, FrameReader, Image
from action_gru.video.limits import DecodeLimits, limited_file
from action_gru.video.process_reader import open_file, run_in_process


class VideoFile:
    """The frames of one file, in order, one at a time. Use as a context manager.

    frames_decoded counts what the last pass has decoded so far; no header is believed.

    Raises VideoError from iteration when the file holds no decodable frame.
    """

    def __init__(
        self, path: str | Path, threads: int | None = None, limits: DecodeLimits | None = None
    ) -> None:
        """threads: of the decoder; by default as many as it likes. The frames are the same.

        limits: what the file may ask; by default those of the config's `decoding` section.
        """
        self.path = Path(path)
        self.threads = threads
        self.limits = limits or DecodeLimits()
        self.frames_decoded = 0
        self._reader: FrameReader | None = None

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    @property
    def fps(self) -> float:
        """The declared rate, frames per second; use a frame's time_s to know when it was."""
        if self._reader is None:
            raise VideoError(f"{self.path}: is not open; read its rate while iterating")
        return self._reader.info.fps

    @property
    def declared_s(self) -> float | None:
        """How long the header says it is, seconds, for a progress bar; headers can lie."""
        return self._reader.info.length_s if self._reader else None

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(
        self, wanted: Callable[[float], bool] | None = None, end_s: float | None = None
    ) -> Iterator[Frame]:
        """Frames before end_s whose instant (seconds) is wanted; others are never converted."""
        for index, time_s in self._instants():
            self.frames_decoded = index + 1
            if end_s is not None and time_s >= end_s:
                break
            if wanted is None or wanted(time_s):
                assert self._reader is not None
                yield Frame(index, time_s, self._reader.retrieve())

    def run(
        self, program: Callable[..., Iterator[tuple[float, dict[str, Image]]]], **arguments: Any
    ) -> Iterator[tuple[float, dict[str, Image]]]:
        """What program(self, **arguments) yields: (seconds, named pictures, of the same shapes).

        It runs where the file is decoded, so that only its pictures have to be handed over.
        program: a module's function; arguments: what JSON can hold.
        """
        self.close()
        if not self.limits.isolate:
            yield from program(self, **arguments)
            return
        self.frames_decoded = 0
        made = run_in_process(self.path, self.threads, self.limits, program, arguments)
        with closing(made):
            for self.frames_decoded, time_s, pictures in made:
                if time_s is not None:
                    yield time_s, pictures

    def _instants(self) -> Iterator[tuple[int, float]]:
        """(index, time_s) of each decoded frame; times strictly grow."""
        self.close()
        open_reader = open_file if self.limits.isolate else limited_file
        self._reader = open_reader(self.path, self.threads, self.limits)
        info = self._reader.info
        time_s, index = info.first_s, 0
        grabbed: float | None = time_s
        while grabbed is not None:
            # Broken timestamps (all zero, or jumping back) become steps of the declared rate.
            time_s = grabbed if index == 0 or grabbed > time_s else time_s + 1 / info.fps
            yield index, time_s
            index += 1
            grabbed = self._reader.grab()
        self.close()
