"""Long work on videos, as the server sees it: a share that grows, at the end an answer or an error.

The reader does it a moment at a time (see work_videos.py), so that a camera is answered meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from action_gru.apps.studio.engine import Engine
from action_gru.core.errors import ActionGruError

AT_ONCE = 4  # jobs; each has a decoder of its own
TELL_AFTER = 0.01  # of the work, before pages are told of it again

RUNNING, READY, FAILED, CANCELLED = "running", "ready", "failed", "cancelled"


class Job:
    """One piece of work. state: 'running', 'ready', 'failed' or 'cancelled'. share: of the work
    that is done, 0 to 1; None where nobody knows.
    """

    def __init__(self, kind: str, args: tuple[object, ...]) -> None:
        self.kind, self.args = kind, args
        self.state = RUNNING
        self.share: float | None = 0.0
        self.error: str | None = None
        self.result: Any = None
        self.ended, self._stopped = threading.Event(), threading.Event()

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._stopped.set()

    def is_cancelled(self) -> bool:
        return self._stopped.is_set()

    def document(self) -> dict[str, object]:
        return {"state": self.state, "share": self.share, "error": self.error}


class Jobs:
    """Does jobs in threads of its own. changed: called when one moved."""

    def __init__(self, reader: Engine, changed: Callable[[], None]) -> None:
        self._reader, self._changed = reader, changed
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="video-job")

    def begin(
        self, kind: str, *args: object, done: Callable[[Job], None] = lambda job: None
    ) -> Job:
        """Begin a job of work_videos.KINDS. done: called at its end, before it counts as ended."""
        job = Job(kind, args)
        self._threads.submit(self._run, job, done)
        return job

    def _run(self, job: Job, done: Callable[[Job], None]) -> None:
        try:
            job.result = self._work(job)
            done(job)
            job.state = CANCELLED if job.is_cancelled() else READY
        except (ActionGruError, OSError) as error:
            job.state, job.error = FAILED, str(error)
        except Exception as error:  # a fault of ours must not leave a bar that never moves
            job.state, job.error = FAILED, f"{type(error).__name__}: {error}"
            raise
        finally:
            job.ended.set()
            self._changed()

    def _work(self, job: Job) -> Any:
        if job.is_cancelled():
            return None
        name = self._reader.ask("video_begin", job.kind, *job.args).result()
        told = 0.0
        while not job.is_cancelled():
            answer = self._reader.ask("video_go_on", name).result()
            if "result" in answer:
                job.share = 1.0
                return answer["result"]
            job.share = answer["share"]
            if job.share is None or job.share - told >= TELL_AFTER:
                told = job.share or 0.0
                self._changed()
        self._reader.ask("video_drop", name).result()
        return None
