"""The thread of one sink: takes what waits, delivers it in order, and tries again while it is down.

Knows no kind of sink, and no live loop.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from action_gru.apps.sinks.store import Spool, Store
from action_gru.core.progress import Reporter
from action_gru.core.text import counted

T = TypeVar("T", contravariant=True)
Item = TypeVar("Item")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
LOOK_S = 5.0  # how often a sink without work looks after its connection


class SinkDownError(Exception):
    """The sink takes nothing now; another attempt is worthwhile. pause_s: not before."""

    def __init__(self, why: str, pause_s: float | None = None) -> None:
        super().__init__(why)
        self.pause_s = pause_s


class RefusedError(Exception):
    """The sink will never take this one message."""


class Delivery(Protocol[T]):
    """One kind of sink. All of it runs in the worker's thread."""

    def deliver(self, item: T, is_old: bool) -> None:
        """Returns once the receiver has it. is_old: from before this program started.

        Raises SinkDownError, OSError or RefusedError.
        """
        ...

    def look_after(self) -> None:
        """Nothing waits: keep the connection. Raises as `deliver` does."""
        ...

    def close(self) -> None:
        """The last call."""
        ...


@dataclass(frozen=True)
class SinkStatus:
    """How a sink is doing. down: why it takes nothing, '' while it does."""

    name: str
    kind: str
    sent: int
    waiting: int
    dropped: int
    down: str


class Worker(Generic[Item]):
    """Delivers the items of a store through one sink, each once it is its turn."""

    def __init__(
        self, name: str, kind: str, sink: Delivery[Item], store: Store[Item], reporter: Reporter
    ) -> None:
        self.name, self.kind, self.store = name, kind, store
        self._sink, self._reporter = sink, reporter
        self.most = ""  # how much may wait, in words, where it is no number of items
        self._sent = self._refused = 0
        self._down = self._not_kept = ""
        self._told_dropped = 1
        self._pause_s = FIRST_PAUSE_S
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)

    def start(self) -> None:
        if isinstance(self.store, Spool):
            if waiting := len(self.store):
                left = counted(waiting, "message")
                self._reporter.info(f"{self.name}: {left} left of the last time, sent first")
            if self.store.damaged:
                bad = counted(self.store.damaged, "message")
                self._reporter.warn(f"{self.name}: {bad} left of the last time could not be read")
        self._thread.start()

    def put(self, item: Item) -> None:
        """Let it wait its turn; never raises."""
        try:
            self.store.append(item)
        except OSError as error:
            if not self._not_kept:
                self._not_kept = str(error.strerror or error)
                self._reporter.warn(
                    f"{self.name}: what waits cannot be written down ({self._not_kept}) and is "
                    "lost if the program ends; free space"
                )
        self._tell_dropped()
        self._wake.set()

    def status(self) -> SinkStatus:
        dropped = self.store.dropped + self._refused
        return SinkStatus(self.name, self.kind, self._sent, len(self.store), dropped, self._down)

    def close(self) -> None:
        """Deliver what waits, if the sink takes it at once; returns at once. See `wait`."""
        self._closing.set()
        self._wake.set()

    def wait(self, until_s: float) -> None:
        """Wait for the end until then, of time.monotonic."""
        self._thread.join(max(0.0, until_s - time.monotonic()))

    def tell_left(self) -> None:
        """The last call: tell what could not be delivered."""
        if left := len(self.store):
            what = counted(left, "message")
            place = self.store.folder if isinstance(self.store, Spool) else None
            kept = f"are sent at the next start ({place})" if place else "are lost"
            why = f" ({self._down})" if self._down else ""
            self._reporter.warn(f"{self.name}: {what} could not be delivered{why}, and {kept}")
        if not self._thread.is_alive():
            self.store.close()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            is_last = self._closing.is_set()
            found = self.store.first()
            try:
                if found is not None:
                    self._sink.deliver(found[1], self.store.is_old(found[0]))
                elif not is_last:
                    self._sink.look_after()
            except RefusedError as error:
                self._refused += 1
                self._reporter.warn(f"{self.name}: refused, and left out: {error}")
            except Exception as error:  # whatever it is, the next attempt may do better
                if is_last:
                    self._down = str(error) or type(error).__name__
                    break
                self._rest(error)
                continue
            else:
                self._sent += found is not None
            self._is_up()
            if found is not None:
                self.store.remove(found[0])
            elif is_last:
                break
            else:
                self._wake.wait(LOOK_S)
        self._sink.close()

    def _rest(self, error: Exception) -> None:
        """Tell that the sink is down, once, and wait before the next attempt."""
        why = str(error) or type(error).__name__
        if not self._down:
            self._reporter.warn(f"{self.name}: {why}; trying again until it works")
        self._down = why
        pause_s = getattr(error, "pause_s", None) or self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._closing.wait(pause_s)

    def _is_up(self) -> None:
        if self._down:
            self._reporter.info(f"{self.name}: works again")
        self._down, self._pause_s = "", FIRST_PAUSE_S

    def _tell_dropped(self) -> None:
        """At the first one, the second, the fourth ..."""
        if self.store.dropped >= self._told_dropped:
            dropped = counted(self.store.dropped, "message")
            self._reporter.warn(
                f"{self.name}: {dropped} dropped so far, the oldest: no more than "
                f"{self.most or self.store.limit} wait"
            )
            while self._told_dropped <= self.store.dropped:
                self._told_dropped *= 2
