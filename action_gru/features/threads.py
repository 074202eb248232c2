"""Divides the processor among the threads of a pass, so that libraries do not multiply theirs.

Knows nothing of what the threads do.
"""

from __future__ import annotations

import os
import threading
from types import TracebackType

import cv2
import torch

MOST_WORKERS = 16  # each holds a batch's activations; beyond, a batch is shared by several cores


_lock = threading.Lock()
_before: list[tuple[int, int]] = []  # OpenCV's and torch's threads, of each budget that is in use


def usable_cores() -> int:
    """The processors that this process may use, at most OMP_NUM_THREADS of them.

    Torch takes one thread for two processors that share a core; two threads are quicker there.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(limit))) if limit.isdecimal() else cores


class ThreadBudget:
    """`workers` threads that together use as many processors as `usable_cores` says.

    workers None: one a processor, at most 16. Within the `with` block OpenCV uses the thread that
    calls it; `claim` gives the calling thread its share of torch.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.cores = usable_cores()
        self.workers = workers or min(self.cores, MOST_WORKERS)
        self.threads_each = max(1, self.cores // self.workers)

    def claim(self) -> None:
        torch.set_num_threads(self.threads_each)

    def __enter__(self) -> ThreadBudget:
        with _lock:
            _before.append((cv2.getNumThreads(), torch.get_num_threads()))
            cv2.setNumThreads(1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _lock:
            opencv, torch_threads = _before[0]
            _before.pop()
            if not _before:
                cv2.setNumThreads(opencv)
            torch.set_num_threads(torch_threads)
