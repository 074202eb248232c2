"""Makes items in a thread while the caller works on earlier ones. Knows not what they are."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

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
        self._thread = threading.Thread(target=self._make, name="action_gru prefetch", daemon=True)

    def __enter__(self) -> Prefetch[Item]:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
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
