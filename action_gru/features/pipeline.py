"""One pass over clips: every thread decodes, and embeds whenever a batch is full.

No thread waits while there is work, and none is started beyond the budget. Memory is bounded by the
batches, not by the length of a clip. Knows nothing of keys or caches.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import (
    PAUSES_S,
    ActionGruError,
    CacheError,
    VideoError,
    is_full,
    is_transient,
)
from action_gru.core.machine import keeping_freed_memory
from action_gru.core.text import counted
from action_gru.dataset import Clip
from action_gru.features.entry import Rows, ViewKey
from action_gru.features.report import ExtractionReport, explain_failure, one_line
from action_gru.video import Image
from action_gru.views.sampling import cut_warning

Pictures = list[tuple[ViewKey, Image]]
THREAD_NAME = "action_gru extract"


@dataclass
class Job:
    """A clip on its way: what was decoded of it and what the backbone has answered."""

    clip: Clip
    content: str = ""
    keys: dict[ViewKey, str] = field(default_factory=dict)
    missing: list[ViewKey] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    rows: dict[ViewKey, Rows] = field(default_factory=dict)
    pending: int = 0  # pictures that are not embedded yet
    frames: int = 0
    declared_s: float | None = None  # what the file's header says
    damaged: int = 0  # places that could not be decoded
    notes: tuple[str, ...] = ()  # what else to know of it
    slow: bool = False  # its frames come too seldom for the sampling rate
    decoded: bool = False  # nothing more will come
    failed: bool = False
    finished: bool = False

    def release(self) -> None:
        """Let go of the features."""
        for rows in self.rows.values():
            rows.close()
        self.rows = {}


class Slot(NamedTuple):
    """A picture on its way, and where its features belong."""

    job: Job
    view_key: ViewKey
    place: int
    image: Image


class Stages(Protocol):
    """What a pass does with one clip, or with one batch of pictures; see `Extractor`."""

    batch_size: int

    def plan(self, clip: Clip) -> Job: ...
    def decode(self, job: Job) -> Generator[tuple[float, Pictures], None, None]: ...
    def embed(self, images: Sequence[Image]) -> NDArray[np.float16]: ...
    def finish(self, job: Job) -> None: ...


class Pass:
    """Work-conserving: a thread without a clip embeds what others have decoded; a thread that has
    filled a batch which no thread is free to take embeds it itself.

    At most one batch a thread and one more wait.
    """

    def __init__(
        self,
        stages: Stages,
        clips: Sequence[Clip],
        report: ExtractionReport,
        workers: int,
        claim: Callable[[], None],
    ) -> None:
        """workers: how many threads; claim is called by each as it begins."""
        self.stages, self.report, self.claim = stages, report, claim
        self._clips = iter(clips)
        self._lock = threading.Condition()  # guards all that follows, the report and the jobs
        self._waiting: deque[Slot] = deque()
        self._ready: deque[list[Slot]] = deque()
        self._ended: deque[Clip] = deque()  # and not yet given to the caller
        self._decoding = workers
        self._running = self._idle = 0
        self._stopped = False
        self._error: BaseException | None = None

    def run(self) -> Generator[Clip, None, None]:
        """Bring every clip to its end; gives each that has come to it, in any order.

        The threads go on while the caller looks at one. Raises what a thread raised, once all have
        stopped, as they also have when the iterator is closed.
        """
        threads = [
            threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
            for _ in range(self._decoding)
        ]
        with keeping_freed_memory():
            try:
                for thread in threads:
                    with self._lock:
                        thread.start()
                        self._running += 1
                while (clip := self._next_ended()) is not None:
                    yield clip
            finally:
                self._stop(None)
                self._wait()
                for thread in (one for one in threads if one.ident is not None):
                    thread.join()
        if self._error is not None:
            raise self._error

    def _next_ended(self) -> Clip | None:
        """The next clip that is done; None once no thread will bring another."""
        with self._lock:
            self._lock.wait_for(lambda: self._ended or not self._running)
            return self._ended.popleft() if self._ended else None

    def _wait(self) -> None:
        """Until every thread has ended. Not by `join`: one that Ctrl-C interrupts takes the thread
        for ended, and the next returns at once.
        """
        with self._lock:
            self._lock.wait_for(lambda: not self._running)

    def _stop(self, error: BaseException | None) -> None:
        with self._lock:
            self._stopped = True
            self._error = self._error or error
            self._lock.notify_all()

    def _work(self) -> None:
        try:
            self.claim()
            while (clip := self._next_clip()) is not None:
                self._extract(clip)
            while (batch := self._next_batch()) is not None:
                self._embed(batch)
        except BaseException as error:  # handed to the calling thread, which raises it
            self._stop(error)
        finally:
            with self._lock:
                self._running -= 1
                self._lock.notify_all()

    def _next_clip(self) -> Clip | None:
        with self._lock:
            clip = None if self._stopped else next(self._clips, None)
            if clip is None:
                self._decoding -= 1
                self._lock.notify_all()
            return clip

    def _next_batch(self) -> list[Slot] | None:
        """A batch for a thread that has no clip left; None when no more will come."""
        with self._lock:
            self._idle += 1
            self._lock.wait_for(lambda: self._ready or not self._decoding or self._stopped)
            self._idle -= 1
            if self._stopped:
                return None
            if self._ready:
                return self._ready.popleft()
            rest = list(self._waiting)
            self._waiting.clear()
            return rest or None

    def _surplus(self) -> list[Slot] | None:
        """A batch that no other thread is free to take."""
        with self._lock:
            return self._ready.popleft() if len(self._ready) > self._idle else None

    def _extract(self, clip: Clip) -> None:
        """Bring a clip to its end; again, where the machine stopped it and not the clip."""
        for pause_s in (*PAUSES_S, None):
            job, failure = self._attempt(clip)
            if self._stopped:
                return
            if failure is None or not is_transient(failure):
                break
            if pause_s is None:
                failure = explain_failure(clip, failure)
                break
            with self._lock:
                job.failed = job.finished = True  # answers that are still to come are dropped
            job.release()
            if self._pause(pause_s):
                return
        if job.missing or failure is not None:
            self._end(job, failure)
            return
        with self._lock:
            self.report.cached += 1
            self._ended.append(clip)
            self._lock.notify_all()

    def _attempt(self, clip: Clip) -> tuple[Job, Exception | None]:
        """Decode what the cache does not have, and what went wrong with it, if anything."""
        try:
            job = self.stages.plan(clip)
        except (VideoError, CacheError, OSError, MemoryError) as error:
            if isinstance(error, CacheError) and not is_transient(error):
                raise
            return Job(clip), error
        with self._lock:
            self.report.keys[clip.name] = job.keys
            self.report.content[clip.name] = job.content
        return job, self._decode(job) if job.missing else None

    def _pause(self, seconds: float) -> bool:
        """Wait before another attempt; was the run stopped meanwhile?"""
        with self._lock:
            self.report.retried += 1
            return self._lock.wait_for(lambda: self._stopped, seconds)

    def _decode(self, job: Job) -> Exception | None:
        """Show every sampled frame to the backbone; what went wrong with the clip, if anything.

        What goes wrong with the backbone is not the clip's fault: it ends the run.
        """
        with closing(self.stages.decode(job)) as samples:
            while not self._stopped:
                try:
                    sample = next(samples, None)
                except ActionGruError as error:
                    return error
                except (cv2.error, OSError, RuntimeError, ValueError, MemoryError) as error:
                    kind = type(error).__name__
                    named = VideoError(f"{job.clip.path}: {kind} while decoding: {error}")
                    named.__cause__ = error
                    return named
                if sample is None:
                    return None
                self._add(job, *sample)
                while (batch := self._surplus()) is not None:
                    self._embed(batch)
        return None

    def _add(self, job: Job, time_s: float, pictures: Pictures) -> None:
        with self._lock:
            place = len(job.times_s)
            job.times_s.append(time_s)
            for view_key, image in pictures:
                if image.ndim == 1:  # a vector already: its view needs no network for pictures
                    job.rows[view_key].put(place, np.asarray(image, dtype=np.float16))
                    continue
                job.pending += 1
                self._waiting.append(Slot(job, view_key, place, image))
            while len(self._waiting) >= self.stages.batch_size:
                batch = [self._waiting.popleft() for _ in range(self.stages.batch_size)]
                self._ready.append(batch)
                self._lock.notify()

    def _embed(self, batch: list[Slot]) -> None:
        features = self.stages.embed([slot.image for slot in batch])
        with self._lock:
            for slot, row in zip(batch, features, strict=True):
                slot.job.pending -= 1
                if not slot.job.failed:
                    slot.job.rows[slot.view_key].put(slot.place, row)
        for job in {id(slot.job): slot.job for slot in batch}.values():
            self._finish(job)

    def _end(self, job: Job, error: Exception | None) -> None:
        if error is None and not job.times_s:
            error = VideoError(
                f"{job.clip.name}: {counted(job.frames, 'frame')} decoded, none of them inside the "
                "clip's bounds; check start_s and end_s"
            )
        with self._lock:
            job.decoded = True
            self.report.frames += job.frames
            if error is not None:
                job.failed = True
                self.report.quarantined[job.clip.name] = one_line(error)
        self._finish(job)

    def _finish(self, job: Job) -> None:
        """Store a clip once all of it is decoded and embedded; once, by one thread."""
        with self._lock:
            if job.finished or not job.decoded or (job.pending and not job.failed):
                return
            job.finished = True
        if not job.failed:
            self._store(job)
        job.release()
        with self._lock:
            self.report.read += not job.failed
            if job.slow and not job.failed:
                self.report.slow.append(job.clip.name)
            declared_s = job.declared_s if job.clip.end_s is None else None
            cut = None if job.failed else cut_warning(job.times_s[-1], declared_s, job.damaged)
            self.report.cut |= {} if cut is None else {job.clip.name: cut}
            if job.notes and not job.failed:
                self.report.notes[job.clip.name] = "; ".join(job.notes)
            self._ended.append(job.clip)
            self._lock.notify_all()

    def _store(self, job: Job) -> None:
        """Keep a clip's features, in several attempts unless the disk is full."""
        for pause_s in PAUSES_S:
            try:
                self.stages.finish(job)
                return
            except CacheError as error:
                if is_full(error) or not is_transient(error):
                    raise
            self._pause(pause_s)
        self.stages.finish(job)
