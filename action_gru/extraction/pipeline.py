"""One pass over clips: threads decode into a bounded queue, the caller embeds and stores."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.dataset import Clip
from action_gru.errors import ActionGruError, VideoError
from action_gru.extraction.clip import ExtractionReport, Image, Job, Stream

Pictures = list[tuple[Stream, Image]]
THREAD_NAME = "action_gru decode"


class Stages(Protocol):
    """The three stages that a pass connects."""

    workers: int
    batch_size: int

    def decode(self, job: Job) -> Iterator[tuple[float, Pictures]]: ...

    def embed(self, images: list[Image]) -> NDArray[np.float16]: ...

    def finish(self, job: Job) -> None: ...


class Pass:
    """Batches fill across clips; memory is bounded by the queue, not by the length of a clip."""

    def __init__(
        self,
        stages: Stages,
        jobs: Iterator[Job],
        report: ExtractionReport,
        progress: Callable[[Clip], None] | None,
    ) -> None:
        self.stages = stages
        self.jobs = jobs
        self.report = report
        self.progress = progress
        self._jobs_lock = threading.Lock()
        self._stop = threading.Event()
        self._items: queue.Queue[tuple[Job | None, Any]] = queue.Queue(stages.batch_size * 2)
        self._waiting: deque[tuple[Job, Stream, Image]] = deque()

    def go(self) -> None:
        count = self.stages.workers
        threads = [
            threading.Thread(target=self._work, name=THREAD_NAME, daemon=True) for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            self._consume(count)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _consume(self, running: int) -> None:
        while running:
            job, item = self._items.get()
            if job is None:
                running -= 1
                if isinstance(item, BaseException):
                    raise item
            elif isinstance(item, tuple):
                time_s, pictures = item
                job.times_s.append(time_s)
                for stream, image in pictures:
                    if image.ndim == 1:  # a vector already: its view needs no network for pictures
                        job.features[stream].append(image[None])
                        continue
                    job.pending += 1
                    self._waiting.append((job, stream, image))
            else:
                self._end(job, item)
            while len(self._waiting) >= self.stages.batch_size:
                self._embed_batch()
        while self._waiting:
            self._embed_batch()

    def _embed_batch(self) -> None:
        size = min(self.stages.batch_size, len(self._waiting))
        batch = [self._waiting.popleft() for _ in range(size)]
        features = self.stages.embed([image for _, _, image in batch])
        for (job, stream, _), row in zip(batch, features, strict=True):
            job.features[stream].append(row[None])
            job.pending -= 1
        for job in {id(job): job for job, _, _ in batch}.values():
            self._settle(job)

    def _end(self, job: Job, error: Exception | None) -> None:
        job.ended = True
        self.report.frames += job.frames
        if error is None and not job.times_s:
            error = VideoError(
                f"{job.clip.name}: {job.frames} frames decoded, none of them inside the clip's "
                "bounds; check start_s and end_s"
            )
        if error is not None:
            self.report.quarantined[job.clip.name] = one_line(error)
            self._waiting = deque(item for item in self._waiting if item[0] is not job)
            job.missing = []
        self._settle(job)

    def _settle(self, job: Job) -> None:
        """Store a clip once all of it is decoded and embedded."""
        if not job.ended or (job.missing and job.pending):
            return
        self.stages.finish(job)
        job.features = {}
        if self.progress:
            self.progress(job.clip)

    def _work(self) -> None:
        """A decoding thread: takes clips until none is left."""
        try:
            while not self._stop.is_set():
                with self._jobs_lock:
                    job = next(self.jobs, None)
                if job is None:
                    break
                self._decode(job)
        except BaseException as error:  # handed to the calling thread, which raises it
            self._send(None, error)
        else:
            self._send(None, None)

    def _decode(self, job: Job) -> None:
        error: Exception | None = None
        try:
            for item in self.stages.decode(job):
                if not self._send(job, item):
                    return
        except ActionGruError as caught:
            error = caught
        except (cv2.error, OSError, RuntimeError, ValueError, MemoryError) as caught:
            # A decoder's own failure costs this clip only, and is named.
            error = VideoError(f"{job.clip.path}: {type(caught).__name__} while decoding: {caught}")
        self._send(job, error)

    def _send(self, job: Job | None, item: Any) -> bool:
        """Wait for a place in the queue; False when the run has stopped meanwhile."""
        while not self._stop.is_set():
            try:
                self._items.put((job, item), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


def one_line(error: Exception) -> str:
    """The error's text without line breaks."""
    return " ".join(str(error).split())
