"""A file of any length as one stream: decoded, embedded and read once, in flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic

from action_gru.core.machine import Prefetch, keeping_freed_memory
from action_gru.streaming.stream import Answer, FrameStream
from action_gru.timeline import Event, ScoreTrack, Timeline
from action_gru.video import DecodeLimits, Image, VideoFile
from action_gru.views.sampling import INSTANTS_KEPT


class TimelineRecorder:
    """What is known of one source so far: `record` after each sample, then `timeline`."""

    def __init__(self, stream: FrameStream[object], source: str) -> None:
        self.stream, self.source = stream, source
        self.events: list[Event] = []
        self.instants_s: deque[float] = deque(maxlen=INSTANTS_KEPT)  # the last ones
        self.read_s = 0.0
        stream.track = ScoreTrack()

    def record(self) -> None:
        """Take in what the newest sample gave."""
        self.read_s = self.stream.last_s
        self.instants_s.append(self.read_s)
        self.events += self.stream.ended

    def timeline(self, complete: bool = True) -> Timeline:
        """Close the stream; its events in order of time, with the scores they rest on."""
        self.events += self.stream.finish()
        return Timeline(
            source=self.source,
            classes=self.stream.classes,
            events=tuple(sorted(self.events, key=lambda one: (one.start_s, one.person or 0))),
            duration_s=self.read_s,
            complete=complete,
            restarts=self.stream.restarts,
            scores=self.stream.track or ScoreTrack(),
            people=self.stream.met,
        )


class TimelineReader(Generic[Answer]):
    """Reads one video from start to end; iterate for the answer at each sampled instant.

    The answer is a prediction, or with people, those whose crops were read.
    `timeline()` is what is known so far, also after reading was broken off. Raises VideoError from
    iteration when the file cannot be read.
    """

    def __init__(
        self,
        stream: FrameStream[Answer],
        path: Path,
        batch: int,
        watch: Callable[[Image, float], None] | None = None,
        limits: DecodeLimits | None = None,
        frame_rate: float | None = None,
    ) -> None:
        """batch: samples per backbone call; twice as many are decoded ahead.

        watch: shown each sampled frame and its time, in another thread. limits and frame_rate: see
        VideoFile.
        """
        self.stream, self.batch, self.watch = stream, batch, watch
        self.recorder = TimelineRecorder(stream, str(path))
        self.declared_s: float | None = None  # what the file's header says, once reading began
        self.video = VideoFile(path, None, limits, frame_rate)
        self._begun = self._ended = self._complete = False

    def __iter__(self) -> Iterator[Answer]:
        if self._begun:
            raise RuntimeError("a TimelineReader reads once; make a new one")
        self._begun = True
        ahead = Prefetch(self._samples(), 2 * self.batch)
        with self.video, keeping_freed_memory(), ahead as samples:
            for answer in self.stream.advance(samples, self.batch):
                self.recorder.record()
                yield answer
                if self._ended:
                    return
        self._complete = True

    def timeline(self) -> Timeline:
        """The events and scores of what was read so far. Ends the reading."""
        self._ended = True
        return self.recorder.timeline(self._complete)

    def _samples(self) -> Iterator[Any]:
        sampler = self.stream.sampler
        for frame in self.video.frames(sampler.wants):
            self.declared_s = self.declared_s or self.video.declared_s
            sample = sampler.sample(frame.image, frame.time_s)
            if sample is not None:
                if self.watch is not None:
                    self.watch(frame.image, frame.time_s)
                yield sample
