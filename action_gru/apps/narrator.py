"""A timeline in words: the describe section meets the detector. Writes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from action_gru.detection.detector import Detections, Detector, kinds_of
from action_gru.recognizer import ActionRecognizer
from action_gru.timeline import Timeline
from action_gru.timeline.sentences import Sentence, Sighting, Words, describe, load_words
from action_gru.video import Image

COUNT_EVERY_S = 0.5  # of video


class Narrator:
    """Raises ConfigError where the templates are wrong, before anything is read.

    counter: counts what is there while the video is read; None with describe.detect=false.
    """

    def __init__(self, recognizer: ActionRecognizer) -> None:
        section = recognizer.config.describe
        self.words: Words = load_words(section.language, section.templates)
        self.subjects = section.subjects
        self.counter: ObjectCounter | None = None
        self.sentences: list[Sentence] = []
        if section.detect:
            detector = recognizer.detector
            kinds_of(section.subjects, detector, "describe.subjects")
            min_score = recognizer.config.detection.min_score
            self.counter = ObjectCounter(detector, min_score)

    def tell(self, timeline: Timeline) -> Timeline:
        """The timeline with a sentence for each event."""
        sightings = self.counter.sightings if self.counter else []
        self.sentences = describe(timeline.events, sightings, self.words, self.subjects)
        return replace(timeline, sentences=tuple(one.text for one in self.sentences))


class ObjectCounter:
    """Counts what is detected in a stream of frames, at most once in COUNT_EVERY_S.

    min_score: the weakest box that counts.
    """

    def __init__(self, detector: Detector, min_score: float) -> None:
        self.detector, self.min_score = detector, min_score
        self.sightings: list[Sighting] = []

    def look(self, image: Image, time_s: float) -> None:
        """Detect in a frame (H, W, 3) uint8 RGB if it is time."""
        if self._due(time_s):
            self.add(self.detector([image])[0], time_s)

    def add(self, found: Detections, time_s: float) -> None:
        """Take in what somebody else has detected, if it is time."""
        if self._due(time_s):
            sure = found[found.scores >= self.min_score]
            names = [self.detector.names[kind] for kind in np.asarray(sure.kinds)]
            self.sightings.append(Sighting(time_s, dict(Counter(names))))

    def _due(self, time_s: float) -> bool:
        if not self.sightings:
            return True
        # Half of a millisecond: containers round their instants.
        return not 0 <= time_s - self.sightings[-1].time_s < COUNT_EVERY_S - 0.0005
