"""The process that decodes files and streams; `decoder_process` starts it.

Commands come on stdin. An answer on stdout is a line of JSON. Its pictures are in memory that both
processes share, at a place that the parent frees by a byte on stdin; larger ones follow the line.
The process ends when stdin does, and the system ends it when the next frame takes longer than the
limit, so that it can't outlive its parent.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from action_gru.core.errors import ActionGruError, system_errno
from action_gru.core.machine import keeping_freed_memory, use_one_arena
from action_gru.video.frame import FrameReader, Image, Watch

SPARE_BYTES = 32 << 20  # where less is left at the end of a file, memory may have run out
PLACES, AHEAD_BYTES = 8, 4 << 20  # samples decoded ahead: so many at most, and so large


class Places:
    """Where in the shared memory the pictures of the next samples go, in turn."""

    def __init__(self, shared: mmap.mmap, freed: BinaryIO) -> None:
        self.most_bytes = len(shared) // PLACES
        self._freed = freed
        self._count = self._next = self._taken = 0

    def take(self, size: int) -> int:
        """The offset of a place for so many bytes; waits until one is free."""
        count = max(1, min(PLACES, AHEAD_BYTES // size))
        if count != self._count:
            self.wait()
            self._count, self._next = count, 0
        self.wait(count - 1)
        offset = self._next * self.most_bytes
        self._next, self._taken = (self._next + 1) % count, self._taken + 1
        return offset

    def wait(self, most: int = 0) -> None:
        """Until no more than so many are taken."""
        while self._taken > most:
            if not self._freed.read(1):
                raise EOFError
            self._taken -= 1


class Session:
    """The commands, as methods, and the reader that is open between them."""

    def __init__(self, answers: BinaryIO, shared: mmap.mmap, freed: BinaryIO) -> None:
        self._answers, self._shared = answers, shared
        self._places = Places(shared, freed)
        self._reader: Any = None
        self._held = contextlib.ExitStack()
        self._name = ""

    def answer(self, do: str, arguments: dict[str, Any]) -> None:
        """Run a command. An error is the answer too: `error`, and the system's `errno`."""
        try:
            getattr(self, do)(**arguments)
        except ActionGruError as error:
            self._send(error=str(error), errno=None)
        except MemoryError:
            text = "decoding needs more memory than decoding.max_memory_gb allows"
            self._send(error=f"{self._name}: {text}", errno=None)
        except Exception as error:  # a decoder's own failure costs this file only
            text = f"{self._name}: {type(error).__name__} while decoding: {error}"
            self._send(error=text, errno=system_errno(error))
        self._places.wait()

    def open(self, work: Callable[[], FrameReader], **place: Any) -> None:
        """Hold the reader that the work makes. Answers its `info`."""
        self._begin(**place)
        self._reader = work()
        self._held.callback(self._reader.close)
        self._send(info=asdict(self._reader.info))

    def grab(self) -> None:
        time_s = self._reader.grab()
        self._send(time_s=time_s, damaged=self._reader.damaged)

    def retrieve(self) -> None:
        image = self._reader.retrieve()
        self._send({"": image}, place=0 if image.nbytes <= len(self._shared) else None)

    def run(
        self,
        work: Callable[[], Iterator[tuple[float | None, dict[str, Image], dict[str, Any]]]],
        **place: Any,
    ) -> None:
        """Answers each (time_s, pictures, what is known) at once; time_s None ends them."""
        self._begin(**place)
        for time_s, pictures, known in work():
            size = sum(image.nbytes for image in pictures.values())
            is_held = 0 < size <= self._places.most_bytes
            offset = self._places.take(size) if is_held else None
            self._send(pictures, offset, time_s=time_s, is_held=is_held, **known)

    def close(self) -> None:
        self._release()
        self._send()

    def _release(self) -> None:
        self._reader = None  # its memory is free when the allocator gives back
        self._held.close()

    def _begin(self, name: str, memory_gb: float, folder: str) -> None:
        self._release()
        self._name = name
        os.chdir(folder)  # a relative path starts there
        limit_memory(memory_gb)
        self._held.enter_context(keeping_freed_memory())  # the next frame takes it again

    def _send(
        self, pictures: Mapping[str, Image] | None = None, place: int | None = None, **answer: Any
    ) -> None:
        """place: the offset of the pictures in the shared memory; None: they follow."""
        if answer.get("time_s", 0) is None:  # FFmpeg does not say that memory ran out: try some
            np.empty(SPARE_BYTES, np.uint8)
        made = {name: np.ascontiguousarray(image) for name, image in (pictures or {}).items()}
        answer |= {"pictures": [(name, image.shape) for name, image in made.items()]}
        if place is not None:
            answer["place"] = place
            for image in made.values():
                np.frombuffer(self._shared, np.uint8, image.nbytes, place)[:] = image.reshape(-1)
                place += image.nbytes
        self._answers.write(json.dumps(answer).encode() + b"\n")
        for image in made.values() if "place" not in answer else ():
            self._answers.write(image.data)
        self._answers.flush()


def limit_memory(memory_gb: float) -> None:
    """Let the process have so much more data than it has now. Linux only."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    data_bytes = int(statm.read_text().split()[5]) * resource.getpagesize()
    most = data_bytes + int(memory_gb * (1 << 30))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    Watch.alarm = partial(signal.setitimer, signal.ITIMER_REAL)  # it ends the process; 0: no alarm
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):  # write no file, dump no core
        resource.setrlimit(kind, (0, 0))
    use_one_arena()
    cv2.setNumThreads(1)  # for more cores, more processes are started
    commands = sys.stdin.buffer
    session = Session(answers, mmap.mmap(int(sys.argv[1]), 0), commands)
    with contextlib.suppress(EOFError):
        while True:
            session.answer(*pickle.load(commands))
