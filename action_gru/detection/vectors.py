"""Boxes of a stream of frames as vectors of a fixed layout: the view `detections`.

TOP slots, then a count of each class:

    slot    there (1 or 0), score, centre x, y, width, height, velocity x, y, one-hot class
    counts  of each class, by TOP

Places and sizes are shares of the frame, velocities shares a second. A slot belongs to a track: it
keeps its slot while it is followed, in any order of the boxes. New tracks take the first free
slots, by class, then by score. Knows no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from action_gru.detection.detector import BoxTracker, Detections, Floats, Tracked
from action_gru.video import Image

ENCODING_VERSION = 1  # raise when the layout changes: cached features then no longer match
PATIENCE_S = 1.0  # how long a slot is kept for a track that is not seen

Key = tuple[int, int]  # kind and number of a track


@dataclass(frozen=True)
class Vectors:
    """One frame's vector (D,) float16, and the one of the mirrored frame."""

    plain: NDArray[np.float16]
    mirrored: NDArray[np.float16]


@dataclass(frozen=True)
class Seen:
    """A track in a frame, in shares of it: box (4,) centre and size."""

    kind: int
    score: float
    box: Floats


class Encoder:
    """Follows and encodes the boxes of one stream, in order of time.

    kinds: the classes that count, each followed by itself. fps: how often a frame is shown.
    """

    def __init__(
        self, kinds: Sequence[int], top: int, tracker: str, min_score: float, fps: float
    ) -> None:
        self.kinds, self.top, self.min_score = tuple(kinds), top, min_score
        patience = max(1, round(PATIENCE_S * fps))
        self._trackers = {
            kind: BoxTracker(tracker, min_score=min_score, patience=patience) for kind in kinds
        }
        self._slots: list[Key | None] = [None] * top
        self._before: dict[Key, tuple[float, Seen]] = {}  # when and how each was last seen

    def __call__(self, found: Detections, image: Image, time_s: float) -> Vectors:
        """The vectors of the next frame, image (H, W, 3) uint8 RGB at time_s seconds."""
        seen = self._follow(found, image)
        self._place(seen, time_s)
        slots = [self._slot(key, seen, time_s) for key in self._slots]
        sure = found.kinds[found.scores >= self.min_score]
        counts = [(sure == kind).sum() / self.top for kind in self.kinds]
        tail = np.array(counts, np.float32)
        self._before |= {key: (time_s, one) for key, one in seen.items() if key in self._slots}
        return Vectors(
            np.concatenate([*slots, tail]).astype(np.float16),
            np.concatenate([*map(self._mirrored, slots), tail]).astype(np.float16),
        )

    def _follow(self, found: Detections, image: Image) -> dict[Key, Seen]:
        size_px = np.array(image.shape[1::-1], np.float32)
        seen = {}
        for kind, tracker in self._trackers.items():
            mine = found[found.kinds == kind]
            for one in tracker.update(mine, image):
                seen[kind, one.number] = _in_shares(one, kind, size_px)
        return seen

    def _place(self, seen: Mapping[Key, Seen], time_s: float) -> None:
        """Free the slots of tracks that are gone, and fill free ones with new tracks."""
        for slot, key in enumerate(self._slots):
            if key is not None and key not in seen and time_s - self._before[key][0] > PATIENCE_S:
                self._slots[slot] = None
                del self._before[key]
        free = [slot for slot, key in enumerate(self._slots) if key is None]
        new = [key for key in seen if key not in self._slots]
        surest = sorted(new, key=lambda key: -seen[key].score)[: len(free)]
        surest.sort(key=lambda key: (key[0], -seen[key].score))
        for slot, key in zip(free, surest, strict=False):
            self._slots[slot] = key

    def _slot(self, key: Key | None, seen: Mapping[Key, Seen], time_s: float) -> Floats:
        if key is None or key not in seen:
            return np.zeros(slot_width(len(self.kinds)), np.float32)
        one = seen[key]
        before_s, before = self._before.get(key, (time_s, one))
        elapsed_s = time_s - before_s
        head = np.array([1.0, one.score, *one.box], np.float32)
        kind = (np.array(self.kinds) == one.kind).astype(np.float32)
        return np.concatenate([head, _speed(one.box[:2], before.box[:2], elapsed_s), kind])

    def _mirrored(self, slot: Floats) -> Floats:
        """The slot in the mirrored frame."""
        if not slot[0]:
            return slot
        slot = slot.copy()
        slot[2], slot[6] = 1 - slot[2], -slot[6]
        return slot


def slot_width(kinds: int) -> int:
    """Values of one slot."""
    return 8 + kinds


def vector_width(kinds: int, top: int) -> int:
    """Values of a frame, D."""
    return top * slot_width(kinds) + kinds


def _speed(now: Floats, before: Floats, elapsed_s: float) -> Floats:
    """Change a second; none where nothing was seen before."""
    return (now - before) / np.float32(elapsed_s) if elapsed_s > 0 else np.zeros_like(now)


def _in_shares(one: Tracked, kind: int, size_px: Floats) -> Seen:
    corner, opposite = one.box[:2], one.box[2:]
    centre, size = (corner + opposite) / 2, np.maximum(opposite - corner, 1.0)
    box = np.concatenate([centre / size_px, size / size_px]).astype(np.float32)
    return Seen(kind, one.score, box)
