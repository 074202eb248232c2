"""Divides the processor among the threads of a pass, so that libraries do not multiply theirs.

Knows nothing of what the threads do.
"""

from __future__ import annotations

from types import TracebackType

import cv2
import torch

MOST_WORKERS = 16  # each holds a batch's activations; beyond, a batch is shared by several cores


class ThreadBudget:
    """`workers` threads that together use as many cores as torch was given (OMP_NUM_THREADS).

    workers None: one a core, at most 16. Within the `with` block OpenCV uses the thread that calls
    it; `claim` gives the calling thread its share of torch.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.cores = torch.get_num_threads()
        self.workers = workers or min(self.cores, MOST_WORKERS)
        self.threads_each = max(1, self.cores // self.workers)
        self._opencv = 0

    def claim(self) -> None:
        torch.set_num_threads(self.threads_each)

    def __enter__(self) -> ThreadBudget:
        self._opencv = cv2.getNumThreads()
        cv2.setNumThreads(1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        cv2.setNumThreads(self._opencv)
        torch.set_num_threads(self.cores)
