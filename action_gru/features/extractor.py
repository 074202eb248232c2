"""Brings the features of clips into the cache, decoding only what is not there yet."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.backbone import Backbone
from action_gru.core.errors import VideoError
from action_gru.core.numbered_pictures import content_sha256
from action_gru.core.paths import is_frames
from action_gru.dataset import Clip
from action_gru.detection.frame_views import encode_samples, frame_views_of, side
from action_gru.detection.vectors import Vectors
from action_gru.features.entry import ClipFeatures, Rows, ViewKey, cache_key
from action_gru.features.pipeline import Job, Pass, Pictures
from action_gru.features.report import ExtractionReport, LazyFeatures
from action_gru.features.store import FeatureCache, MemoryCache
from action_gru.video import DecodeLimits, Image, VideoFile
from action_gru.video.array import ArrayVideo
from action_gru.video.frame import DECODING_VERSION
from action_gru.views.sampler import pictures
from action_gru.views.sampling import rate_warning, spread

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


@contextmanager
def thread_budget(workers: int | None = None) -> Iterator[tuple[int, Callable[[], None]]]:
    """Divides the processors among threads, so that libraries do not multiply theirs.

    Yields how many threads to start, and a function that gives the thread that calls it its share
    of torch. workers None: one a processor, at most 16. OpenCV uses the thread that calls it.
    """
    cores = usable_cores()
    workers = workers or min(cores, MOST_WORKERS)
    with _lock:
        _before.append((cv2.getNumThreads(), torch.get_num_threads()))
        cv2.setNumThreads(1)
    try:
        yield workers, lambda: torch.set_num_threads(max(1, cores // workers))
    finally:
        with _lock:
            opencv, torch_threads = _before[0]
            _before.pop()
            if not _before:
                cv2.setNumThreads(opencv)
            torch.set_num_threads(torch_threads)


class Extractor:
    """Fills a cache with the features of clips.

    fps: sampling rate. views and flip: the view keys of a clip. workers: threads that decode and
    embed; None is one a core. most_frames: of a clip, evenly spread; None: all. held: the frames of
    clips, by name, that are in memory and in no file.
    """

    def __init__(
        self,
        backbone: Backbone,
        cache: FeatureCache | MemoryCache,
        *,
        fps: float,
        views: Sequence[str],
        flip: bool = False,
        workers: int | None = None,
        batch_size: int = 16,
        limits: DecodeLimits | None = None,
        most_frames: int | None = None,
        held: Mapping[str, ArrayVideo] | None = None,
    ) -> None:
        self.backbone, self.cache = backbone, cache
        self.fps = fps
        self.view_keys = [
            ViewKey(view, flipped) for flipped in ([False, True][: 1 + flip]) for view in views
        ]
        self.workers, self.batch_size = workers, batch_size
        self.limits = limits or DecodeLimits()
        self.most_frames, self.held = most_frames, held or {}
        self.specs = {view: backbone.spec(view) for view in views}

    def extract(
        self,
        clips: Sequence[Clip],
        progress: Callable[[Clip], None] | None = None,
        report: ExtractionReport | None = None,
    ) -> ExtractionReport:
        """Bring every clip's features into the cache; each clip is decoded at most once.

        progress is called with each clip that is done. report: one to fill, which shows how far an
        interrupted run came. Raises CacheError when the cache cannot be used, MachineError when the
        machine has not enough left for the work. On an error or an interrupt the threads stop, and
        what was finished stays.
        """
        report = ExtractionReport() if report is None else report
        with closing(self.extracted(clips, report)) as ended:
            for clip in ended:
                if progress is not None:
                    progress(clip)
        return report

    def extracted(
        self, clips: Sequence[Clip], report: ExtractionReport
    ) -> Generator[Clip, None, None]:
        """The same clip by clip: gives each that is done, in any order, while the threads go on.

        Closing it stops them.
        """
        report.clips = len(clips)
        try:
            with (
                thread_budget(self.workers) as (workers, claim),
                closing(Pass(self, clips, report, workers, claim).run()) as ended,
            ):
                claim()  # what the caller computes meanwhile shares the cores with the threads
                yield from ended
        finally:
            report.damaged = list(self.cache.damaged)
            report.sort(clips)  # threads end their clips in any order

    def read(self, clip: Clip, report: ExtractionReport) -> dict[ViewKey, ClipFeatures] | None:
        """A clip's features from the cache; None for one that was quarantined.

        Raises CacheError when an entry has vanished since it was extracted.
        """
        return LazyFeatures(self.cache, report, [clip], 0).get(clip.name)

    def embed(self, images: Sequence[Image]) -> NDArray[np.float16]:
        """(N, D) features of at most batch_size pictures.

        The batch is always filled up: a fixed shape runs the same kernels, so that a clip's
        features do not depend, to the bit, on which clips it shares a batch with.
        """
        filling = [images[-1]] * (self.batch_size - len(images))
        return self.backbone([*images, *filling])[: len(images)].numpy().astype(np.float16)

    def plan(self, clip: Clip) -> Job:
        """What is to be done for a clip. Raises VideoError when it is not there."""
        held = self.held.get(clip.name)
        shows_frames = held is None and is_frames(clip.path)
        if held is None:
            _check_file(clip.path, shows_frames)
        content = content_sha256(clip.path) if held is None else held.content
        parts = {"video": content, "fps": self.fps, "decoding": DECODING_VERSION}
        parts |= {"frame_rate": clip.frame_rate} if shows_frames else {}
        # Of what is damaged, or begins within a group of pictures, a GPU makes other frames.
        hardware = self.limits.hardware if held is None and not shows_frames else "none"
        parts |= {"hardware": hardware} if hardware != "none" else {}
        parts |= {"bounds_s": [clip.start_s, clip.end_s]}
        parts |= {"most_frames": self.most_frames} if self.most_frames else {}
        keys: dict[ViewKey, str] = {}
        missing: list[ViewKey] = []
        for view_key in self.view_keys:
            names = [
                cache_key(parts | {"flipped": view_key.flipped, "features": fingerprint})
                for fingerprint in self.specs[view_key.view].fingerprints
            ]
            found = next((name for name in names if self.cache.has(name)), None)
            keys[view_key] = found or names[0]
            if found is None:
                missing.append(view_key)
        return Job(clip, content, keys, missing, rows={key: Rows() for key in missing})

    def decode(self, job: Job) -> Generator[tuple[float, Pictures], None, None]:
        """(time_s, the pictures of the missing view keys) at each sampled instant."""
        views = list(dict.fromkeys(view_key.view for view_key in job.missing))
        rate = job.clip.frame_rate
        file = VideoFile(job.clip.path, 1, self.limits, rate)
        with self.held.get(job.clip.name, file) as video:
            samples = self._look(video, job.clip, views)
            if self.most_frames:
                samples = spread(samples, self.most_frames)
            for time_s, made in samples:
                yield time_s, [(key, _side(made[key.view], key.flipped)) for key in job.missing]
                job.frames, job.declared_s = video.frames_decoded, video.declared_s
            job.frames, job.damaged = video.frames_decoded, video.damaged
            job.notes = video.notes

    def _look(
        self, video: VideoFile | ArrayVideo, clip: Clip, views: list[str]
    ) -> Iterator[tuple[float, dict[str, Any]]]:
        vectors = frame_views_of(self.backbone)
        encoders = {view: vectors[view].encoder() for view in views if view in vectors}
        arguments = {"views": [view for view in views if view not in vectors], "fps": self.fps}
        arguments |= {"size_px": self.backbone.image_size, "fit": self.backbone.fit}
        arguments |= {"start_s": clip.start_s, "end_s": clip.end_s, "whole": bool(encoders)}
        return encode_samples(video.run(pictures, **arguments), encoders)

    def finish(self, job: Job) -> None:
        """Put a clip's features into the cache."""
        times_s = np.array(job.times_s, dtype=np.float64)
        job.slow = rate_warning(times_s, self.fps) is not None
        for view_key in job.missing:
            provenance = {"clip": job.clip.name, "view": view_key.view, "flipped": view_key.flipped}
            provenance |= {"fps": self.fps, "weights": self.backbone.weights}
            values = job.rows[view_key].whole(len(times_s))
            features = ClipFeatures(values, times_s, job.frames, provenance)
            self.cache.put(job.keys[view_key], features)


def _check_file(path: Path, shows_frames: bool) -> None:
    if path.is_dir() and not shows_frames:
        raise VideoError(f"{path}: is a folder, no video; name the files that are in it")
    if not path.is_file() and not shows_frames:
        raise VideoError(f"{path}: no such video file; check the path")


def _side(made: Any, flipped: bool) -> NDArray[Any]:
    """A picture or a vector, or that of the mirrored frame."""
    if isinstance(made, Vectors):
        return side(made, flipped)
    return np.asarray(cv2.flip(made, 1)) if flipped else made
