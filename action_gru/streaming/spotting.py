"""Counts what is detected in a stream of frames, every now and then. Knows nothing of actions."""

from __future__ import annotations

from collections import Counter

import numpy as np

from action_gru.backbone.boxes import BoxDetector, Detections, Image
from action_gru.timeline.describing import Sighting


class Spotter:
    """Gathers sightings, at most one in every_s seconds. min_score: the weakest box that counts."""

    def __init__(self, detector: BoxDetector, every_s: float, min_score: float) -> None:
        self.detector, self.every_s, self.min_score = detector, every_s, min_score
        self.sightings: list[Sighting] = []

    def look(self, image: Image, time_s: float) -> None:
        """Detect in a frame (H, W, 3) uint8 RGB if it is time."""
        if self._due(time_s):
            self.note(self.detector([image])[0], time_s)

    def note(self, found: Detections, time_s: float) -> None:
        """Take in what somebody else has detected, if it is time."""
        if self._due(time_s):
            sure = found[found.scores >= self.min_score]
            names = [self.detector.names[kind] for kind in np.asarray(sure.kinds)]
            self.sightings.append(Sighting(time_s, dict(Counter(names))))

    def _due(self, time_s: float) -> bool:
        if not self.sightings:
            return True
        # Half of a millisecond: containers round their instants.
        return not 0 <= time_s - self.sightings[-1].time_s < self.every_s - 0.0005
