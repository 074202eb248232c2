"""Several trainings at once, each with its share of the processor's cores.

A step of a small model is hundreds of small products. Two cores at one step wait for each other
most of the time; two steps at once do not. Knows nothing of models.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import torch

from action_gru.core.machine import Worker

Value = TypeVar("Value")

# Held while the random numbers that all threads share are seeded and drawn from.
DRAWING = threading.RLock()
_here = threading.local()


class _StoppedError(BaseException):
    """A neighbour has failed, so this training ends too."""


def stop_if_asked() -> None:
    """To be called after each step of a training: ends it where a neighbour has failed."""
    stop: threading.Event | None = getattr(_here, "stop", None)
    if stop is not None and stop.is_set():
        raise _StoppedError


def side_by_side(tasks: Sequence[Callable[[], Value]], most: int) -> list[Value]:
    """The results of all tasks in order, at most `most` at once; the first runs in this thread.

    Torch's threads for one operation are divided among them. An error of one, or an interrupt,
    stops the others and is raised.
    """
    cores = torch.get_num_threads()
    at_once = min(cores, len(tasks), most)
    if at_once < 2:
        return [task() for task in tasks]
    waiting, stop = deque(enumerate(tasks)), threading.Event()
    results: dict[int, Value] = {}
    errors: list[BaseException] = []

    def work(first: tuple[int, Callable[[], Value]]) -> None:
        _here.stop, taken = stop, [first]
        try:
            while taken and not stop.is_set():
                number, task = taken.pop()
                results[number] = task()
                with suppress(IndexError):
                    taken.append(waiting.popleft())
        except _StoppedError:
            pass
        except BaseException as error:  # raised again by the thread that waits
            errors.append(error)
            stop.set()
        finally:
            _here.stop = None

    own, *others = [waiting.popleft() for _ in range(at_once)]
    threads = [Worker(partial(work, task)) for task in others]
    torch.set_num_threads(cores // at_once)
    try:
        for thread in threads:
            thread.start()
        work(own)
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        for thread in threads:  # after an interrupt of the waiting too
            thread.join()
        torch.set_num_threads(cores)
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(tasks))]
