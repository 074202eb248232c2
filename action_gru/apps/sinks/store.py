"""Messages that wait for their sink: in memory, and in a folder, so that they outlive the program.

Knows no sink. Each message is a file NUMBER.json that appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from action_gru.apps.sinks.message import Message
from action_gru.core.files import hold_folder, is_held, remove_leftovers, write_atomically

T = TypeVar("T")
TARGET = "target.txt"  # says whose folder it is


class Store(Generic[T]):
    """The newest of what waits, oldest first; threads may share it.

    limit: how much may wait: items, or what their `weigh` adds up to; the newest always may.
    dropped: how many were left out for newer ones.
    """

    def __init__(self, limit: float, weigh: Callable[[T], float] = lambda item: 1) -> None:
        self.limit, self.dropped = limit, 0
        self._weigh, self._weight = weigh, 0.0
        self._waiting: OrderedDict[int, T] = OrderedDict()
        self._next = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, item: T) -> None:
        """Raises OSError where it waits in memory alone, because it could not be written down."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._waiting[number] = item
            self._weight += self._weigh(item)
            while self._weight > self.limit and len(self._waiting) > 1:
                oldest = next(iter(self._waiting))
                self._take_out(oldest)
                self.dropped += 1
            self._keep(number, item)

    def first(self) -> tuple[int, T] | None:
        """The oldest one and its number; None where nothing waits."""
        with self._lock:
            return next(iter(self._waiting.items()), None)

    def remove(self, number: int) -> None:
        """It is delivered, or given up; it may have been dropped meanwhile."""
        with self._lock:
            if number in self._waiting:
                self._take_out(number)

    def is_old(self, number: int) -> bool:
        """Is it from before this program started?"""
        return False

    def close(self) -> None:
        """Let go of the folder; what waits there stays."""

    def _take_out(self, number: int) -> None:
        self._weight -= self._weigh(self._waiting.pop(number))
        self._forget(number)

    def _keep(self, number: int, item: T) -> None: ...

    def _forget(self, number: int) -> None: ...


class Spool(Store[Message]):
    """A store in a folder of `root` that is held by this process; `target` names whose it is.

    What an earlier process left there for the same target waits first. damaged: files among them
    that could not be read, and were removed. Raises OSError where the folder cannot be made.
    """

    def __init__(self, root: Path, target: str, limit: int) -> None:
        super().__init__(limit)
        self.damaged = 0
        name = hashlib.sha256(target.encode()).hexdigest()[:16]
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder, self._hold = _first_free(root, name)
        write_atomically(self.folder / TARGET, f"{target}\n".encode())
        for folder in sorted(root.glob(f"{name}*")):  # of processes that have ended, too
            if folder == self.folder:
                self._adopt(folder)
            else:
                with contextlib.suppress(BlockingIOError), _held(folder):
                    self._adopt(folder)
        self._first_new = self._next

    def is_old(self, number: int) -> bool:
        return number < self._first_new

    def close(self) -> None:
        if self._hold is not None:
            os.close(self._hold)
            self._hold = None

    def _adopt(self, folder: Path) -> None:
        """Take in the messages of a folder that no other process uses."""
        remove_leftovers(folder)
        for path in sorted(folder.glob("*.json")):
            try:
                message = json.loads(path.read_text(encoding="utf-8"))
                is_message = isinstance(message, dict) and "state" in message
            except ValueError:
                is_message = False
            if not is_message:
                self.damaged += 1
                path.unlink(missing_ok=True)
                continue
            if folder == self.folder:  # it keeps its number
                number = self._next = int(path.stem) if path.stem.isdecimal() else self._next
                self._waiting[number] = message
                self._weight += 1
                self._next = number + 1
            else:
                self.append(message)
                path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012d}.json"

    def _keep(self, number: int, item: Message) -> None:
        write_atomically(self._path(number), json.dumps(item).encode(), root=self.folder)

    def _forget(self, number: int) -> None:
        self._path(number).unlink(missing_ok=True)


def left_elsewhere(root: Path, mine: Sequence[Store[Any]]) -> list[tuple[str, Path, int]]:
    """Of folders that no process holds and that are not `mine`: target, folder, what waits."""
    folders = [store.folder for store in mine if isinstance(store, Spool)]
    found = []
    for folder in sorted(root.glob("*")) if root.is_dir() else ():
        waiting = 0 if folder in folders else len(list(folder.glob("*.json")))
        with contextlib.suppress(OSError):
            if waiting and not is_held(folder):
                target = (folder / TARGET).read_text(encoding="utf-8").strip()
                found.append((target, folder, waiting))
    return found


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Raises BlockingIOError where another process holds it."""
    number = hold_folder(folder)
    try:
        yield
    finally:
        if number is not None:
            os.close(number)


def _first_free(root: Path, name: str) -> tuple[Path, int | None]:
    """The first of NAME, NAME-2, NAME-3 ... that no other process holds, and the lock on it."""
    count = 1
    while True:
        folder = root / (name if count == 1 else f"{name}-{count}")
        folder.mkdir(exist_ok=True, mode=0o700)
        try:
            return folder, hold_folder(folder)
        except BlockingIOError:
            count += 1
