"""A file's frames, decoded in another process that can be stopped. See `worker`.

Knows nothing of codecs.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from action_gru.errors import VideoError
from action_gru.video.frame import Image
from action_gru.video.limits import DecodeLimits
from action_gru.video.processes import give_back_worker, take_worker, whole_answer

SAMPLES_AHEAD = 8  # about a second of video, 2 MB


class Borrowed:
    """A worker while it decodes one file. Its errors are VideoErrors, which name the file."""

    def __init__(self, path: Path, limits: DecodeLimits) -> None:
        self._path, self._silence_s = path, limits.max_silence_s
        self._worker = take_worker()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        with self._telling_why():
            return whole_answer(self._worker.ask(do, **arguments))

    def send(self, do: str, **arguments: Any) -> None:
        with self._telling_why():
            self._worker.send(do, **arguments)

    def receive(self) -> dict[str, Any]:
        with self._telling_why():
            return whole_answer(self._worker.receive())

    def make_room(self, size_bytes: int) -> None:
        with self._telling_why():
            self._worker.make_room(size_bytes)

    def pictures(
        self, offset: int, layout: Sequence[tuple[str, Sequence[int]]]
    ) -> dict[str, Image]:
        return self._worker.pictures(offset, layout)

    def leave(self, answers: int = 0) -> None:
        """Let the worker go, for the next file. answers: how many commands have none yet."""
        if self._worker.is_alive:
            with contextlib.suppress(EOFError):
                for _ in range(answers):
                    self._worker.receive()
                self._worker.ask("close")
        give_back_worker(self._worker)

    def end(self) -> None:
        """Stop the worker."""
        self._worker.end()

    @contextlib.contextmanager
    def _telling_why(self) -> Iterator[None]:
        try:
            yield
        except EOFError:
            why = self._worker.why_it_ended(self._silence_s)
            # No file can send SIGKILL: who tries again may have more luck.
            cause = InterruptedError(errno.EINTR, "killed") if self._worker.was_killed else None
            raise VideoError(f"{self._path}: {why}") from cause


class WorkerReader:
    """A `Reader` whose work is done by a `Worker`. Raises VideoError, as the worker says."""

    def __init__(self, path: Path, threads: int | None, limits: DecodeLimits) -> None:
        self._worker = Borrowed(path, limits)
        try:
            opened = self._worker.ask("open", **_bounds(path, threads, limits))
        except VideoError:
            self.close()
            raise
        self.first_s = float(opened["time_s"])
        self.fps: float = opened["fps"]
        self.declared_s: float | None = opened["declared_s"]

    def grab(self) -> float | None:
        time_s: float | None = self._worker.ask("grab")["time_s"]
        return time_s

    def retrieve(self) -> Image:
        answer = self._worker.ask("retrieve")
        if "needs" in answer:
            self._worker.make_room(answer["needs"])
            answer = self._worker.ask("retrieve")
        return self._worker.pictures(0, [("", answer["shape"])])[""]

    def close(self) -> None:
        self._worker.leave()


def run_in_worker(
    path: Path,
    threads: int | None,
    limits: DecodeLimits,
    program: Callable[..., Any],
    arguments: Mapping[str, Any],
) -> Generator[tuple[int, float | None, dict[str, Image]], None, None]:
    """(frames decoded so far, time_s, named pictures) of each sample; time_s None at the end.

    The worker is up to SAMPLES_AHEAD samples ahead. Raises VideoError, as the worker says.
    """
    worker = Borrowed(path, limits)
    program_name = (program.__module__, program.__name__)
    bounds = _bounds(path, threads, limits)
    waiting = 0  # samples that were asked for and have not come
    try:
        begun = worker.ask("run", **bounds, program=program_name, arguments=dict(arguments))
        layout: list[tuple[str, list[int]]] = begun["layout"]
        size = sum(math.prod(shape) for _, shape in layout)
        if size:
            worker.make_room(size * SAMPLES_AHEAD)
        for place in range(SAMPLES_AHEAD):
            worker.send("sample", offset=place * size)
            waiting += 1
        for place in itertools.cycle(range(SAMPLES_AHEAD)):
            waiting -= 1  # also where the answer is an error
            answer = worker.receive()
            if answer["time_s"] is None:
                yield answer["frames"], None, {}
                break
            made = worker.pictures(place * size, layout)
            worker.send("sample", offset=place * size)
            waiting += 1
            yield answer["frames"], answer["time_s"], made
    except VideoError:
        worker.leave(waiting)
        raise
    except BaseException:  # whoever breaks off does not wait for the samples ahead
        worker.end()
        raise
    worker.leave(waiting)


def _bounds(path: Path, threads: int | None, limits: DecodeLimits) -> dict[str, Any]:
    """What a worker must know of a file; folder: where a relative path starts from now."""
    folder = str(Path.cwd())
    return {"path": str(path), "threads": threads, "limits": asdict(limits), "folder": folder}
