"""The people in one stream of frames: each one's state, answer and events.

One detection a sampled frame for all, then one backbone call and one step over the states of all.
Knows nothing of cameras, files or pictures on a screen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import torch

from action_gru.core.machine import Prefetch
from action_gru.detection.detector import Detections, Detector, Floats, no_detections
from action_gru.streaming.crowd import Crowd, Followed, Following, Look
from action_gru.streaming.follow import Follower
from action_gru.streaming.scene import Scene, SceneSampler
from action_gru.streaming.stream import EVENTS_KEPT, ActionStream, StreamEngine
from action_gru.timeline import Event, Prediction, ScoreTrack
from action_gru.views import Sample


@dataclass
class Person:
    """One person and what is known of them. box (4,): left, top, right, bottom in px, where they
    were seen last, with the score of that detection; area: what the model looks at: left, top,
    width, height in px.
    """

    number: int
    stream: ActionStream
    box: Floats
    score: float
    area: tuple[int, int, int, int]
    visible: bool = True

    @property
    def prediction(self) -> Prediction | None:
        return self.stream.prediction

    def move(self, seen: Followed) -> None:
        """Take in where they are in the newest scene."""
        self.box, self.score = seen.box, seen.score
        self.area, self.visible = seen.area, seen.visible


@dataclass
class PeopleStream:
    """The people of one source; made by `ActionRecognizer.people()`.

    `people` are those who are followed now, also while they are hidden for a moment: one at most
    where there is a `follower`. `ended` are the events that ended for certain with the last frame;
    each names its person.
    """

    engine: PeopleEngine
    sampler: SceneSampler
    open_stream: Callable[[], ActionStream]
    following: Following
    people: list[Person] = field(default_factory=list)
    ended: list[Event] = field(default_factory=list)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    restarts: int = 0
    restart_reason: str = ""
    met: int | None = 0
    crowded_out: int = 0  # how often someone was seen and not followed, counted in samples
    scene: Scene | None = None  # the last one
    found: Detections = field(default_factory=no_detections)  # of any kind, in that scene
    track: ScoreTrack | None = None  # stays empty: there are no scores of the whole picture

    def __post_init__(self) -> None:
        shared = self.engine.engine
        side_px, fit = shared.backbone.image_size, shared.backbone.fit
        self.crowd = Crowd(self.following, shared.views, side_px, fit, self.sampler.fps)

    @property
    def follower(self) -> Follower | None:
        return self.crowd.follower

    @property
    def classes(self) -> tuple[str, ...]:
        return self.engine.engine.classes

    @property
    def last_s(self) -> float:
        return self.scene.time_s if self.scene is not None else 0.0

    def advance(self, scenes: Iterable[Scene], batch: int) -> Iterator[list[Person]]:
        """See `FrameStream`. batch: how many scenes at once; people are looked for and cut out of
        the next ones while those before are read.
        """
        threads = torch.get_num_threads()
        try:
            with Prefetch(self.engine.look_ahead(self.crowd, scenes, batch), 1) as ahead:
                for looks in ahead:
                    yield from self.engine.read(self, looks)
        finally:
            torch.set_num_threads(threads)  # the other thread's share is that of later ones, too

    def begin_step(self, look: Look) -> list[tuple[Person, Sample]]:
        """Take in a scene; the people in it who are looked at, each with their sample."""
        self.ended, self.scene, self.found = [], look.scene, look.found
        self.met, self.crowded_out = look.met, look.crowded_out
        if look.starts_afresh:
            self.restarts, self.restart_reason = look.scene.run, look.scene.reason
            self._end(self.people)
        by_number = {person.number: person for person in self.people}
        for seen in look.people:
            if (person := by_number.get(seen.number)) is None:
                known = (seen.box, seen.score, seen.area)
                person = by_number[seen.number] = Person(seen.number, self.open_stream(), *known)
                self.people.append(person)
            person.move(seen)
        self._end([person for person in self.people if person.number in look.gone])
        return [(by_number[number], sample) for number, sample in look.samples.items()]

    def end_step(self, advanced: Sequence[Person]) -> None:
        """Gather what ended for those who were advanced."""
        for person in advanced:
            self._announce(person, person.stream.ended)

    def finish(self) -> list[Event]:
        """Everyone is gone: the events that were still open. A later scene starts afresh."""
        self.ended = []
        self._end(self.people)
        self.crowd.start_afresh(self.last_s)
        return self.ended

    def _end(self, gone: Sequence[Person]) -> None:
        for person in list(gone):
            self._announce(person, person.stream.finish())
            self.people.remove(person)

    def _announce(self, person: Person, events: Sequence[Event]) -> None:
        named = [replace(event, person=person.number) for event in events]
        self.ended += named
        self.events.extend(named)


class PeopleEngine:
    """Advances the people of any number of sources, each source by one scene, in one batch."""

    def __init__(self, engine: StreamEngine, detector: Detector) -> None:
        self.engine, self.detector = engine, detector

    @property
    def backbone_s(self) -> float:
        """Seconds spent in the backbone so far."""
        return self.engine.backbone_s

    def advance(
        self, streams: Sequence[PeopleStream], scenes: Sequence[Scene]
    ) -> list[list[Person]]:
        """One scene for each of some sources; the people who were looked at in each."""
        found = self.detector([scene.image for scene in scenes])
        rows = zip(streams, scenes, found, strict=True)
        entered = [stream.begin_step(stream.crowd.look(scene, one)) for stream, scene, one in rows]
        pairs = [pair for some in entered for pair in some]
        if pairs:
            self.engine.advance([person.stream for person, _ in pairs], [s for _, s in pairs])
        advanced = [[person for person, _ in some] for some in entered]
        for stream, people in zip(streams, advanced, strict=True):
            stream.end_step(people)
        return advanced

    def look_ahead(self, crowd: Crowd, scenes: Iterable[Scene], batch: int) -> Iterator[list[Look]]:
        """Who is in the scenes of a source, batch at a time.

        Made for a thread of its own, which takes half of the processors: the detector and the
        backbone side by side take less time than in turns with all of them.
        """
        torch.set_num_threads(max(1, torch.get_num_threads() // 2))
        remaining = iter(scenes)
        while some := list(islice(remaining, batch)):
            found = self.detector([scene.image for scene in some])
            yield [crowd.look(scene, one) for scene, one in zip(some, found, strict=True)]

    def read(self, stream: PeopleStream, looks: Sequence[Look]) -> Iterator[list[Person]]:
        """The people of a source who were looked at in each of some scenes, all in one batch."""
        samples = [sample for look in looks for sample in look.samples.values()]
        rows = iter(self.engine.embed(samples)) if samples else iter(())
        for look in looks:
            pairs = stream.begin_step(look)
            people = [person for person, _ in pairs]
            if pairs:
                features = torch.stack(list(islice(rows, len(pairs))))
                streams = [person.stream for person in people]
                self.engine.step(streams, [sample for _, sample in pairs], features)
            stream.end_step(people)
            yield people
