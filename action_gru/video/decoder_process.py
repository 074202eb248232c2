"""The processes that decode: started, given commands, kept while idle, stopped.

What runs in them is `worker`. Knows nothing of codecs.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import mmap
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from action_gru.core.errors import VideoError
from action_gru.video.frame import DecodeLimits, FrameReader, Image, VideoInfo

START = "import sys; sys.path[:] = sys.argv[2:]; from action_gru.video.worker import main; main()"
SHARED_BYTES = 1 << 28  # what is larger goes through the pipe: see `worker.Places`
ENDING_S = 1.0  # from the end of its answers to the end of a process
MOST_IDLE = 16


class DecoderEndedError(VideoError):
    """The process ended without an answer. how: 'silent', 'SIGSEGV', 'exit code 3'."""

    def __init__(self, message: str, how: str) -> None:
        super().__init__(message)
        self.how = how


class DecoderProcess:
    """One decoding process. One thread uses it, any may `kill` it.

    has_crashed: it ended without being stopped here.
    """

    def __init__(self) -> None:
        self.has_crashed = False
        self._is_stopped = False
        self._name, self._limits = "", DecodeLimits()  # of what it decodes
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        pipe = subprocess.PIPE
        with _frame_file() as file:
            self._shared = mmap.mmap(file.fileno(), SHARED_BYTES)
            number = file.fileno()
            command = [sys.executable, "-I", "-c", START, str(number), *sys.path]
            process: Any = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=self._errors, pass_fds=[number]
            )
        self._process, self._commands, self._answers = process, process.stdin, process.stdout

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def begin(
        self, do: str, work: Callable[[], Any], name: str, limits: DecodeLimits
    ) -> dict[str, Any]:
        """The first answer of 'open' or 'run'; see `worker`. name: of what is decoded."""
        self._name, self._limits = name, limits
        place = {"name": name, "memory_gb": limits.max_memory_gb, "folder": str(Path.cwd())}
        return self.ask(do, work=work, **place)

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and return its answer; see `receive`."""
        with self._ending_on_failure():
            pickle.dump((do, arguments), self._commands)
            self._commands.flush()
        return self.receive()

    def receive(self) -> dict[str, Any]:
        """The next answer; its `pictures` are (H, W, C) uint8 by name.

        Raises VideoError with the error that the process answers, DecoderEndedError if it ended.
        """
        with self._ending_on_failure():
            # Not pickle: a crafted file may have taken over the process that answers.
            line = self._answers.readline()
            if not line.endswith(b"\n"):
                raise EOFError
            answer = dict(json.loads(line))
            place, pictures = answer.get("place"), {}
            for name, shape in answer.get("pictures", ()):
                pictures[name] = picture = np.empty(shape, np.uint8)
                self._fill(picture, place)
                place = None if place is None else place + picture.nbytes
            answer["pictures"] = pictures
            if answer.get("is_held"):
                self._commands.write(b"\0")
                self._commands.flush()
        if "error" in answer:
            number = answer["errno"]
            cause = OSError(number, os.strerror(number)) if number else None
            raise VideoError(answer["error"]) from cause
        return answer

    def _fill(self, picture: Image, place: int | None) -> None:
        """With the bytes at an offset of the shared memory, or those that follow the answer."""
        if place is not None:
            there = np.frombuffer(self._shared, np.uint8, picture.nbytes, place)
            picture[...] = there.reshape(picture.shape)
        elif self._answers.readinto(picture) != picture.nbytes:
            raise EOFError

    @contextlib.contextmanager
    def _ending_on_failure(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError, ValueError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING_S)
            lines = self.end()
            how = self._how_it_ended()
            was_killed = self.has_crashed and how == "SIGKILL"
            # No file can send it: the next attempt may succeed.
            cause = InterruptedError(errno.EINTR, "killed") if was_killed else None
            why = self._why_it_ended(how, was_killed, lines)
            raise DecoderEndedError(f"{self._name}: {why}", how) from cause
        except BaseException:  # after Ctrl-C, the next command would get this one's answer
            self.end()
            raise

    def kill(self) -> None:
        """Stop the process, whatever it does; another thread may be waiting for its answer."""
        self._is_stopped |= self.is_alive
        self._process.kill()

    def end(self) -> list[str]:
        """Stop the process and close its files. Returns the lines that it wrote on stderr."""
        self.kill()
        self._process.wait()
        self.has_crashed = not self._is_stopped
        lines: list[str] = []
        if not self._errors.closed:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
        for file in (self._errors, self._shared, self._commands, self._answers):
            with contextlib.suppress(OSError):
                file.close()
        return lines

    def _how_it_ended(self) -> str:
        code = self._process.returncode
        if code == -signal.SIGALRM:
            return "silent"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def _why_it_ended(self, how: str, was_killed: bool, lines: list[str]) -> str:
        if how == "silent":
            return (
                f"the decoder hung: no frame for {self._limits.max_silence_s:g} s; re-encode it, "
                "or raise decoding.max_silence_s"
            )
        if how == "exit code 1" and lines:
            return f"the decoding process ended: {lines[-1]}; try decoding.isolate=false"
        if was_killed:
            return (
                "the decoding process was killed (SIGKILL), as the system does when memory runs "
                "out; free memory, or lower features.workers or decoding.max_memory_gb"
            )
        return f"the decoder crashed ({how}): the file is damaged or crafted; re-encode it"


