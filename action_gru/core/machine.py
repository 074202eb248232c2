"""This process on its machine: device, freed memory, launcher, a thread that works ahead.

`torchrun` and `accelerate launch` set RANK, WORLD_SIZE and LOCAL_WORLD_SIZE in the environment.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from action_gru.core.errors import BackboneError, ConfigError

if TYPE_CHECKING:
    import torch


import contextlib
import queue
from collections.abc import Iterable
from typing import Generic, TypeVar

# From glibc's malloc.h; `man mallopt` describes them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
OF_USER = ("GLIBC_TUNABLES", "LD_PRELOAD")  # and whatever begins with MALLOC_
KEPT = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 1 << 30}
# glibc's first value, and the thresholds that it reaches by itself where blocks are large.
USUAL = {M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 64 << 20}
_lock = threading.Lock()
_users = [0]  # how many threads are within `keeping_freed_memory`


def pick_device(name: str) -> torch.device:
    """auto -> the first GPU, Apple's GPU, or the CPU.

    Raises BackboneError when a named device is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((kind for kind, is_there in there.items() if is_there), "cpu"))
    device = torch.device(name)
    if not there.get(device.type, True) or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise BackboneError(f"device: '{name}' is not on this machine; use auto or cpu")
    return device


def use_one_arena(environment: Mapping[str, str] = os.environ) -> bool:
    """Let all threads that are still to start share one arena; returns whether it was done.

    Only the main arena grows in place: other arenas give back pieces of 64 MB even
    within `keeping_freed_memory`. Call it at the start of a program.
    """
    library = _glibc(environment)
    return library is not None and library.mallopt(M_ARENA_MAX, 1) == 1


@contextmanager
def keeping_freed_memory(environment: Mapping[str, str] = os.environ) -> Iterator[bool]:
    """Freed memory stays with this process until the block ends; yields whether that is so.

    Several threads may be within: the last one to leave gives it back. Does nothing without glibc,
    or where the user chose an allocator or its settings.
    """
    # glibc maps the tens of megabytes of a network's results anew for each batch, and the system
    # clears every page: a quarter of an extraction's time. Training gains nothing by it.
    library = _glibc(environment)
    if library is None:
        yield False
        return
    with _lock:
        _users[0] += 1
        is_kept = all(library.mallopt(*setting) == 1 for setting in KEPT.items())
    try:
        yield is_kept
    finally:
        with _lock:
            _users[0] -= 1
            if not _users[0]:
                all(library.mallopt(*setting) == 1 for setting in USUAL.items())
                library.malloc_trim(0)


def _glibc(environment: Mapping[str, str]) -> Any:
    if any(name in OF_USER or name.startswith("MALLOC_") for name in environment):
        return None
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version, library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return None
    return library


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in this thread alone until the block ends.

    For single steps of a small model while another thread runs a network: several threads are no
    quicker at a step, and those that wait for its next product spin, which slows the other down.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def program() -> list[str]:
    """The words that start this program again, from the same folder."""
    started = Path(sys.argv[0])
    if started.stem == "action-gru":
        found = shutil.which(started.name)
        return [started.name if found and Path(found) == started.absolute() else sys.argv[0]]
    is_on_path = shutil.which("python") == sys.executable
    return ["python" if is_on_path else sys.executable, "-m", "action_gru"]


def process_count() -> int:
    """How many processes were launched together, on all machines; 1 without a launcher.

    These three raise ConfigError for a variable that is no such number.
    """
    return _launcher_number("WORLD_SIZE", 1, least=1)


def process_rank() -> int:
    """The number of this process among them, from 0."""
    return _launcher_number("RANK", 0) if process_count() > 1 else 0


def processes_here() -> int:
    """How many of them run on this machine."""
    count = process_count()
    return max(1, min(_launcher_number("LOCAL_WORLD_SIZE", count), count))


def refuse_several(command: str) -> None:
    """Raise ConfigError where a launcher started several processes of a command made for one."""
    if process_count() > 1:
        raise ConfigError(
            f"{command} runs in one process, and a launcher started {process_count()}; start it "
            "without torchrun or accelerate launch (train and resume run in several)"
        )


def only_one_was_meant() -> bool:
    """Whether `accelerate launch --cpu` was given several processes, of which it starts one.

    It sets a meeting point then, and no process count.
    """
    return "WORLD_SIZE" not in os.environ and {"MASTER_PORT", "ACCELERATE_USE_CPU"} <= {*os.environ}


def check_meeting_point() -> None:
    """Raise ConfigError where several processes have no address to meet at."""
    lacking = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if process_count() > 1 and lacking:
        raise ConfigError(
            f"{', '.join(lacking)}: not set, and WORLD_SIZE={process_count()} asks for several "
            "processes; start them with torchrun or accelerate launch, or unset WORLD_SIZE"
        )


def _launcher_number(name: str, default: int, least: int = 0) -> int:
    text = os.environ.get(name, "")
    if text and (not text.isdecimal() or int(text) < least):
        raise ConfigError(
            f"{name}: the environment says {text!r}, and a launcher sets a whole number from "
            f"{least} on; unset it, or start with torchrun or accelerate launch"
        )
    return int(text or default)


class Worker(threading.Thread):
    """A thread whose end can be waited for again after ctrl-C has interrupted the waiting.

    Python's own `join` takes it for ended then, and the next one returns at once.
    """

    def __init__(self, work: Callable[[], None], name: str | None = None) -> None:
        super().__init__(target=work, name=name, daemon=True)
        self._has_left = threading.Event()

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._has_left.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most `timeout` seconds; at once where it never started."""
        if self.ident is not None and self._has_left.wait(timeout):
            super().join()


Item = TypeVar("Item")


class Prefetch(Generic[Item]):
    """Iterates over `items` with at most `size` of them made ahead. Use as a context manager.

    What making them raises is raised here. Leaving the block ends the thread.
    """

    def __init__(self, items: Iterable[Item], size: int) -> None:
        self._items = items
        # Each entry: an item alone, the error that making one raised, or nothing at the end.
        self._queue: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(size)
        self._stop = threading.Event()
        self._thread = Worker(self._make, "action_gru prefetch")

    def __enter__(self) -> Prefetch[Item]:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        try:
            self._thread.join()
        finally:  # after an interrupt too: a thread that is in torch while Python ends aborts it
            self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        while entry := self._queue.get():
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]

    def _make(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
            self._put(None)
        except BaseException as error:  # raised again by the thread that iterates
            self._put(error)

    def _put(self, entry: tuple[Item] | BaseException | None) -> bool:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(entry, timeout=0.1)
                return True
        return False
