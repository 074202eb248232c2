"""One worker process of the studio that keeps its networks warm and does one task after another.

The server stays light and survives whatever happens in here: a task may take long, be cancelled by
killing the process, or bring it down. The worker ends with the server, however that ends.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import multiprocessing
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from heapq import heappop, heappush
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from action_gru.apps.studio.worker import serve
from action_gru.core.errors import ActionGruError
from action_gru.core.progress import log

STARTING, READY, FAILED = "starting", "ready", "failed"
STOP_S = 2.0  # how long a killed worker may take to be gone
MOST_LOST = 3  # workers in a row that ended while starting: then no more until a task asks for one
Told = Callable[[Any], None]


class TaskError(ActionGruError):
    """A task failed; the message is the one of the worker."""


class StoppedTaskError(ActionGruError):
    """The worker was stopped before the task ended."""


class Engine:
    """A worker process with the TASKS of some modules; may be used from any thread.

    modules: names of modules with `TASKS: dict[str, Callable]`, and perhaps `warm(tell)`, which
    may return what to know of the worker for good. A task is called as `task(tell, *args)` in the
    worker; what it tells reaches `told` of its asker, in a thread of this process. changed: called
    after each change of `state` and `text`. folder: where the worker's relative paths start. after:
    another engine that warms up first.
    """

    def __init__(
        self,
        name: str,
        modules: Sequence[str],
        changed: Callable[[], None],
        folder: Path | None = None,
        after: Engine | None = None,
    ) -> None:
        self.name, self.modules, self._changed = name, tuple(modules), changed
        self.folder, self._after = folder, after
        self.has_started = threading.Event()  # it has warmed up, or will not
        self.state, self.text = STARTING, ""
        self._lock = threading.Lock()  # guards all that follows
        self._waiting: list[tuple[int, int, _Ask]] = []  # a heap
        self._count = itertools.count()
        self._running: _Ask | None = None
        self._process: Any = None
        self._is_closed = self._is_rung = self._is_killed = False
        self._lost = 0  # workers in a row that ended before they were ready
        self._bell, self._ring = multiprocessing.Pipe(duplex=False)  # wakes the thread
        self._thread = threading.Thread(target=self._work, name=f"engine-{name}", daemon=True)

    def start(self) -> None:
        """Start the worker in the background; it warms up while tasks wait."""
        # Before multiprocessing's own, which would wait for a worker that goes on.
        atexit.register(self.close)
        self._thread.start()

    def ask(
        self, task: str, *args: object, urgent: bool = False, told: Told | None = None
    ) -> Future[Any]:
        """The task's result, later; urgent ones go first. It fails with TaskError."""
        asked = _Ask(task, args, told)
        with self._lock:
            if not self._is_closed:
                heappush(self._waiting, (0 if urgent else 1, next(self._count), asked))
                self._wake()
                return asked.future
        asked.fail(StoppedTaskError("the server is closing; start it again"))
        return asked.future

    def restart(self) -> None:
        """Kill the worker: the running and the waiting tasks fail with StoppedTaskError."""
        with self._lock:
            dropped, self._waiting = [item[2] for item in self._waiting], []
            if self._running is not None:
                self._running.is_stopped = True
            if self._process is not None:
                self._is_killed = True
                self._process.kill()
        for asked in dropped:
            asked.fail(_stopped())

    def close(self) -> None:
        """End the worker; every task that is not done fails with StoppedTaskError."""
        with self._lock:
            is_first, self._is_closed = not self._is_closed, True
        if not is_first:
            return
        self.restart()
        self.has_started.set()
        with self._lock:
            self._wake()
        if self._thread.ident is not None:
            self._thread.join(2 * STOP_S)
        atexit.unregister(self.close)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def _wake(self) -> None:
        """Ring for the thread; under the lock. Once: many tasks may be asked for during one."""
        if not self._is_rung:
            self._is_rung = True
            self._ring.send_bytes(b"!")

    def _hear_bell(self) -> None:
        self._bell.recv_bytes()
        with self._lock:
            self._is_rung = False

    def _set(self, state: str, text: str = "") -> None:
        self.state, self.text = state, text
        if state != STARTING:
            self.has_started.set()
        try:
            self._changed()
        except Exception as error:
            _log_failure(f"{self.name}: a listener failed", error)

    def _work(self) -> None:
        if self._after is not None:
            self._after.has_started.wait()
        while not self._is_closed:
            if self._lost >= MOST_LOST:
                self._hear_bell()  # until somebody asks, or closes
                self._lost = MOST_LOST - 1
                continue
            try:
                self._serve_one_process()
            except (EOFError, OSError) as error:
                self._take_loss(error)

    def _serve_one_process(self) -> None:
        """Give tasks to one worker process until it is gone."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self.modules, self.folder)
        # Not a daemon: those may have no processes of their own.
        process = context.Process(target=serve, args=arguments, name=f"studio-{self.name}")
        self._set(STARTING, "starting")
        with self._lock:
            if self._is_closed:
                return
            process.start()
            self._process, self._is_killed = process, False
        theirs.close()
        try:
            self._answer(ours, None)
            self._lost = 0
            while (asked := self._next(ours)) is not None:
                if asked.begin():
                    self._give(ours, asked)
        finally:
            ours.close()
            process.kill()  # nothing that it could do now would be heard
            process.join(STOP_S)

    def _next(self, ours: Connection) -> _Ask | None:
        """The next task, once there is one; None when closed. EOFError if the worker ends."""
        while not self._is_closed:
            if wait([ours], 0):
                ours.recv()  # an idle worker says nothing: this raises EOFError
            with self._lock:
                if self._waiting:
                    self._running = heappop(self._waiting)[2]
                    return self._running
            if self._bell in wait([ours, self._bell]):
                self._hear_bell()
        return None

    def _give(self, ours: Connection, asked: _Ask) -> None:
        try:
            ours.send((asked.task, asked.args))
        except (EOFError, OSError):
            raise
        except Exception as error:  # what cannot be pickled is the asker's fault
            asked.fail(TaskError(f"{asked.task}: cannot be sent to the worker ({error})"))
        else:
            self._answer(ours, asked)
        with self._lock:
            self._running = None

    def _answer(self, ours: Connection, asked: _Ask | None) -> None:
        """Hear the worker until the task, or the warm-up, ends."""
        while True:
            kind, value = ours.recv()
            if kind == "tell" and asked is None:
                self._set(STARTING, str(value))
            elif kind == "tell" and asked is not None:
                asked.hear(value)
            elif asked is None:
                self._set(READY if kind == "done" else FAILED, str(value))
                return
            else:
                asked.end(kind == "done", value)
                return

    def _take_loss(self, error: BaseException) -> None:
        """The worker is gone: its task fails. One that never was ready may be one too many."""
        with self._lock:
            asked, self._running = self._running, None
            if asked is not None and asked.is_unheard(error):
                heappush(self._waiting, (-1, next(self._count), asked))
                asked = None
            is_counted = self.state == STARTING and not (self._is_killed or self._is_closed)
        if asked is not None and asked.is_stopped:
            asked.fail(_stopped())
        elif asked is not None:
            why = str(error) or "it was killed or crashed"
            asked.fail(TaskError(f"the {self.name} process ended ({why}); try again"))
        if not is_counted:
            return
        self._lost += 1
        if self._lost >= MOST_LOST:
            text = f"the {self.name} process ends while it starts; its messages are in the terminal"
            self._set(FAILED, text)
            with self._lock:
                dropped, self._waiting = [item[2] for item in self._waiting], []
                if self._is_rung:  # for those that are dropped
                    self._bell.recv_bytes()
                    self._is_rung = False
            for one in dropped:
                one.fail(TaskError(text))


class _Ask:
    """A task on its way."""

    def __init__(self, task: str, args: tuple[object, ...], told: Told | None) -> None:
        self.task, self.args, self.told = task, args, told
        self.future: Future[Any] = Future()
        self.is_stopped = self._is_second_try = False

    def begin(self) -> bool:
        """False for one that its asker has given up meanwhile."""
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def is_unheard(self, error: BaseException) -> bool:
        """Was it sent to a worker that was dying already, for the first time?"""
        was_read = not isinstance(error, ConnectionResetError | BrokenPipeError)
        is_first, self._is_second_try = not self._is_second_try, True
        return not was_read and is_first and not self.is_stopped

    def hear(self, value: object) -> None:
        try:
            if self.told is not None:
                self.told(value)
        except Exception as error:  # the task goes on
            _log_failure(f"{self.task}: what it told was not taken", error)

    def end(self, is_done: bool, value: Any) -> None:
        """Take the worker's answer: what the task gave, or why it failed."""
        if is_done:
            self.future.set_result(value)
        else:
            self.fail(TaskError(value))

    def fail(self, error: ActionGruError) -> None:
        if self.future.done():  # or given up
            return
        if self.begin():
            self.future.set_exception(error)


def _stopped() -> StoppedTaskError:
    return StoppedTaskError("it was stopped before it ended; start it again")


def _log_failure(what: str, error: BaseException) -> None:
    lines = "".join(traceback.format_exception(error))
    log(logging.ERROR, f"{what} ({type(error).__name__}: {error})", traceback=lines)