def _frame_file() -> Any:
    """Memory for pictures, taken as it is written. A pipe costs two more copies of each."""
    if hasattr(os, "memfd_create"):  # Linux
        file: Any = os.fdopen(os.memfd_create("frame"), "r+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.truncate(SHARED_BYTES)
    return file


_idle: list[DecoderProcess] = []
_lock = threading.Lock()


def take_process() -> DecoderProcess:
    """An idle process, or a new one, which takes about a second to start."""
    with _lock:
        while _idle and not _idle[-1].is_alive:
            _idle.pop().end()
        found = _idle.pop() if _idle else None
    process = found or DecoderProcess()
    with contextlib.suppress(VideoError):  # it may be starting still, which is no file's fault
        process.ask("close")
    return process


def start_process() -> None:
    """Start one for whoever takes one next, who does something else meanwhile."""
    process = DecoderProcess()
    with _lock:
        _idle.append(process)


def give_back_process(process: DecoderProcess) -> None:
    """Close what the process holds, and keep it for the next user."""
    with contextlib.suppress(VideoError):
        process.ask("close")
    with _lock:
        if process.is_alive and len(_idle) < MOST_IDLE:
            _idle.append(process)
            return
    process.end()


@atexit.register
def end_idle() -> None:
    """Stop the unused processes."""
    with _lock:
        while _idle:
            _idle.pop().end()


os.register_at_fork(after_in_child=_idle.clear)  # a child must not write to its parent's processes


class ProcessReader:
    """A `FrameReader` that is open in a process. Closing it gives the process back.

    Raises VideoError where `open_reader` does, DecoderEndedError where it ends the process.
    """

    def __init__(
        self,
        process: DecoderProcess,
        open_reader: Callable[[], FrameReader],
        name: str,
        limits: DecodeLimits,
    ) -> None:
        self._process, self.damaged = process, 0
        try:
            info = process.begin("open", open_reader, name, limits)["info"]
        except BaseException:
            self.close()
            raise
        listed = {name: tuple(info[name]) for name in ("size_px", "notes")}
        self.info = VideoInfo(**{**info, **listed})

    def grab(self) -> float | None:
        answer = self._process.ask("grab")
        self.damaged = int(answer["damaged"])
        time_s: float | None = answer["time_s"]
        return time_s

    def retrieve(self) -> Image:
        image: Image = self._process.ask("retrieve")["pictures"][""]
        return image

    def close(self) -> None:
        give_back_process(self._process)
