"""Keeps the scores of one stream as its timeline shows them. Knows nothing of files."""

from __future__ import annotations

from action_gru.streaming.stream import ActionStream
from action_gru.timeline import Prediction, ScoreTrack


class ScoreNotes:
    """Every answer that a stream's events rest on, at the instant that it speaks of.

    `note` after each sample, `note_closing` after `ActionStream.finish`.
    """

    def __init__(self, stream: ActionStream) -> None:
        self.stream = stream
        self.track = ScoreTrack()
        self._restarts = stream.restarts

    def note(self, prediction: Prediction) -> None:
        """Take in the answer to the newest sample."""
        self.note_closing()  # of the stretch before a gap, where the sample comes after one
        self._add(prediction, begins=self.stream.restarts > self._restarts)
        self._restarts = self.stream.restarts

    def note_closing(self) -> None:
        """Take in what the younger states said of the last half window before the end."""
        for answer in self.stream.closing:
            self._add(answer)

    def _add(self, answer: Prediction, begins: bool = False) -> None:
        scores = answer.probabilities(self.stream.engine.classes)
        self.track.add(answer.centre_s, scores, begins)
