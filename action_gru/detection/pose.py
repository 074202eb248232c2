"""The people of a frame as one vector that does not depend on their place, size or order.

Two people count: those who are large and near each other. Each is described relative to the own
box and to the other, as if the other were on the right. The vector holds the mean of the two
descriptions, how much they differ, and the pair as a whole:

    person  every joint: x, y, confidence, velocity x y, speed
            velocity x y of the person
            head, hands, feet: x, y from the other's centre, distance to the other's nearest joint
            logarithm of the box's height by its width
    pair    distance of the centres x y, logarithm of the ratio of sizes, intersection over union,
            logarithm of 1 + the number of people

Lengths count in sizes of the person (the longer side of the box) or, between two, in the mean of
both sizes; velocities in sizes a second. What is not seen is missing: NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from action_gru.detection.detector import Detections, Floats
from action_gru.detection.vectors import PATIENCE_S, Vectors
from action_gru.video import Image

POSE_VERSION = 2  # raise when the layout changes: cached features then no longer match
# Of COCO's 17 keypoints, each one's other side: nose, eyes, ears, shoulders, elbows, ...
OTHER_SIDE = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
EXTREMITIES = (0, 9, 10, 15, 16)  # of COCO's: nose, wrists, ankles
LEAST_CONFIDENCE = 0.3  # a joint that is less sure is not seen
# Two people whose boxes are this far apart, in sizes, count e times less than a pair that touches.
NEAR = 0.5
STAYS = 1.5  # a pair is left only for one that counts this many times more
PAIR_PARTS = 5
# Intersection over union of a person's boxes from frame to frame, at least, and of two boxes that
# the network gave one person.
SAME_PERSON, SEEN_TWICE = 0.2, 0.6
# A network's mistake must not outweigh what it sees: limits of places, of velocities of joints and
# of people, and of distances.
FARTHEST, FASTEST_JOINT, FASTEST, MOST_APART = 1.5, 6.0, 4.0, 3.0


@dataclass(frozen=True)
class Person:
    """box (4,) left, top, right, bottom and joints (J, 3) x, y, confidence, in pixels."""

    box: Floats
    joints: Floats

    @cached_property
    def centre(self) -> Floats:
        return (self.box[:2] + self.box[2:]) / np.float32(2)

    @cached_property
    def extent(self) -> Floats:
        extent: Floats = np.maximum(self.box[2:] - self.box[:2], np.float32(1))
        return extent

    @cached_property
    def size(self) -> float:
        return float(self.extent.max())

    def facing(self, direction: int) -> Floats:
        """The joints as they are, or (-1) those of the mirrored person around the same x axis."""
        if direction > 0 or len(self.joints) != len(OTHER_SIDE):
            return self.joints
        return self.joints[list(OTHER_SIDE)]

    def places(self, centre: Floats, size: float, direction: int) -> Floats:
        """(J, 2): the joints seen from a centre; NaN for those that are not sure."""
        joints = self.facing(direction)
        places = (joints[:, :2] - centre) / size * np.array([direction, 1], np.float32)
        return np.where(joints[:, 2:] < LEAST_CONFIDENCE, np.float32(np.nan), places)


class PoseEncoder:
    """Follows and encodes the people of one stream, in order of time."""

    def __init__(self, min_score: float, keypoints: int) -> None:
        self.keypoints, self.min_score = keypoints, min_score
        self._count = 0
        self._before: dict[int, tuple[float, Person]] = {}  # when and how each was last seen
        self._pair: tuple[int, ...] = ()

    def __call__(self, found: Detections, image: Image, time_s: float) -> Vectors:
        """The vectors of the next frame, image (H, W, 3) uint8 RGB at time_s seconds."""
        people = self._follow(found)
        self._pair = self._choose(people)
        count = int((found.scores >= self.min_score).sum())
        plain = self._encode(people, time_s, 1, count)
        # Of a pair, each faces the other: in the mirrored frame as in this one.
        mirrored = plain if len(self._pair) > 1 else self._encode(people, time_s, -1, count)
        before = self._before | {number: (time_s, person) for number, person in people.items()}
        self._before = {n: kept for n, kept in before.items() if time_s - kept[0] <= PATIENCE_S}
        return Vectors(plain.astype(np.float16), mirrored.astype(np.float16))

    def _follow(self, found: Detections) -> dict[int, Person]:
        """The people in the frame by the numbers of their tracks.

        The boxes that overlap most continue a track, weak ones too. Unlike `BoxTracker` it takes a
        new person at once: where people are seen now and then, waiting would lose most of them.
        """
        joints = found.keypoints
        people = [] if joints is None else list(map(Person, found.boxes, joints))
        numbers = list(self._before)
        overlaps = {
            (number, row): _overlap(self._before[number][1], person)
            for number in numbers
            for row, person in enumerate(people)
        }
        followed: dict[int, int] = {}  # number -> row
        for (number, row), overlap in sorted(overlaps.items(), key=lambda item: -item[1]):
            if overlap >= SAME_PERSON and number not in followed and row not in followed.values():
                followed[number] = row
        for row, person in enumerate(people):
            again = any(_overlap(person, people[known]) > SEEN_TWICE for known in followed.values())
            if found.scores[row] >= self.min_score and not again:
                self._count += 1
                followed[self._count] = row
        return {number: people[row] for number, row in followed.items()}

    def _choose(self, people: Mapping[int, Person]) -> tuple[int, ...]:
        """The numbers of the two who are largest and nearest; of the one, if there is one."""
        numbers = list(people)
        pairs = [(a, b) for place, a in enumerate(numbers) for b in numbers[place + 1 :]]
        if not pairs:
            return tuple(numbers)

        def weight(pair: tuple[int, int]) -> float:
            stays = STAYS if set(pair) == set(self._pair) else 1.0
            return stays * _closeness(people[pair[0]], people[pair[1]])

        return max(pairs, key=weight)

    def _encode(
        self, people: Mapping[int, Person], time_s: float, direction: int, count: int
    ) -> Floats:
        """direction: where a person who is alone looks from; 1 or -1, mirrored."""
        chosen = [people[number] for number in self._pair]
        rows = np.full((2, person_width(self.keypoints)), np.nan, np.float32)
        for row, number in enumerate(self._pair):
            other = chosen[1 - row] if len(chosen) > 1 else None
            if other is not None:
                direction = 1 if other.centre[0] >= chosen[row].centre[0] else -1
            rows[row] = _describe(people[number], self._past(number, time_s), direction, other)
        return np.concatenate([_mean(rows), np.abs(rows[0] - rows[1]), _together(chosen, count)])

    def _past(self, number: int, time_s: float) -> tuple[float, Person] | None:
        """How long ago the person was seen, and how; None for a new one."""
        last_s, person = self._before.get(number, (time_s, None))
        return None if person is None or time_s <= last_s else (time_s - last_s, person)


def person_width(keypoints: int) -> int:
    """Values of one person."""
    return 6 * keypoints + 3 + 3 * len(_extremities(keypoints))


def pose_width(keypoints: int) -> int:
    """Values of a frame, D."""
    return 2 * person_width(keypoints) + PAIR_PARTS


def _extremities(keypoints: int) -> Sequence[int]:
    return EXTREMITIES if keypoints == len(OTHER_SIDE) else range(keypoints)


def _closeness(one: Person, other: Person) -> float:
    """Larger for larger people; falls with the gap between their boxes."""
    apart = np.maximum(one.box[:2], other.box[:2]) - np.minimum(one.box[2:], other.box[2:])
    gap = np.linalg.norm(np.maximum(apart, 0)) / _mean_size(one, other)
    area = one.extent.prod() * other.extent.prod()
    return float(np.sqrt(area) * np.exp(-gap / NEAR))


def _describe(
    person: Person, past: tuple[float, Person] | None, direction: int, other: Person | None
) -> Floats:
    """One row of a frame's people, (person_width,)."""
    places = person.places(person.centre, person.size, direction)
    moved = np.full_like(places, np.nan)
    motion: NDArray[Any] = np.full(2, np.nan)
    if past is not None:
        elapsed_s, before = past
        moved = (places - before.places(before.centre, person.size, direction)) / elapsed_s
        motion = (person.centre - before.centre) / person.size / elapsed_s * [direction, 1]
    moved = moved.clip(-FASTEST_JOINT, FASTEST_JOINT)
    aspect = np.log(person.extent[1] / person.extent[0])
    parts = [
        places.clip(-FARTHEST, FARTHEST).ravel(),
        person.facing(direction)[:, 2],
        moved.ravel(),
        np.linalg.norm(moved, axis=1),
        motion.clip(-FASTEST, FASTEST),
        *_towards(person, direction, other),
        [aspect],
    ]
    return np.concatenate(parts).astype(np.float32)


