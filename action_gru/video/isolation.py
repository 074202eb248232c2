"""A file's frames, decoded in another process that can be stopped. See `worker`.

Idle processes are kept, at most one a core, and end with this one. Knows nothing of codecs.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import itertools
import json
import math
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from action_gru.errors import VideoError
from action_gru.video.frame import Image
from action_gru.video.limits import DecodeLimits

START = "import sys; sys.path[:] = sys.argv[1:]; from action_gru.video.worker import main; main()"
SHARED_MEMORY = Path("/dev/shm")
ENDING_S = 1.0  # from the end of its answers to the end of a process
SAMPLES_AHEAD = 8  # about a second of video, 2 MB
MOST_IDLE = min(16, os.cpu_count() or 1)


class Worker:
    """One decoding process."""

    def __init__(self) -> None:
        self.shared: mmap.mmap | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self.is_ours = False  # who ended it
        self._said: list[str] = []  # its lines, once the process has ended
        command = [sys.executable, "-I", "-c", START, *sys.path]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors)

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a command. Raises EOFError when the process has ended instead."""
        self.send(do, **arguments)
        return self.receive()

    def send(self, do: str, **arguments: Any) -> None:
        """Give a command without waiting for its answer."""
        with self._ended_if_broken_off():
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """The answer to the oldest command that has none yet."""
        with self._ended_if_broken_off():
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            if not line.endswith(b"\n"):
                raise EOFError
            return dict(json.loads(line))

    @contextlib.contextmanager
    def _ended_if_broken_off(self) -> Iterator[None]:
        """An answer that nobody waited for, as after Ctrl-C, would be taken for the next one's."""
        try:
            yield
        except (EOFError, OSError, ValueError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING_S)
            self.end()
            raise EOFError from None
        except BaseException:
            self.end()
            raise

    def make_room(self, size_bytes: int) -> None:
        """Share at least so much memory: a file that both map, and that then has no name any more.

        Raises VideoError when there is no room for it.
        """
        if self.shared is not None and len(self.shared) >= size_bytes:
            return
        refused: OSError | None = None
        for folder in (SHARED_MEMORY, None):  # some containers have a tiny /dev/shm
            try:
                with tempfile.NamedTemporaryFile(
                    prefix="action_gru-", dir=folder, delete=False
                ) as file:
                    try:
                        _reserve(file.fileno(), size_bytes)
                        self.shared = mmap.mmap(file.fileno(), size_bytes)
                        _whole(self.ask("map", path=file.name))
                        return
                    finally:
                        with contextlib.suppress(PermissionError):  # Windows, while it is mapped
                            Path(file.name).unlink()
            except OSError as error:
                refused = error
        raise VideoError(
            f"no room of {size_bytes:,} bytes to pass a picture on ({refused}); free some in "
            f"{tempfile.gettempdir()}"
        ) from refused

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def pictures(
        self, offset: int, layout: Sequence[tuple[str, Sequence[int]]]
    ) -> dict[str, Image]:
        """Copies of the pictures that lie one after the other in the shared memory, by name."""
        made = {}
        for name, shape in layout:
            assert self.shared is not None
            size = math.prod(shape)
            there = np.frombuffer(self.shared, np.uint8, size, offset)
            made[name] = np.array(there.reshape(shape), dtype=np.uint8)
            offset += size
        return made

    def kill(self) -> None:
        """Stop the process, whatever it is doing; another thread may wait for its answer."""
        self.is_ours |= self._process.poll() is None
        self._process.kill()

    def end(self) -> None:
        """Stop the process, and take down what it said."""
        self.is_ours |= self._process.poll() is None
        self._process.kill()
        self._process.wait()
        if not self._errors.closed:
            self._errors.seek(0)
            self._said = self._errors.read().decode(errors="replace").strip().splitlines()
            self._errors.close()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()

    @property
    def hung(self) -> bool:
        """Whether it ended because it was silent for too long."""
        by_alarm = self._process.returncode == -getattr(signal, "SIGALRM", 0)
        return by_alarm or "Timeout" in "".join(self._said[:1])

    @property
    def was_killed(self) -> bool:
        """Has somebody else ended the process, by force?"""
        return self._process.returncode == -getattr(signal, "SIGKILL", 0) and not self.is_ours

    def how_it_ended(self) -> str:
        """In a word or two: 'silent', 'SIGSEGV', 'exit code 3'."""
        code = self._process.returncode
        if self.hung:
            return "silent"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def why_it_ended(self, silence_s: float) -> str:
        """What became of a file's decoder in words, with the mend."""
        if self.hung:
            return (
                f"the decoder hung: no frame for {silence_s:g} s; re-encode it, or raise "
                "decoding.max_silence_s"
            )
        if self._process.returncode == 1 and self._said:
            return f"the decoding process ended: {self._said[-1]}; try decoding.isolate=false"
        if self.was_killed:
            return (
                "the decoding process was killed (SIGKILL), as the system does when memory runs "
                "out; free memory, or lower features.workers or decoding.max_memory_gb"
            )
        how = self.how_it_ended()
        return f"the decoder crashed ({how}): the file is damaged or crafted; re-encode it"


class Borrowed:
    """A worker while it decodes one file. Its errors are VideoErrors, which name the file."""

    def __init__(self, path: Path, limits: DecodeLimits) -> None:
        self._path, self._silence_s = path, limits.max_silence_s
        self._worker = take_worker()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        with self._telling_why():
            return _whole(self._worker.ask(do, **arguments))

    def send(self, do: str, **arguments: Any) -> None:
        with self._telling_why():
            self._worker.send(do, **arguments)

    def receive(self) -> dict[str, Any]:
        with self._telling_why():
            return _whole(self._worker.receive())

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


def _whole(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        number = answer.get("errno")
        cause = OSError(number, os.strerror(number)) if number else None
        raise VideoError(answer["error"]) from cause
    return answer


def _reserve(number: int, size_bytes: int) -> None:
    """Make the open file this long. Raises OSError when there is no room for it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(number, 0, size_bytes)
    else:
        os.ftruncate(number, size_bytes)


_idle: list[Worker] = []
_lock = threading.Lock()


def take_worker() -> Worker:
    """An idle process, or a new one."""
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.is_alive:
                return worker
            worker.end()
    return Worker()


def give_back_worker(worker: Worker) -> None:
    """Keep it for the next who takes one; whoever gives it back has closed what it held."""
    with _lock:
        if worker.is_alive and len(_idle) < MOST_IDLE and worker not in _idle:
            _idle.append(worker)
            return
    worker.end()


@atexit.register
def end_idle() -> None:
    """Stop the processes that nobody uses now."""
    with _lock:
        while _idle:
            _idle.pop().end()


if hasattr(os, "register_at_fork"):  # a child must not speak on its parent's pipes
    os.register_at_fork(after_in_child=_idle.clear)
