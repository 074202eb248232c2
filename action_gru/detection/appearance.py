"""How the people of a frame look to the network that finds them: the view `people`.

The two people of the view `pose` count. The maps that the network's heads read are averaged over
each one's box, and over the smallest box around both; each mean of a map is brought to mean 0 and
deviation 1. The vector holds, each of all maps, the finest first:

    mean        of the two, or the one
    difference  between the two, without its sign: their order does not matter
    union       the box around both

Where nobody is found all is missing (NaN), and with one person the difference. A mean over a box
hardly changes in a mirror: the mirrored vector is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from action_gru.detection.detector import Detections
from action_gru.detection.neck_maps import Floats, NeckMap
from action_gru.detection.pose import PairFollower, mean_seen
from action_gru.detection.vectors import Vectors
from action_gru.video import Image

# Raise when the layout changes, or which people count: cached features then no longer match.
PEOPLE_VERSION = 1
PARTS = 3


class AppearanceEncoder:
    """Encodes the people of one stream, in order of time.

    widths: the channels of the detector's maps.
    """

    def __init__(self, min_score: float, widths: Sequence[int]) -> None:
        self.dim = people_width(widths)
        self._follow = PairFollower(min_score)

    def __call__(self, found: Detections, image: Image, time_s: float) -> Vectors:
        """The vectors of the next frame, of boxes with their maps, at time_s seconds."""
        boxes = [person.box for person, _ in self._follow(found, time_s)]
        values = np.full(self.dim, np.nan, np.float16)
        if boxes:
            rows = np.full((2, self.dim // PARTS), np.nan, np.float32)
            rows[: len(boxes)] = [_look(found.maps, box) for box in boxes]
            low, high = np.min(boxes, 0)[:2], np.max(boxes, 0)[2:]
            union = _look(found.maps, np.concatenate([low, high]))
            difference = np.abs(rows[0] - rows[1])
            values = np.concatenate([mean_seen(rows), difference, union]).astype(np.float16)
        return Vectors(values, values)


def people_width(widths: Sequence[int]) -> int:
    """Values of a frame, D."""
    return PARTS * sum(widths)


def _look(maps: Sequence[NeckMap], box: Floats) -> Floats:
    """A part of the frame, box (4,) px, as all maps hold it: (sum of widths,)."""
    means = [one.mean(box) for one in maps]
    return np.concatenate([(x - x.mean()) / max(float(x.std()), 1e-5) for x in means])
