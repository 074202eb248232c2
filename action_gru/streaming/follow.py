"""Keeps to one person while others pass: who is picked, who is taken for the same, who is gone.

A tracker follows boxes by their place, and may exchange two people where one hides the other. So
the colours of the one who is followed are known, and after people touched, they decide. Who wears
the same is told apart by place alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from action_gru.detection.detector import Floats, Tracked
from action_gru.video import Image

# What two looks have in common: of 42 drawn people, with the same one at another moment 0.45 to
# 1.0, half of them above 0.89; with another one 0.02 to 0.39.
ALIKE = 0.42
TOUCHING = 0.05  # of the smaller box: from then on a box may show somebody else
LEARNT = 0.1  # of the look, with each sample in which nobody touches
PER_S = 1.5  # of their height: how far somebody may be from where they were seen last
BINS = (12, 4, 4)  # hue, saturation, brightness
CHANGES_KEPT = 1000
RULES: dict[str, str] = {
    "largest": "the largest",
    "centre": "the nearest to the middle",
    "first": "the first who came",
    "nearest": "the nearest",
}


@dataclass(frozen=True)
class Change:
    """Somebody else is followed, or nobody (None), from time_s on, seconds."""

    time_s: float
    person: int | None
    text: str


@dataclass
class _Known:
    """A track: who it is, and when it was seen first and last."""

    person: int
    since_s: float
    seen_s: float = 0.0


class Follower:
    """Who of the people in each sample is the one.

    rule: largest, centre (of the picture), first (who came first), or the number of a person, in
    the order in which they were met. They are kept until they are not seen for timeout_s; then one
    is picked anew by the rule, after a number by `otherwise`. `changes` tells of it.
    """

    def __init__(self, rule: str | int, timeout_s: float, otherwise: str = "largest") -> None:
        self.number: int | None = None  # of the person who is followed
        self.met = 0
        self.changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self._rule, self._otherwise, self._timeout_s = rule, otherwise, timeout_s
        self._tracks: dict[int, _Known] = {}  # those seen lately, by the tracker's number
        self._track, self._is_other = -1, False  # their track, and that it shows somebody else
        self._box = np.zeros(4, np.float32)  # where they were seen last
        self._seen_s = self._touched_s = 0.0
        self._look: Floats | None = None

    def choose(self, tracked: Sequence[Tracked], image: Image, time_s: float) -> Tracked | None:
        """The box of the one in this sample; None while they are hidden, or nobody is there.

        tracked: those in the picture, the first to be met first; image (H, W, 3) uint8 RGB.
        """
        self._count(tracked, time_s)
        one = self._find(tracked, image, time_s) if self.number is not None else None
        if one is None and (self.number is None or time_s - self._seen_s > self._timeout_s):
            one = self._pick(tracked, image, time_s)
        if one is not None:
            self._take(one, time_s)
            if not _touches(one, tracked) and not self._is_in_doubt(time_s):
                self._learn(look_of(image, one.box))
        return one

    def end(self, time_s: float) -> None:
        """The scene is over: a later sample picks anew. People are met afresh."""
        self._tracks.clear()
        if self.number is not None:
            self._say(time_s, None, f"person {self.number} is left: the scene is over")

    def _count(self, tracked: Sequence[Tracked], time_s: float) -> None:
        """Give each new track a number, and forget those that are gone."""
        for one in tracked:
            if one.number not in self._tracks:
                self.met += 1
                self._tracks[one.number] = _Known(self.met, time_s)
            self._tracks[one.number].seen_s = time_s
        for track, known in list(self._tracks.items()):
            if time_s - known.seen_s > self._timeout_s:
                del self._tracks[track]

    def _take(self, one: Tracked, time_s: float) -> None:
        """This is the one; a track that was theirs shows who had this track's number."""
        known, before = self._tracks[one.number], self._tracks.get(self._track)
        if before is not None and before.person == self.number:
            before.person = known.person
        assert self.number is not None
        known.person = self.number
        self._seen_s, self._track, self._box = time_s, one.number, one.box

    def _find(self, tracked: Sequence[Tracked], image: Image, time_s: float) -> Tracked | None:
        """The one who is followed: their track, unless it shows somebody else by now."""
        own = next((one for one in tracked if one.number == self._track), None)
        others = [one for one in tracked if one is not own]
        if own is not None and _touches(own, others):
            self._touched_s = time_s
        if own is not None and not self._is_in_doubt(time_s):
            return own
        alike = {id(one): likeness(self._look, look_of(image, one.box)) for one in tracked}
        self._is_other = own is not None and alike[id(own)] < ALIKE
        if own is not None and not self._is_other:
            return own
        others = [one for one in others if self._may_be(one, time_s)]
        best = max(others, key=lambda one: alike[id(one)], default=None)
        return best if best is not None and alike[id(best)] >= ALIKE else None

    def _is_in_doubt(self, time_s: float) -> bool:
        return self._is_other or time_s - self._touched_s <= self._timeout_s

    def _may_be(self, one: Tracked, time_s: float) -> bool:
        """Whether another track can be the one: it is near, and new unless they touched others."""
        away_s = time_s - self._seen_s
        is_new = self._tracks[one.number].since_s > self._seen_s
        touched = self._seen_s - self._touched_s <= self._timeout_s
        reach_px = PER_S * (1 + away_s) * float(self._box[3] - self._box[1])
        near = float(np.linalg.norm(_middle(one.box) - _middle(self._box))) <= reach_px
        return near and (is_new or touched)

    def _pick(self, tracked: Sequence[Tracked], image: Image, time_s: float) -> Tracked | None:
        """Somebody by the rule, where there is one; says so."""
        rule, lost = self._rule, ""
        if self.number is not None:
            lost = f"person {self.number} was not seen for {time_s - self._seen_s:.1f} s: gone"
        middle_px = np.array(image.shape[1::-1]) / 2
        ranks: dict[str, Callable[[Tracked], float]] = {
            "largest": lambda one: _area(one.box),
            "nearest": lambda one: float(one.box[3]),
            "centre": lambda one: -float(np.linalg.norm(_middle(one.box) - middle_px)),
            "first": lambda one: -self._tracks[one.number].person,
        }
        if isinstance(rule, int):
            known = self._tracks
            one = next((one for one in tracked if known[one.number].person == rule), None)
        else:
            one = max(tracked, key=ranks[rule], default=None)
        if one is None:
            awaited = f"person {rule}" if isinstance(rule, int) else "somebody"
            self._say(time_s, None, lost or f"waits for {awaited}")
            return None
        number = self._tracks[one.number].person
        now = f"follows person {number}, {self._whom()}"
        self._say(time_s, number, f"{lost}; {now}" if lost else now)
        self._look, self._touched_s = look_of(image, one.box), -math.inf
        self._is_other = False
        self._rule, self._track = self._otherwise if isinstance(rule, int) else rule, one.number
        return one

    def _whom(self) -> str:
        return "as asked for" if isinstance(self._rule, int) else RULES[self._rule]

    def _say(self, time_s: float, number: int | None, text: str) -> None:
        """Note a change; nobody twice in succession is none."""
        if number is None and self.changes and self.changes[-1].person is None:
            return
        self.number = number
        self.changes.append(Change(time_s, number, text))

    def _learn(self, look: Floats) -> None:
        """Clothes look otherwise in another light."""
        if self._look is not None:
            self._look = (1 - LEARNT) * self._look + LEARNT * look


