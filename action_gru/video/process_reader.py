"""Frames and pictures of a file or stream that another process decodes. See `worker`.

Knows nothing of codecs.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from action_gru.core.errors import VideoError
from action_gru.video.decoder_process import DecoderProcess, give_back_process, take_process
from action_gru.video.frame import Image, VideoInfo
from action_gru.video.limits import DecodeLimits
from action_gru.video.source import Source

SAMPLES_AHEAD = 8  # about a second of video, 2 MB


class DecoderEndedError(VideoError):
    """The process has ended instead of an answer. how: in a word or two."""

    def __init__(self, message: str, how: str) -> None:
        super().__init__(message)
        self.how = how


class DecoderLease:
    """A decoding process for one file, or for one stream over all its connections.

    explain: what to say when the process has ended. crashes: how often it ended by itself. One
    thread uses it, any may `stop` it.
    """

    def __init__(self, explain: Callable[[DecoderProcess], str]) -> None:
        self.crashes = 0
        self._explain = explain
        self._process: DecoderProcess | None = None

    def take(self) -> None:
        """Have a process."""
        if self._process is None:
            self._process = take_process()

    def start(self) -> None:
        """Have a process that is ready; the first one takes about a second to start."""
        if self._process is None:
            self.take()
            with contextlib.suppress(VideoError), self.use() as process:
                process.ask("close")

    @contextlib.contextmanager
    def use(self) -> Iterator[DecoderProcess]:
        """The process. Raises VideoError as it answers, DecoderEndedError when it has ended."""
        process = self._process
        if process is None:
            raise DecoderEndedError("the decoder has ended already", "stopped")
        try:
            yield process
        except EOFError:
            self._process = None
            self.crashes += not process.is_ours
            # No file can send SIGKILL: who tries again may have more luck.
            cause = InterruptedError(errno.EINTR, "killed") if process.was_killed else None
            raise DecoderEndedError(self._explain(process), process.how_it_ended()) from cause

    def stop(self) -> None:
        """End the process, whatever it waits for."""
        if (process := self._process) is not None:
            process.kill()

    def release(self, answers: int = 0) -> None:
        """Let the process go, for the next. answers: how many commands have none yet."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(EOFError):
            for _ in range(answers):
                with contextlib.suppress(VideoError):
                    process.receive()
            process.ask("close")
        give_back_process(process)

    def end(self) -> None:
        """End the process, and wait for that."""
        process, self._process = self._process, None
        if process is not None:
            process.end()


class ProcessReader:
    """A `FrameReader` whose work is done in the process of a lease."""

    def __init__(
        self, lease: DecoderLease, opened: dict[str, Any], close: Callable[[], None]
    ) -> None:
        self.info = VideoInfo(**{**opened, "size_px": tuple(opened["size_px"])})
        self._lease, self._close = lease, close

    def grab(self) -> float | None:
        with self._lease.use() as process:
            time_s: float | None = process.ask("grab")["time_s"]
        return time_s

    def retrieve(self) -> Image:
        with self._lease.use() as process:
            answer = process.ask("retrieve")
            if "needs" in answer:
                process.make_room(answer["needs"])
                answer = process.ask("retrieve")
            return process.pictures(0, [("", answer["shape"])])[""]

    def close(self) -> None:
        self._close()


def open_file(path: Path, threads: int | None, limits: DecodeLimits) -> ProcessReader:
    """A file's reader with a process of its own; raises VideoError, which names the file."""
    lease = _file_lease(path, limits)
    try:
        with lease.use() as process:
            opened = process.ask("open", **_bounds(path, threads, limits))
    except VideoError:
        lease.release()
        raise
    return ProcessReader(lease, opened, lease.release)


def stream_lease() -> DecoderLease:
    """For `open_stream`, over all connections of one source."""
    return DecoderLease(lambda process: f"its decoder ended ({process.how_it_ended()})")


def open_stream(
    lease: DecoderLease,
    source: Source,
    open_timeout_s: float,
    read_timeout_s: float,
    limits: DecodeLimits,
) -> ProcessReader:
    """Like `live_reader.open_live`, in the lease's process, which stays when the reader closes."""
    lease.start()
    began_s = time.monotonic()
    try:
        with lease.use() as process:
            opened = process.ask(
                "connect",
                source=asdict(source),
                open_timeout_s=open_timeout_s,
                read_timeout_s=read_timeout_s,
                limits=asdict(limits),
            )
    except DecoderEndedError as error:
        raise VideoError(
            f"{source.name}: its decoder ended after {time.monotonic() - began_s:.1f} s "
            f"without a picture ({error.how}); check what the server sends"
        ) from None

    def close() -> None:
        with contextlib.suppress(VideoError), lease.use() as process:
            process.ask("close")

    return ProcessReader(lease, opened, close)


def run_in_process(
    path: Path,
    threads: int | None,
    limits: DecodeLimits,
    program: Callable[..., Any],
    arguments: Mapping[str, Any],
) -> Generator[tuple[int, float | None, dict[str, Image]], None, None]:
    """(frames decoded so far, time_s, named pictures) of each sample; time_s None at the end.

    The process is up to SAMPLES_AHEAD samples ahead. Raises VideoError, as it says.
    """
    lease = _file_lease(path, limits)
    named = {"program": (program.__module__, program.__name__), "arguments": dict(arguments)}
    waiting = 0  # samples that were asked for and have not come
    try:
        with lease.use() as process:
            begun = process.ask("run", **_bounds(path, threads, limits), **named)
            layout: list[tuple[str, list[int]]] = begun["layout"]
            size = sum(math.prod(shape) for _, shape in layout)
            if size:
                process.make_room(size * SAMPLES_AHEAD)
            for place in range(SAMPLES_AHEAD):
                process.send("sample", offset=place * size)
                waiting += 1
            for place in itertools.cycle(range(SAMPLES_AHEAD)):
                waiting -= 1  # also where the answer is an error
                answer = process.receive()
                if answer["time_s"] is None:
                    yield answer["frames"], None, {}
                    break
                made = process.pictures(place * size, layout)
                process.send("sample", offset=place * size)
                waiting += 1
                yield answer["frames"], answer["time_s"], made
    except VideoError:
        lease.release(waiting)
        raise
    except BaseException:  # whoever breaks off does not wait for the samples ahead
        lease.end()
        raise
    lease.release(waiting)


def _file_lease(path: Path, limits: DecodeLimits) -> DecoderLease:
    lease = DecoderLease(lambda process: f"{path}: {process.why_it_ended(limits.max_silence_s)}")
    lease.take()
    return lease


def _bounds(path: Path, threads: int | None, limits: DecodeLimits) -> dict[str, Any]:
    """What a process must know of a file; folder: where a relative path starts from now."""
    folder = str(Path.cwd())
    return {"path": str(path), "threads": threads, "limits": asdict(limits), "folder": folder}