def _towards(person: Person, direction: int, other: Person | None) -> tuple[Floats, Floats]:
    """(2 E,): head, hands and feet from the other's centre; (E,): their distances to the other."""
    ends = list(_extremities(len(person.joints)))
    if other is None:
        return np.full(2 * len(ends), np.nan), np.full(len(ends), np.nan)
    size = _mean_size(person, other)
    from_centre = person.places(other.centre, size, direction)[ends]
    reach = person.places(person.centre, size, 1)
    if direction < 0 and len(person.joints) == len(OTHER_SIDE):
        reach = reach[list(OTHER_SIDE)]
    theirs = other.places(person.centre, size, 1)
    seen = theirs[~np.isnan(theirs[:, 0])]
    distances = np.linalg.norm(reach[ends][:, None] - seen[None], axis=-1)
    nearest = distances.min(1) if len(seen) else np.full(len(ends), np.nan)
    return from_centre.clip(-MOST_APART, MOST_APART).ravel(), nearest.clip(0, MOST_APART)


def _together(chosen: Sequence[Person], count: int) -> Floats:
    """The pair as a whole, (PAIR_PARTS,)."""
    if len(chosen) < 2:
        return np.array([np.nan] * (PAIR_PARTS - 1) + [np.log1p(count)], np.float32)
    one, other = chosen
    apart = np.abs(one.centre - other.centre) / _mean_size(one, other)
    ratio = abs(np.log(one.size / other.size))
    parts = [*apart.clip(0, MOST_APART), ratio, _overlap(one, other), np.log1p(count)]
    return np.array(parts, np.float32)


def _overlap(one: Person, other: Person) -> float:
    """Intersection over union of the boxes."""
    sides = np.minimum(one.box[2:], other.box[2:]) - np.maximum(one.box[:2], other.box[:2])
    shared = float(np.maximum(sides, 0).prod())
    return shared / float(one.extent.prod() + other.extent.prod() - shared)


def _mean_size(one: Person, other: Person) -> float:
    return (one.size + other.size) / 2


def _mean(rows: Floats) -> Floats:
    """Of what is seen: (2, P) -> (P,); NaN where nothing is."""
    seen = ~np.isnan(rows)
    count = seen.sum(0)
    total = np.where(seen, rows, 0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.float32(np.nan))
