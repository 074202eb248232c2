"""The web page's limits, the middleware that refuses requests beyond them, the temporary files.

Knows nothing of actions and imports no Gradio.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from action_gru.apps.serving import (
    READING,
    Message,
    Rates,
    Receive,
    Scope,
    Send,
    TooLargeError,
    address_of,
    answer,
    counted,
    declared_bytes,
)
from action_gru.core.errors import ConfigError

MESSAGE_BYTES = 16_000_000  # a camera's frame as text is far smaller
# What the page posts to. Gradio has more: it cuts recordings, edits its own code, keeps histories.
POSTED = ("/queue/join", "/upload", "/cancel", "/reset", "/stream/")
FORM_BYTES = 100_000  # what a form adds to its file
HELD_UPLOADS = 10  # uploads and results may take so many times the largest upload
GRADIO_FOLDER = "GRADIO_TEMP_DIR"  # the environment variable that says where uploads go
# The page loads from this server only. Gradio's own pages need inline scripts and templates.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


@dataclass(frozen=True)
class Limits:
    """Every value is greater than 0; ConfigError otherwise.

    max_upload_mb: of one file. max_duration_s: of one video. videos, cameras: at the same time.
    keep_s: how long uploads and results are kept. idle_s: a camera that sends nothing for so long
    gives up its place. posts_per_s, uploads_per_min: of one address; beyond them it has to wait.
    """

    max_upload_mb: int = 200
    max_duration_s: float = 600.0
    videos: int = 2
    cameras: int = 4
    keep_s: float = 1800.0
    idle_s: float = 30.0
    posts_per_s: float = 100.0
    uploads_per_min: float = 20.0

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not value > 0:
                raise ConfigError(f"{part.name.replace('_', '-')}: must be above 0; got {value}")

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1_000_000


class Guard:
    """Wraps the page's server. bytes_held says how much its temporary files take now."""

    def __init__(
        self,
        app: Any,
        limits: Limits,
        bytes_held: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app, self.bytes_held = app, bytes_held
        self.max_upload_bytes = limits.max_upload_bytes
        self.posts = Rates(limits.posts_per_s, 2 * limits.posts_per_s, clock)
        self.uploads = Rates(limits.uploads_per_min / 60, limits.uploads_per_min, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = unquote(str(scope.get("path", "")))
        is_upload = path.rstrip("/").endswith("/upload")
        limit = self.max_upload_bytes + FORM_BYTES if is_upload else MESSAGE_BYTES
        if refused := self._refusal(scope, path, is_upload, limit):
            await _answer(send, *refused)
        else:
            await self._pass(scope, receive, send, limit)

    def _refusal(
        self, scope: Scope, path: str, is_upload: bool, limit: int
    ) -> tuple[int, str] | None:
        """Status and text for a request that is refused by its head."""
        if scope.get("method") not in READING:
            if not path.partition("/gradio_api")[2].startswith(POSTED):
                return 403, "this page asks for no such thing"
            if not (self.uploads if is_upload else self.posts).allow(address_of(scope)):
                return 429, "too many requests; wait a moment"
        if "/proxy=" in path or any(f"/file={scheme}" in path for scheme in ("http:", "https:")):
            return 403, "this server fetches nothing from other addresses"
        declared = declared_bytes(scope)
        if declared > limit:
            return 413, f"larger than {limit // 1_000_000} MB, which is the limit here"
        if is_upload and self.bytes_held() + declared > HELD_UPLOADS * self.max_upload_bytes:
            return 507, "the server holds as many videos as it may; try again later"
        return None

    async def _pass(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        begun = False

        async def headed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        try:
            await self.app(scope, counted(receive, limit), headed)
        except TooLargeError:
            if not begun:
                await _answer(send, 413, f"larger than {limit // 1_000_000} MB, the limit here")


async def _answer(send: Send, status: int, text: str) -> None:
    await answer(send, status, text.encode(), b"text/plain; charset=utf-8", HEADERS)


class Job:
    """One upload of one browser.

    stopped is set when work on it should end, done when its folder is not written to any more.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used_s = time.monotonic()
        self.done, self.stopped = threading.Event(), threading.Event()

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Folders:
    """The server's temporary files: one folder, in it one a job.

    Use as a context manager: leaving it removes everything.
    """

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
        """End work in the job's folder, by the thread that did it; keep: there are results."""
        with self._lock:
            is_dropped = self._jobs.get(key) is not job
            job.done.set()
            if is_dropped:
                job.remove()
            elif not keep:
                self._drop(key)

    def end(self, key: str, wait_s: float = 0.0) -> None:
        """Stop and remove a browser's job; wait up to wait_s for the work on it to end."""
        with self._lock:
            job = self._drop(key)
        if job is not None:
            job.done.wait(wait_s)

    def _drop(self, key: str) -> Job | None:
        job = self._jobs.pop(key, None)
        if job is not None:
            job.stopped.set()
            if job.done.is_set():  # else `finish` removes it, later
                job.remove()
        return job

    def stop(self, key: str) -> None:
        """Stop a browser's job, for the browser has left; its results stay for keep_s."""
        with self._lock:
            if key in self._jobs:
                self._jobs[key].stopped.set()

    def stop_all(self) -> None:
        """Stop every job."""
        with self._lock:
            for job in self._jobs.values():
                job.stopped.set()

    def sweep(self) -> None:
        """Remove the jobs that were not used for keep_s."""
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
