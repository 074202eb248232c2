"""The people in one stream of frames: each one's track, crop, state and events.

One detection a sampled frame for all, then one backbone call and one step over the states of all.
Knows nothing of cameras, files or pictures on a screen.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import torch

from action_gru.core.machine import Prefetch
from action_gru.detection.detector import (
    BoxTracker,
    Detections,
    Detector,
    Floats,
    Tracked,
    no_detections,
)
from action_gru.streaming.follow import Follower
from action_gru.streaming.scene import Cutting, Scene, SceneSampler, cut_views
from action_gru.streaming.stream import EVENTS_KEPT, ActionStream, StreamEngine
from action_gru.timeline import Event, Prediction, ScoreTrack
from action_gru.views import Sample

# Whoever is followed stays so until someone else is this much larger or nearer: two people of one
# size must not take turns.
STAYS = 1.25
# A person who sits down or bends must not be zoomed in on: the size follows a growing box at once
# and a shrinking one slowly, and the place has some leash, so that swaying does not move the crop.
SHRINK_S = 8.0
LEASH_SHARE = 0.08  # of the crop's side
CATCH_UP_S = 0.25


class Crop:
    """A square that follows the boxes of one person.

    margin: how much is seen around the box on each side, in shares of its longer side.
    """

    def __init__(self, margin: float) -> None:
        self.margin = margin
        self._centre = np.zeros(2)
        self._side_px = 0.0
        self._last_s = -math.inf

    def follow(
        self, box: Floats, time_s: float, frame_px: tuple[int, int]
    ) -> tuple[int, int, int, int]:
        """The next box (4,) left, top, right, bottom -> the area left, top, width, height in px.

        frame_px: width and height of the frame; the area is moved into it as far as it fits.
        """
        corner, opposite = np.asarray(box[:2], float), np.asarray(box[2:], float)
        centre, size = (corner + opposite) / 2, opposite - corner
        wanted_px = max(8.0, float(max(size)) * (1 + 2 * self.margin))
        elapsed_s = time_s - self._last_s
        self._last_s = time_s
        if math.isinf(elapsed_s):
            self._centre, self._side_px = centre, wanted_px
        else:
            self._resize(wanted_px, elapsed_s)
            self._move(centre, elapsed_s)
        return self._area(frame_px)

    def _resize(self, wanted_px: float, elapsed_s: float) -> None:
        if wanted_px < self._side_px:
            wanted_px = self._side_px + (wanted_px - self._side_px) * _share(elapsed_s, SHRINK_S)
        self._side_px = wanted_px

    def _move(self, centre: np.ndarray[tuple[int], np.dtype[np.float64]], elapsed_s: float) -> None:
        leash_px = LEASH_SHARE * self._side_px
        off = centre - self._centre
        beyond = off - np.clip(off, -leash_px, leash_px)
        self._centre = self._centre + beyond * _share(elapsed_s, CATCH_UP_S)

    def _area(self, frame_px: tuple[int, int]) -> tuple[int, int, int, int]:
        side = round(self._side_px)
        starts = []
        for middle, limit in zip(self._centre, frame_px, strict=True):
            start = round(middle - side / 2)
            inside = min(max(start, 0), limit - side) if side <= limit else (limit - side) // 2
            starts.append(inside)
        return starts[0], starts[1], side, side


def _share(elapsed_s: float, constant_s: float) -> float:
    """Of the way to a goal, how much exponential smoothing goes in a time."""
    return 1 - math.exp(-max(elapsed_s, 0.0) / constant_s)


@dataclass
class Person:
    """One person and what is known of them. box (4,): left, top, right, bottom in px."""

    number: int
    track: int  # its number in the tracker, which counts those who are not followed, too
    stream: ActionStream
    crop: Crop
    box: Floats
    score: float  # of the detection
    seen_s: float
    area: tuple[int, int, int, int] = (0, 0, 0, 0)  # what the model looks at: left, top, size
    visible: bool = True

    @property
    def prediction(self) -> Prediction | None:
        return self.stream.prediction


@dataclass(frozen=True)
class Following:
    """How people are followed.

    kinds: the detector's classes that are people. most: how many at once. order: who comes first,
    largest or nearest (the lower edge of the box lies lowest). timeout_s: who is not seen for
    longer is gone. margin: of the crop. follow: one person alone, by a rule of `Follower`.
    """

    kinds: frozenset[int]
    min_score: float
    most: int = 8
    order: str = "largest"
    timeout_s: float = 2.0
    margin: float = 0.25
    tracker: str = "bytetrack"
    follow: str | int | None = None


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
        self._tracker = self._new_tracker()
        how = self.following
        self.follower: Follower | None = None
        if how.follow is not None:
            self.follower = Follower(how.follow, how.timeout_s, how.order)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.engine.engine.classes

    @property
    def last_s(self) -> float:
        return self.scene.time_s if self.scene is not None else 0.0

    def advance(self, scenes: Iterable[Scene], batch: int) -> Iterator[list[Person]]:
        """See `FrameStream`; everyone in one scene is a batch.

        batch: in how many scenes at once people are looked for, while those before are read.
        """
        with Prefetch(self.engine.find_all(scenes, batch), 1) as ahead:
            for some, found in ahead:
                for scene, one in zip(some, found, strict=True):
                    yield from self.engine.step([self], [scene], [one])

    def begin_step(self, scene: Scene, found: Detections) -> list[tuple[Person, Sample]]:
        """Take in a scene; the people in it who are looked at, each with their sample."""
        self.ended, self.found = [], found
        if scene.run > self.restarts:
            self.restarts, self.restart_reason = scene.run, scene.reason
            self._break_off()
        self.scene = scene
        wanted = [row for row, kind in enumerate(found.kinds) if kind in self.following.kinds]
        tracked = self._tracker.update(found[wanted], scene.image)
        for person in self.people:
            person.visible = False
        boxes = np.array([one.box for one in tracked], np.float32).reshape(-1, 4)
        samples = []
        for one in self._choose(tracked, scene):
            others = boxes[[other is not one for other in tracked]]
            person = self._meet(one)
            samples.append((person, self._sample(person, scene, others)))
        self._end([person for person in self.people if self._is_gone(person)])
        return samples

    def _is_gone(self, person: Person) -> bool:
        if self.follower is not None:
            return person.number != self.follower.number
        return self.last_s - person.seen_s > self.following.timeout_s

    def end_step(self, advanced: Sequence[Person]) -> None:
        """Gather what ended for those who were advanced."""
        for person in advanced:
            self._announce(person, person.stream.ended)

    def finish(self) -> list[Event]:
        """Everyone is gone: the events that were still open. A later scene starts afresh."""
        self.ended = []
        self._break_off()
        return self.ended

    def _break_off(self) -> None:
        self._end(self.people)
        self._tracker = self._new_tracker()
        if self.follower is not None:
            self.follower.end(self.last_s)

    def _new_tracker(self) -> BoxTracker:
        how = self.following
        patience = max(1, round(how.timeout_s * self.sampler.fps))
        return BoxTracker(how.tracker, min_score=how.min_score, patience=patience)

    def _choose(self, tracked: Sequence[Tracked], scene: Scene) -> list[Tracked]:
        followed = {person.track for person in self.people}

        def rank(one: Tracked) -> float:
            left, top, right, bottom = one.box
            size = (right - left) * (bottom - top) if self.following.order == "largest" else bottom
            return float(size) * (STAYS if one.number in followed else 1.0)

        ranked = sorted(tracked, key=rank, reverse=True)
        if self.follower is not None:
            one = self.follower.choose(ranked, scene.image, scene.time_s)
            self.met = self.follower.met
            return [] if one is None else [one]
        self.crowded_out += len(ranked[self.following.most :])
        return ranked[: self.following.most]

    def _meet(self, one: Tracked) -> Person:
        """The person of a track; a new one if there is none yet."""
        person = next((person for person in self.people if self._is(person, one)), None)
        if person is None:
            if self.follower is None:
                self.met = (self.met or 0) + 1
            number = (self.follower.number if self.follower else self.met) or 0
            crop, stream = Crop(self.following.margin), self.open_stream()
            person = Person(number, one.number, stream, crop, one.box, one.score, self.last_s)
            self.people.append(person)
        person.track = one.number
        person.box, person.score, person.seen_s = one.box, one.score, self.last_s
        person.visible = True
        return person

    def _is(self, person: Person, one: Tracked) -> bool:
        if self.follower is not None:
            return person.number == self.follower.number
        return person.track == one.number

    def _sample(self, person: Person, scene: Scene, others: Floats) -> Sample:
        height, width = scene.image.shape[:2]
        person.area = person.crop.follow(person.box, scene.time_s, (width, height))
        engine = person.stream.engine
        side_px, how = engine.backbone.image_size, engine.backbone.fit
        cutting = Cutting(person.area, person.box, others)
        return Sample(scene.time_s, cut_views(scene, cutting, engine.views, side_px, how))

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
        return self.step(streams, scenes, self.detector([scene.image for scene in scenes]))

    def find_all(
        self, scenes: Iterable[Scene], batch: int
    ) -> Iterator[tuple[list[Scene], list[Detections]]]:
        """The scenes of a source with what is in each, batch at a time.

        Made for a thread of its own, which takes half of the processors: the detector and the
        backbone side by side take less time than in turns with all of them.
        """
        torch.set_num_threads(max(1, torch.get_num_threads() // 2))
        remaining = iter(scenes)
        while some := list(islice(remaining, batch)):
            yield some, self.detector([scene.image for scene in some])

    def step(
        self,
        streams: Sequence[PeopleStream],
        scenes: Sequence[Scene],
        found: Sequence[Detections],
    ) -> list[list[Person]]:
        """`advance` with what the detector found in each scene."""
        entered = [
            stream.begin_step(scene, one)
            for stream, scene, one in zip(streams, scenes, found, strict=True)
        ]
        pairs = [pair for some in entered for pair in some]
        if pairs:
            self.engine.advance([person.stream for person, _ in pairs], [s for _, s in pairs])
        advanced = [[person for person, _ in some] for some in entered]
        for stream, people in zip(streams, advanced, strict=True):
            stream.end_step(people)
        return advanced
