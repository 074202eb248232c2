"""Where uploads and results lie: one temporary folder, removed at the end; a folder a job."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path

GRADIO_FOLDER = "GRADIO_TEMP_DIR"  # the environment variable that says where uploads go


class Job:
    """One upload of one browser.

    stopped is set when work on it should end, done when nobody writes into its folder any more.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used_s = time.monotonic()
        self.done = threading.Event()
        self.stopped = threading.Event()


class Folders:
    """The server's temporary files. Use as a context manager: leaving it removes everything."""

    def __init__(self, keep_s: float) -> None:
        self.keep_s = keep_s
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Folders:
        self.root = Path(tempfile.mkdtemp(prefix="action_gru_web_")).resolve()
        self._before = os.environ.get(GRADIO_FOLDER)
        os.environ[GRADIO_FOLDER] = str(self.root)
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop_all()
        shutil.rmtree(self.root, ignore_errors=True)
        if self._before is None:
            os.environ.pop(GRADIO_FOLDER, None)
        else:
            os.environ[GRADIO_FOLDER] = self._before

    def begin(self, key: str) -> Job:
        """A folder for a browser's new job; its earlier job is stopped and removed."""
        folder = self.root / "jobs" / secrets.token_urlsafe(16)
        folder.mkdir(parents=True)
        with self._lock:
            self._drop(key)
            job = self._jobs[key] = Job(folder)
        return job

    def finish(self, key: str, job: Job, keep: bool) -> None:
        """Called by whoever worked in the job's folder, when done; keep: there are results."""
        with self._lock:
            if self._jobs.get(key) is not job:  # dropped in the meantime
                _remove(job)
            elif not keep:
                del self._jobs[key]
                _remove(job)
            job.done.set()

    def end(self, key: str, wait_s: float = 0.0) -> None:
        """Stop and remove a browser's job; wait a while until nobody works on it any more."""
        with self._lock:
            job = self._drop(key)
        if job is not None:
            job.done.wait(wait_s)

    def _drop(self, key: str) -> Job | None:
        job = self._jobs.pop(key, None)
        if job is not None:
            job.stopped.set()
            if job.done.is_set():  # else `finish` removes it, later
                _remove(job)
        return job

    def stop(self, key: str) -> None:
        """The browser has left: its job need not go on; its results stay for a while."""
        with self._lock:
            job = self._jobs.get(key)
        if job is not None:
            job.stopped.set()

    def stop_all(self) -> None:
        """No job need go on."""
        with self._lock:
            for job in self._jobs.values():
                job.stopped.set()

    def sweep(self) -> None:
        """Remove the jobs that nobody has worked on for keep_s."""
        oldest_s = time.monotonic() - self.keep_s
        with self._lock:
            for key in [key for key, job in self._jobs.items() if job.used_s < oldest_s]:
                self._drop(key)

    def uploaded(self, path: object) -> Path | None:
        """The path if it names a file that was uploaded here, else None."""
        if not isinstance(path, str):
            return None
        try:
            real = Path(path).resolve(strict=True)
        except (OSError, ValueError):
            return None
        inside = real.is_relative_to(self.root) and not real.is_relative_to(self.root / "jobs")
        return real if inside and real.is_file() else None

    def bytes_held(self) -> int:
        """The size of all files below the folder."""
        total = 0
        for path in self.root.rglob("*"):
            try:
                total += path.stat().st_size if path.is_file() else 0
            except OSError:  # removed in between
                continue
        return total


def _remove(job: Job) -> None:
    shutil.rmtree(job.folder, ignore_errors=True)
