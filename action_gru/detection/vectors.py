"""Boxes and keypoints of a stream of frames as vectors of a fixed layout. Knows no network.

`detections`: TOP slots, then a count of each class.

    slot    there (1 or 0), score, centre x, y, width, height, velocity x, y, one-hot class
    counts  of each class, by TOP

`pose`: TOP slots.

    slot      there, score, centre x, y, width, height, then every keypoint
    keypoint  x, y from the box's centre in shares of its size, confidence, velocity x, y

Places and sizes are shares of the frame, velocities shares a second (of the frame; of the box for
keypoints). A slot belongs to a track: it keeps its slot while it is followed, in any
order of the boxes. New tracks take the first free slots, by class, then by score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from action_gru.detection.detector import BoxTracker, Detections, Floats, Tracked
from action_gru.video import Image

ENCODING_VERSION = 1  # raise when the layout changes: cached features then no longer match
POINT_PARTS = 5
PATIENCE_S = 1.0  # how long a slot is kept for a track that is not seen
# Of COCO's 17 keypoints, each one's other side: nose, eyes, ears, shoulders, elbows, ...
OTHER_SIDE = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)

Key = tuple[int, int]  # kind and number of a track


@dataclass(frozen=True)
class Vectors:
    """One frame's vector (D,) float16, and the one of the mirrored frame."""

    plain: NDArray[np.float16]
    mirrored: NDArray[np.float16]


@dataclass(frozen=True)
class Seen:
    """A track in a frame, in shares of it: box (4,) centre and size, points (J, 3) or None."""

    kind: int
    score: float
    box: Floats
    points: Floats | None


class Encoder:
    """Follows and encodes the boxes of one stream, in order of time.

    kinds: the classes that count, each followed by itself. keypoints: how many each box has; 0 is
    the layout of `detections`, else that of `pose`. fps: how often a frame is shown.
    """

    def __init__(
        self,
        kinds: Sequence[int],
        top: int,
        tracker: str,
        min_score: float,
        fps: float,
        keypoints: int = 0,
    ) -> None:
        self.kinds, self.top, self.min_score = tuple(kinds), top, min_score
        self.keypoints = keypoints
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
        counts = [(sure == kind).sum() / self.top for kind in self.kinds if not self.keypoints]
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
                seen[kind, one.number] = _in_shares(one, kind, mine, size_px)
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
            return np.zeros(slot_width(len(self.kinds), self.keypoints), np.float32)
        one = seen[key]
        before_s, before = self._before.get(key, (time_s, one))
        elapsed_s = time_s - before_s
        head = np.array([1.0, one.score, *one.box], np.float32)
        if one.points is not None:
            past = one.points if before.points is None else before.points
            speeds = _speed(one.points[:, :2], past[:, :2], elapsed_s)
            return np.concatenate([head, np.concatenate([one.points, speeds], 1).ravel()])
        kind = (np.array(self.kinds) == one.kind).astype(np.float32)
        return np.concatenate([head, _speed(one.box[:2], before.box[:2], elapsed_s), kind])

    def _mirrored(self, slot: Floats) -> Floats:
        """The slot in the mirrored frame."""
        if not slot[0]:
            return slot
        slot = slot.copy()
        slot[2] = 1 - slot[2]
        if not self.keypoints:
            slot[6] = -slot[6]
            return slot
        points = slot[6:].reshape(-1, POINT_PARTS) * np.array([-1, 1, 1, -1, 1], np.float32)
        if len(points) == len(OTHER_SIDE):
            points = points[list(OTHER_SIDE)]
        return np.concatenate([slot[:6], points.ravel()])


def slot_width(kinds: int, keypoints: int) -> int:
    """Values of one slot."""
    return 6 + (POINT_PARTS * keypoints if keypoints else 2 + kinds)


def vector_width(kinds: int, top: int, keypoints: int) -> int:
    """Values of a frame, D."""
    return top * slot_width(kinds, keypoints) + (0 if keypoints else kinds)


def _speed(now: Floats, before: Floats, elapsed_s: float) -> Floats:
    """Change a second; none where nothing was seen before."""
    return (now - before) / np.float32(elapsed_s) if elapsed_s > 0 else np.zeros_like(now)


def _in_shares(one: Tracked, kind: int, found: Detections, size_px: Floats) -> Seen:
    corner, opposite = one.box[:2], one.box[2:]
    centre, size = (corner + opposite) / 2, np.maximum(opposite - corner, 1.0)
    points = None
    if found.keypoints is not None:
        points = found.keypoints[one.row].astype(np.float32).copy()
        # A keypoint far outside of its box is a mistake of the network, and would drown the rest.
        points[:, :2] = np.clip((points[:, :2] - centre) / size, -1.5, 1.5)
    box = np.concatenate([centre / size_px, size / size_px]).astype(np.float32)
    return Seen(kind, one.score, box, points)
