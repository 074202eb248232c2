"""Long work of a worker process, in threads, while it goes on answering. Only workers import it.

A task begins a job under a key; `job_news` asks how far it is, again and again, until it has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import torch

from action_gru.core.errors import ActionGruError
from action_gru.features.extractor import usable_cores

at_once = 2


class Job:
    """What is known of one piece of work.

    share: how much of it is done, 0 to 1. found: results so far, by name. The work calls `check`
    often: it ends there once the job was dropped.
    """

    def __init__(self) -> None:
        self.share = 0.0
        self._awaited: tuple[float, float, float] | None = None
        self.found: dict[str, Any] = {}
        self.is_dropped = False
        self.future: Future[None] | None = None

    def expect(self, share: float, within_s: float) -> None:
        """The share will be this after about within_s, without news of it: it is estimated."""
        self._awaited = share, time.monotonic(), max(within_s, 1e-3)

    @property
    def shown_share(self) -> float:
        """The share, where it is awaited, as it should be by now."""
        if self._awaited is None:
            return self.share
        share, since_s, within_s = self._awaited
        passed = (time.monotonic() - since_s) / within_s
        return self.share + (share - self.share) * min(passed, 0.95)

    def check(self) -> None:
        """Raises CancelledError where nobody waits for the work any more."""
        if self.is_dropped:
            raise CancelledError


_jobs: dict[str, Job] = {}
_threads: list[ThreadPoolExecutor] = []


def begin(key: str, work: Callable[[Job], None]) -> None:
    """Work on a job soon. An earlier job of the key is dropped."""
    if not _threads:
        _threads.append(ThreadPoolExecutor(at_once, "job", _leave_cores_free))
    job_drop(None, key)
    job = _jobs[key] = Job()
    job.future = _threads[0].submit(work, job)


def _leave_cores_free() -> None:
    """Half of them, for live streams and decoders."""
    torch.set_num_threads(max(1, usable_cores() // 2))


def job_news(tell: object, key: str) -> dict[str, Any]:
    """{"state": reading, ready or failed; "share"; "error"; "found"}; forgets a job that ended."""
    job = _jobs.get(key)
    if job is None or job.future is None:
        return {"state": "failed", "share": 0.0, "error": "it was broken off; start it again"}
    if not job.future.done():
        return {
            "state": "reading",
            "share": job.shown_share,
            "error": None,
            "found": dict(job.found),
        }
    del _jobs[key]
    error = job.future.exception()
    if error is None:
        return {"state": "ready", "share": 1.0, "error": None, "found": job.found}
    text = str(error) if isinstance(error, ActionGruError) else f"{type(error).__name__}: {error}"
    return {"state": "failed", "share": job.share, "error": text}


def job_drop(tell: object, key: str) -> None:
    """Nobody waits for this job any more."""
    job = _jobs.pop(key, None)
    if job is not None and job.future is not None:
        job.is_dropped = True
        job.future.cancel()
