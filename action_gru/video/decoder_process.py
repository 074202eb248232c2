"""The decoding processes: started, asked, ended. Idle ones are kept, and end with this process.

What they do is in `worker`. Knows nothing of codecs.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from action_gru.core.errors import VideoError
from action_gru.video.frame import Image

START = "import sys; sys.path[:] = sys.argv[1:]; from action_gru.video.worker import main; main()"
SHARED_MEMORY = Path("/dev/shm")
ENDING_S = 1.0  # from the end of its answers to the end of a process
MOST_IDLE = min(16, os.cpu_count() or 1)


class DecoderProcess:
    """One decoding process: commands as lines of JSON, pictures through memory that it shares."""

    def __init__(self) -> None:
        self.shared: mmap.mmap | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self.is_ours = False  # who ended it
        self._said: list[str] = []  # its lines, once the process has ended
        command = [sys.executable, "-I", "-c", START, *sys.path]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors)

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a command. Raises VideoError with the error that the process answers, and
        EOFError when it has ended instead.
        """
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
            answer = dict(json.loads(line))
        if "error" in answer:
            number = answer.get("errno")
            cause = OSError(number, os.strerror(number)) if number else None
            raise VideoError(answer["error"]) from cause
        return answer

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
                with tempfile.NamedTemporaryFile(prefix="action_gru-", dir=folder) as file:
                    _reserve(file.fileno(), size_bytes)
                    self.shared = mmap.mmap(file.fileno(), size_bytes)
                    self.ask("map", path=file.name)
                    return
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
        """Stop the process, and keep what it wrote on stderr."""
        self.kill()
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
    def was_killed(self) -> bool:
        """Has somebody else ended the process, by force?"""
        return self._process.returncode == -signal.SIGKILL and not self.is_ours

    def how_it_ended(self) -> str:
        """In a word or two: 'silent', 'SIGSEGV', 'exit code 3'."""
        code = self._process.returncode
        if code == -signal.SIGALRM:
            return "silent"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def why_it_ended(self, silence_s: float) -> str:
        """What became of a file's decoder in words, with the mend."""
        how = self.how_it_ended()
        if how == "silent":
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
        return f"the decoder crashed ({how}): the file is damaged or crafted; re-encode it"


def _reserve(number: int, size_bytes: int) -> None:
    """Make the open file this long. Raises OSError when there is no room for it."""
    if hasattr(os, "posix_fallocate"):  # macOS has none
        os.posix_fallocate(number, 0, size_bytes)
    else:
        os.ftruncate(number, size_bytes)


_idle: list[DecoderProcess] = []
_lock = threading.Lock()


def take_process() -> DecoderProcess:
    """An idle process, or a new one."""
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.is_alive:
                return process
            process.end()
    return DecoderProcess()


def give_back_process(process: DecoderProcess) -> None:
    """Keep it for the next who takes one; whoever gives it back has closed what it held."""
    with _lock:
        if process.is_alive and len(_idle) < MOST_IDLE:
            _idle.append(process)
            return
    process.end()


@atexit.register
def end_idle() -> None:
    """Stop the processes that nobody uses now."""
    with _lock:
        while _idle:
            _idle.pop().end()


os.register_at_fork(after_in_child=_idle.clear)  # a child must not speak on its parent's pipes
