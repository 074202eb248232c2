"""A timeline in words: the describe section meets the detector. Writes nothing."""

from __future__ import annotations

from dataclasses import replace

from action_gru.backbone.boxes import kinds_of
from action_gru.recognizer import ActionRecognizer
from action_gru.streaming.spotting import Spotter
from action_gru.timeline import Timeline
from action_gru.timeline.describing import Sentence, describe
from action_gru.timeline.words import Words, load_words


class Teller:
    """Raises ConfigError where the templates are wrong, before anything is read.

    spotter: counts what is there while the video is read; None with describe.detect=false.
    """

    def __init__(self, recognizer: ActionRecognizer) -> None:
        section = recognizer.config.describe
        self.words: Words = load_words(section.language, section.templates)
        self.subjects = section.subjects
        self.spotter: Spotter | None = None
        self.sentences: list[Sentence] = []
        if section.detect:
            detector = recognizer.detector
            kinds_of(section.subjects, detector, "describe.subjects")
            min_score = recognizer.config.detection.min_score
            self.spotter = Spotter(detector, section.every_s, min_score)

    def tell(self, timeline: Timeline) -> Timeline:
        """The timeline with a sentence for each event."""
        sightings = self.spotter.sightings if self.spotter else []
        self.sentences = describe(timeline.events, sightings, self.words, self.subjects)
        return replace(timeline, sentences=tuple(one.text for one in self.sentences))