def look_of(image: Image, box: Floats) -> Floats:
    """How often each colour is in the middle of a box (4,) px: a histogram (192,) of sum 1."""
    height_px, width_px = image.shape[:2]
    left, top, right, bottom = (float(side) for side in box)
    wide, tall = right - left, bottom - top
    rows = slice(max(0, int(top + 0.1 * tall)), min(height_px, int(top + 0.8 * tall) + 1))
    columns = slice(max(0, int(left + 0.25 * wide)), min(width_px, int(right - 0.25 * wide) + 1))
    part = image[rows, columns]
    if not part.size:
        return np.zeros(int(np.prod(BINS)), np.float32)
    colours = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([colours], [0, 1, 2], None, list(BINS), [0, 180, 0, 256, 0, 256])
    return np.asarray(counts.ravel() / max(float(counts.sum()), 1.0), np.float32)


def likeness(one: Floats | None, other: Floats) -> float:
    """The share that two looks have in common, from 0 to 1."""
    return 0.0 if one is None else float(np.minimum(one, other).sum())


def _touches(one: Tracked, tracked: Sequence[Tracked]) -> bool:
    """Does another box cover some of this one, or is it covered?"""
    for other in tracked:
        low = np.maximum(one.box[:2], other.box[:2])
        high = np.minimum(one.box[2:], other.box[2:])
        shared = float(np.prod(np.maximum(high - low, 0.0)))
        if other is not one and shared > TOUCHING * min(_area(one.box), _area(other.box)):
            return True
    return False


def _area(box: Floats) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _middle(box: Floats) -> Floats:
    return np.asarray((box[:2] + box[2:]) / 2, np.float32)
