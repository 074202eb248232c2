"""One worker process of the studio that keeps its networks warm and does one task after another.

The server stays light and survives whatever happens in here: a task may take long, be cancelled by
killing the process, or bring it down.
"""

from __future__ import annotations

import importlib
import itertools
import multiprocessing
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from action_gru.core.errors import ActionGruError

STARTING, READY, FAILED = "starting", "ready", "failed"
STOP_S = 2.0  # how long a worker may take to end by itself
Told = Callable[[Any], None]


class TaskError(ActionGruError):
    """A task failed; the message is the one of the worker."""


class StoppedTaskError(ActionGruError):
    """The worker was stopped before the task ended."""


class Engine:
    """A worker process with the TASKS of some modules; may be used from any thread.

    modules: names of modules with `TASKS: dict[str, Callable]`, and perhaps `warm(tell)`. A task is
    called as `task(tell, *args)` in the worker; what it tells reaches `told` of its asker, in a
    thread of this process. changed: called after each change of `state` and `text`.
    """

    def __init__(self, name: str, modules: Sequence[str], changed: Callable[[], None]) -> None:
        self.name, self.modules, self._changed = name, tuple(modules), changed
        self.state, self.text = STARTING, ""
        self._waiting: queue.PriorityQueue[tuple[int, int, _Ask | None]] = queue.PriorityQueue()
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._process: Any = None
        self._is_closed = False
        self._running: _Ask | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the worker in the background; it warms up while tasks wait."""
        self._thread = threading.Thread(target=self._work, name=f"engine-{self.name}", daemon=True)
        self._thread.start()

    def ask(
        self, task: str, *args: object, urgent: bool = False, told: Told | None = None
    ) -> Future[Any]:
        """The task's result, later; urgent ones go first. It fails with TaskError."""
        asked = _Ask(task, args, told, Future())
        if self._is_closed:
            asked.future.set_exception(StoppedTaskError(f"{self.name} is closed"))
        else:
            self._waiting.put((0 if urgent else 1, next(self._count), asked))
        return asked.future

    def restart(self) -> None:
        """Kill the worker: the running and the waiting tasks fail with StoppedTaskError."""
        self._drop_waiting()
        with self._lock:
            if self._running is not None:
                self._running.is_cancelled = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the worker; every task that is not done fails with StoppedTaskError."""
        self._is_closed = True
        self.restart()
        self._waiting.put((0, -1, None))
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _drop_waiting(self) -> None:
        with suppress(queue.Empty):
            while True:
                asked = self._waiting.get_nowait()[2]
                if asked is not None:
                    asked.fail(StoppedTaskError(f"{asked.task}: stopped"))

    def _set(self, state: str, text: str = "") -> None:
        self.state, self.text = state, text
        self._changed()

    def _work(self) -> None:
        while not self._is_closed:
            try:
                self._serve_one_process()
            except (EOFError, OSError) as error:
                self._lost(error)

    def _serve_one_process(self) -> None:
        """Give tasks to one worker process until it is gone."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_worker, args=(theirs, self.modules), daemon=False)
        with self._lock:
            if self._is_closed:
                return
            process.start()
            self._process = process
        theirs.close()
        try:
            self._set(STARTING, "starting")
            self._answer(ours, None)
            while True:
                asked = self._waiting.get()[2]
                if asked is None:
                    return
                with self._lock:
                    self._running = asked
                ours.send((asked.task, asked.args))
                self._answer(ours, asked)
                with self._lock:
                    self._running = None
        finally:
            ours.close()
            process.join(STOP_S)
            if process.is_alive():
                process.kill()
                process.join()

    def _answer(self, ours: Connection, asked: _Ask | None) -> None:
        """Hear the worker until the task, or the warm-up, ends."""
        while True:
            kind, value = ours.recv()
            if kind == "tell" and asked is None:
                self._set(STARTING, str(value))
            elif kind == "tell" and asked is not None and asked.told is not None:
                asked.told(value)
            elif kind == "done":
                if asked is None:
                    self._set(READY)
                else:
                    asked.future.set_result(value)
                return
            elif kind == "failed":
                if asked is None:
                    self._set(FAILED, str(value))
                    return
                asked.fail(TaskError(str(value)))
                return

    def _lost(self, error: BaseException) -> None:
        """The worker is gone: its task fails, and the next worker starts."""
        with self._lock:
            asked, self._running = self._running, None
        if asked is not None:
            asked.fail(
                StoppedTaskError(f"{asked.task}: stopped")
                if asked.is_cancelled
                else TaskError(f"{asked.task}: the worker process ended ({error}); try again")
            )


class _Ask:
    def __init__(
        self, task: str, args: tuple[object, ...], told: Told | None, future: Future[Any]
    ) -> None:
        self.task, self.args, self.told, self.future = task, args, told, future
        self.is_cancelled = False

    def fail(self, error: ActionGruError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def _worker(theirs: Connection, modules: Sequence[str]) -> None:
    """The worker process: warm up, then tasks until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C reaches the whole group of processes

    def tell(value: object) -> None:
        theirs.send(("tell", value))

    tasks: dict[str, Callable[..., Any]] = {}

    def warm() -> None:
        for name in modules:
            module = importlib.import_module(name)
            tasks.update(module.TASKS)
            if hasattr(module, "warm"):
                module.warm(tell)

    with suppress(EOFError, OSError):
        theirs.send(_result(warm))
        while True:
            task, args = theirs.recv()
            theirs.send(_result(partial(tasks[task], tell, *args)))


def _result(work: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "done", work()
    except ActionGruError as error:
        return "failed", str(error)
    except (EOFError, BrokenPipeError):
        raise
    except Exception as error:  # whatever a task raises must not end the worker
        return "failed", f"{type(error).__name__}: {error}"
