"""The process in which a file or stream is decoded. Commands come on stdin, answers go to stdout.

Each is a line of JSON. Pictures go through a file that both processes map. The process ends when
stdin does, and the system ends it when the next frame takes longer than the limit, so that it can't
outlive its parent.
Knows nothing of who asks.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from action_gru.core.errors import ActionGruError, system_errno
from action_gru.core.machine import keeping_freed_memory, use_one_arena
from action_gru.video.file import VideoFile
from action_gru.video.frame import Image
from action_gru.video.limits import DecodeLimits, LimitedReader, limited_file, limited_stream
from action_gru.video.source import Source

SPARE_BYTES = 32 << 20  # what must be left at the end of a file: else it may have ended by want


class Session:
    """What the process holds between two commands: an open file, and the mapped memory."""

    def __init__(self) -> None:
        self._reader: LimitedReader | None = None
        self._run: Run | None = None
        self._shared: mmap.mmap | None = None
        self._memory = contextlib.ExitStack()
        self._name = ""

    def open(
        self, path: str, threads: int | None, limits: dict[str, Any], folder: str
    ) -> dict[str, Any]:
        """Stand on the first frame."""
        bound = self._begin(path, limits, folder)
        self._reader = limited_file(Path(path), threads, bound)
        return asdict(self._reader.info)

    def connect(
        self,
        source: dict[str, Any],
        open_timeout_s: float,
        read_timeout_s: float,
        limits: dict[str, Any],
    ) -> dict[str, Any]:
        """Stand on the first frame of a network stream."""
        bound = self._begin(source["name"], limits, str(Path.cwd()))
        self._reader = limited_stream(
            Source(**source), open_timeout_s, read_timeout_s, bound.max_pixels
        )
        return asdict(self._reader.info)

    def grab(self) -> dict[str, Any]:
        assert self._reader is not None
        time_s = self._reader.grab()
        if time_s is None:
            check_memory()
        return {"time_s": time_s}

    def retrieve(self) -> dict[str, Any]:
        """shape of the picture in the shared memory; `needs` bytes where that is too small."""
        assert self._reader is not None
        image = self._reader.retrieve()
        if self._shared is None or len(self._shared) < image.nbytes:
            return {"needs": image.nbytes}
        put(self._shared, 0, image)
        return {"shape": image.shape}

    def run(
        self,
        path: str,
        threads: int | None,
        limits: dict[str, Any],
        folder: str,
        program: tuple[str, str],
        arguments: dict[str, Any],
    ) -> dict[str, Any]:
        """Begin a program that makes pictures of a file; the layout of its samples."""
        here = replace(self._begin(path, limits, folder), isolate=False)
        video = VideoFile(path, threads, here)
        module, function = program
        self._run = Run(video, getattr(import_module(module), function)(video, **arguments))
        return {"layout": self._run.layout}

    def sample(self, offset: int) -> dict[str, Any]:
        """The program's next sample, its pictures one after the other from the offset on."""
        assert self._run is not None
        time_s, frames = self._run.put(self._shared, offset)
        return {"time_s": time_s, "frames": frames}

    def map(self, path: str) -> dict[str, Any]:
        with Path(path).open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 0)
        return {}

    def close(self) -> dict[str, Any]:
        for held in (self._reader, self._run):
            if held is not None:
                held.close()
        self._reader = self._run = None
        self._memory.close()
        return {}

    def _begin(self, path: str, limits: dict[str, Any], folder: str) -> DecodeLimits:
        self.close()
        os.chdir(folder)
        self._name, bound = path, DecodeLimits(**limits)
        limit_memory(bound.max_memory_gb)
        self._memory.enter_context(keeping_freed_memory())  # each frame takes the last one's
        return bound

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        """The answer to a command, or the `error` that it ended in, with the system's `errno`."""
        try:
            return dict(getattr(self, command.pop("do"))(**command))
        except ActionGruError as error:
            return {"error": str(error)}
        except MemoryError:
            limit = "decoding.max_memory_gb"
            return {"error": f"{self._name}: decoding needs more memory than {limit} allows"}
        except Exception as error:  # a decoder's own failure costs this file only, and is named
            text = f"{self._name}: {type(error).__name__} while decoding: {error}"
            return {"error": text, "errno": system_errno(error)}


class Run:
    """A program's samples, one ahead of what was asked for."""

    def __init__(self, video: VideoFile, samples: Iterator[tuple[float, dict[str, Image]]]) -> None:
        self._video, self._samples = video, samples
        self._first = next(samples, None)
        made = self._first[1] if self._first else {}
        self.layout = [(name, picture.shape) for name, picture in made.items()]

    def put(self, shared: mmap.mmap | None, offset: int) -> tuple[float | None, int]:
        """(time_s, frames decoded so far) of the next sample; time_s None at the end."""
        sample = self._first or next(self._samples, None)
        self._first = None
        if sample is None:
            check_memory()
            return None, self._video.frames_decoded
        time_s, made = sample
        if [(name, picture.shape) for name, picture in made.items()] != self.layout:
            raise ValueError("pictures change their shapes")
        for picture in made.values():
            assert shared is not None
            put(shared, offset, picture)
            offset += picture.nbytes
        return time_s, self._video.frames_decoded

    def close(self) -> None:
        self._video.close()


def put(shared: mmap.mmap, offset: int, picture: Image) -> None:
    room = np.frombuffer(shared, np.uint8, picture.nbytes, offset)
    room[:] = picture.reshape(-1)


def check_memory() -> None:
    """Raise MemoryError where a file may have ended by want of memory: FFmpeg does not say."""
    np.empty(SPARE_BYTES, np.uint8)


def limit_memory(memory_gb: float) -> None:
    """Let the process have so much more data than it has now. Linux only."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    data_bytes = int(statm.read_text().split()[5]) * resource.getpagesize()
    most = data_bytes + int(memory_gb * (1 << 30))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def forbid_files() -> None:
    """From here on the process can write no file and dump no core."""
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(kind, (0, 0))


def set_alarm(seconds: float) -> None:
    """End the process after so many seconds, whatever it does then; 0: do not."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def serve(commands: BinaryIO, answers: BinaryIO) -> None:
    """Answer commands until there are no more."""
    session = Session()
    for line in commands:
        answer = session.answer(json.loads(line))
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    LimitedReader.alarm = set_alarm
    forbid_files()
    use_one_arena()
    cv2.setNumThreads(1)  # whoever wants more cores starts more of us
    serve(sys.stdin.buffer, answers)
