"""A file of any length, person by person: decoded once, in flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from action_gru.prefetch import Prefetch
from action_gru.source_rate import INSTANTS_KEPT
from action_gru.streaming.people import PeopleEngine, PeopleStream, Person
from action_gru.streaming.scene import Scene
from action_gru.timeline import Event, Timeline
from action_gru.video import DecodeLimits, VideoFile

AHEAD = 4  # scenes that are decoded ahead; each holds some whole frames


class PeopleReader:
    """Reads one video from start to end; iterate for (time_s, the people looked at) of each sample.

    `timeline()` is what is known so far, also after reading was broken off. Raises VideoError from
    iteration when the file cannot be read.
    """

    def __init__(
        self,
        engine: PeopleEngine,
        stream: PeopleStream,
        path: Path,
        limits: DecodeLimits | None = None,
    ) -> None:
        """limits: see VideoFile."""
        self.engine, self.stream, self.path = engine, stream, path
        self.events: list[Event] = []
        self.instants_s: deque[float] = deque(maxlen=INSTANTS_KEPT)  # the last ones
        self.read_s = 0.0
        self.complete = False
        self.declared_s: float | None = None  # what the file's header says, once reading began
        self.video = VideoFile(path, limits=limits)

    def __iter__(self) -> Iterator[tuple[Scene, list[Person]]]:
        with self.video, Prefetch(self._scenes(), AHEAD) as scenes:
            for scene in scenes:
                (people,) = self.engine.advance([self.stream], [scene])
                self.read_s = scene.time_s
                self.instants_s.append(scene.time_s)
                self.events += self.stream.ended
                yield scene, people
        self.complete = True

    def timeline(self) -> Timeline:
        """The events of everyone up to where reading stands, in order of time. Ends the reading."""
        self.events += self.stream.finish()
        ordered = sorted(self.events, key=lambda event: (event.start_s, event.person or 0))
        return Timeline(
            source=str(self.path),
            classes=self.engine.engine.classes,
            events=tuple(ordered),
            duration_s=self.read_s,
            complete=self.complete,
            restarts=self.stream.restarts,
            people=self.stream.met,
        )

    def _scenes(self) -> Iterator[Scene]:
        looker = self.stream.looker
        for frame in self.video.frames(looker.wants):
            self.declared_s = self.declared_s or self.video.declared_s
            scene = looker.look(frame.image, frame.time_s)
            if scene is not None:
                yield scene
