"""A file of any length as one stream: decoded, embedded and read once, in flat memory."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from action_gru.allocator import keeping_freed_memory
from action_gru.prefetch import Prefetch
from action_gru.source_rate import INSTANTS_KEPT
from action_gru.streaming.looking import Image, Sample
from action_gru.streaming.noting import ScoreNotes
from action_gru.streaming.stream import ActionStream
from action_gru.timeline import Event, Prediction, Timeline
from action_gru.video import DecodeLimits, VideoFile


class TimelineReader:
    """Reads one video from start to end; iterate for the prediction at each sampled instant.

    `timeline()` is what is known so far, also after reading was broken off. Raises VideoError from
    iteration when the file cannot be read.
    """

    def __init__(
        self,
        stream: ActionStream,
        path: Path,
        batch_size: int,
        watch: Callable[[Image, float], None] | None = None,
        limits: DecodeLimits | None = None,
    ) -> None:
        """batch_size: pictures per backbone call. watch: shown each sampled frame and its time.

        limits: see VideoFile.
        """
        self.watch = watch
        self.stream, self.path = stream, path
        self.samples = max(1, batch_size // len(stream.engine.views))
        self.events: list[Event] = []
        self.notes = ScoreNotes(stream)
        self.instants_s: deque[float] = deque(maxlen=INSTANTS_KEPT)  # the last ones
        self.read_s = 0.0
        self.complete = False
        self.declared_s: float | None = None  # what the file's header says, once reading began
        self.video = VideoFile(path, limits=limits)
        self._begun = self._ended = False

    def __iter__(self) -> Iterator[Prediction]:
        engine = self.stream.engine
        if self._begun:
            raise RuntimeError("a TimelineReader reads once; make a new one")
        self._begun = True
        ahead = Prefetch(self._samples(), 2 * self.samples)
        with self.video, keeping_freed_memory(), ahead as samples:
            remaining = iter(samples)
            while batch := list(itertools.islice(remaining, self.samples)):
                for sample, row in zip(batch, engine.embed(batch), strict=True):
                    if self._ended:
                        return
                    (prediction,) = engine.step([self.stream], [sample], row[None])
                    self._note(prediction)
                    yield prediction
        self.complete = True

    def timeline(self) -> Timeline:
        """The events and scores up to where reading stands. Ends the reading."""
        self.events += self.stream.finish()
        self.notes.note_closing()
        self._ended = True
        return Timeline(
            source=str(self.path),
            classes=self.stream.engine.classes,
            events=tuple(self.events),
            duration_s=self.read_s,
            complete=self.complete,
            restarts=self.stream.restarts,
            scores=self.notes.track,
        )

    def _samples(self) -> Iterator[Sample]:
        looker = self.stream.looker
        for frame in self.video.frames(looker.wants):
            self.declared_s = self.declared_s or self.video.declared_s
            sample = looker.look(frame.image, frame.time_s)
            if sample is not None:
                if self.watch is not None:
                    self.watch(frame.image, frame.time_s)
                yield sample

    def _note(self, prediction: Prediction) -> None:
        self.read_s = prediction.time_s
        self.instants_s.append(prediction.time_s)
        self.events += self.stream.ended
        self.notes.note(prediction)
