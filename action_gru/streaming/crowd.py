"""Who is followed in each scene of one source, and what is cut out of it for them.

Knows no model: it may look ahead while what was seen before is still being read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from action_gru.detection.detector import BoxTracker, Detections, Floats, Tracked
from action_gru.streaming.follow import Follower
from action_gru.streaming.scene import Cutting, Scene, cut_views
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
class Followed:
    """Where one person is. number: theirs for good; track: in the tracker, which counts those who
    are not followed, too. box (4,): left, top, right, bottom in px, as seen last, with the score of
    that detection. area: what is looked at: left, top, width, height in px.
    """

    number: int
    track: int
    crop: Crop
    box: Floats
    score: float
    seen_s: float
    area: tuple[int, int, int, int] = (0, 0, 0, 0)
    visible: bool = True


class Look(NamedTuple):
    """One scene. people: all who are followed as of it, in the order in which they came. samples:
    of those who are looked at, by number. gone: the numbers of those who no longer are, in order;
    starts_afresh: nor is anybody of before. met and crowded_out: so far, see `Crowd`.
    """

    scene: Scene
    found: Detections  # of any kind
    people: tuple[Followed, ...]
    samples: dict[int, Sample]
    gone: tuple[int, ...]
    starts_afresh: bool
    met: int
    crowded_out: int


class Crowd:
    """The people of one source, scene after scene.

    views, size_px, fit: of the pictures that are cut out. fps: scenes a second. met: how many
    people were followed; crowded_out: how often someone was seen and not followed, in scenes.
    """

    def __init__(
        self, following: Following, views: Sequence[str], size_px: int, fit: str, fps: float
    ) -> None:
        self.following = following
        self._pictures, self._fps = (views, size_px, fit), fps
        self.met = self.crowded_out = self._runs = 0
        self._people: list[Followed] = []
        self._tracker = self._new_tracker()
        self.follower: Follower | None = None
        if following.follow is not None:
            self.follower = Follower(following.follow, following.timeout_s, following.order)

    def look(self, scene: Scene, found: Detections) -> Look:
        """Take in the next scene and what the detector found in it."""
        starts_afresh, now_s = scene.run > self._runs, scene.time_s
        if starts_afresh:
            self._runs = scene.run
            self.start_afresh(now_s)
        wanted = [row for row, kind in enumerate(found.kinds) if kind in self.following.kinds]
        tracked = self._tracker.update(found[wanted], scene.image)
        for person in self._people:
            person.visible = False
        boxes = np.array([one.box for one in tracked], np.float32).reshape(-1, 4)
        samples = {}
        for one in self._choose(tracked, scene):
            others = boxes[[other is not one for other in tracked]]
            person = self._meet(one, now_s)
            samples[person.number] = self._sample(person, scene, others)
        gone = [person for person in self._people if self._is_gone(person, now_s)]
        self._people = [person for person in self._people if person not in gone]
        numbers = tuple(person.number for person in gone)
        people = tuple(replace(person) for person in self._people)
        return Look(
            scene, found, people, samples, numbers, starts_afresh, self.met, self.crowded_out
        )

    def start_afresh(self, time_s: float) -> None:
        """Nobody of before is followed any more: the scene was broken off at time_s."""
        self._people = []
        self._tracker = self._new_tracker()
        if self.follower is not None:
            self.follower.end(time_s)

    def _is_gone(self, person: Followed, now_s: float) -> bool:
        if self.follower is not None:
            return person.number != self.follower.number
        return now_s - person.seen_s > self.following.timeout_s

    def _new_tracker(self) -> BoxTracker:
        how = self.following
        patience = max(1, round(how.timeout_s * self._fps))
        return BoxTracker(how.tracker, min_score=how.min_score, patience=patience)

    def _choose(self, tracked: Sequence[Tracked], scene: Scene) -> list[Tracked]:
        followed = {person.track for person in self._people}

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

    def _meet(self, one: Tracked, now_s: float) -> Followed:
        """The person of a track; a new one if there is none yet."""
        person = next((person for person in self._people if self._is(person, one)), None)
        if person is None:
            if self.follower is None:
                self.met += 1
            number = (self.follower.number if self.follower else self.met) or 0
            crop = Crop(self.following.margin)
            person = Followed(number, one.number, crop, one.box, one.score, now_s)
            self._people.append(person)
        person.track = one.number
        person.box, person.score, person.seen_s = one.box, one.score, now_s
        person.visible = True
        return person

    def _is(self, person: Followed, one: Tracked) -> bool:
        if self.follower is not None:
            return person.number == self.follower.number
        return person.track == one.number

    def _sample(self, person: Followed, scene: Scene, others: Floats) -> Sample:
        height, width = scene.image.shape[:2]
        person.area = person.crop.follow(person.box, scene.time_s, (width, height))
        cutting = Cutting(person.area, person.box, others)
        return Sample(scene.time_s, cut_views(scene, cutting, *self._pictures))
