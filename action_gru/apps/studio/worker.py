"""What runs in a worker process of the studio; `engine` starts it and talks to it.

Messages are ("tell", value), then ("done", result) or ("failed", sentence), of the warm-up and of
each task.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from action_gru.core.errors import ActionGruError


def serve(theirs: Connection, modules: Sequence[str], folder: Path | None) -> None:
    """Warm up, then do tasks until the parent is gone. folder: as of an `Engine`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C reaches the whole group of processes
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if folder is not None:
        os.chdir(folder)
    # Torch's threads must not spin while they wait: a browser and the other worker need the
    # processors too. On two busy ones a training took 78 s with spinning, and 15 s without.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    def tell(value: object) -> None:
        theirs.send(("tell", value))

    tasks: dict[str, Callable[..., Any]] = {}

    def warm() -> str:
        found = [importlib.import_module(name) for name in modules]
        for module in found:
            tasks.update(module.TASKS)
        notes = [module.warm(tell) for module in found if hasattr(module, "warm")]
        return "; ".join(note for note in notes if note)

    def run(task: str, args: tuple[object, ...]) -> Any:
        if task not in tasks:
            raise ActionGruError(f"{task}: the worker has no such task; it has {sorted(tasks)}")
        return tasks[task](tell, *args)

    with suppress(EOFError, OSError):
        _send_result(theirs, warm)
        while True:
            task, args = theirs.recv()
            _send_result(theirs, partial(run, task, args))


def _end_with_parent() -> None:
    """End at once when the server is gone, in the middle of a task too."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _send_result(theirs: Connection, work: Callable[[], Any]) -> None:
    """Send what work gives, or why it failed. OSError: the parent is gone."""
    answer = _result(work)
    try:
        theirs.send(answer)
    except (EOFError, OSError):
        raise
    except Exception as error:
        theirs.send(("failed", f"the result cannot be sent to the server ({error})"))


def _result(work: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "done", work()
    except ActionGruError as error:
        return "failed", str(error)
    except Exception as error:  # whatever a task raises must not end the worker
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}"
