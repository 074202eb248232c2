"""Runs a trained model on the clips of a report: as they are, reordered, cut, uncalibrated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from action_gru.config import Config
from action_gru.dataset import Clip
from action_gru.dataset.channels import ROWS
from action_gru.features.sequences import FeatureTable, SequenceSet, prefixes, rearrangements
from action_gru.model import ActionClassifier
from action_gru.model.calibration import Calibration
from action_gru.report.anytime import PREFIXES, AnytimeReport, anytime_report
from action_gru.report.confidence import Answers, CalibratedAnswers, ConfidenceReport
from action_gru.report.order import OrderReport, order_report
from action_gru.report.statistics import best_guess
from action_gru.training import Checkpoint
from action_gru.training.scoring import score_clips

FloatArray = NDArray[np.float64]


class Evaluator:
    """A model with its checkpoint's reading rules: windows and mirrored copies are averaged."""

    def __init__(self, checkpoint: Checkpoint, config: Config) -> None:
        self.checkpoint = checkpoint
        self.model: ActionClassifier = checkpoint.build()
        self._max_frames = int(checkpoint.sampling["max_frames"])
        self._config = config

    def predict(self, sequences: SequenceSet) -> Tensor:
        """Return class probabilities (N, C) float32."""
        flip = self._config.features.flip
        return score_clips(self.model, sequences, self._max_frames, flip=flip)

    def is_right(self, sequences: SequenceSet) -> FloatArray:
        """Return whether each clip's answer is right: (N,), 0 or 1."""
        hits = self.predict(sequences).argmax(1) == sequences.labels
        return hits.double().numpy()

    def measure_order(
        self, sequences: SequenceSet, clips: Sequence[Clip], mean_pooled: FloatArray | None
    ) -> OrderReport:
        """Measure what reordered or fewer frames cost. mean_pooled (N,): was that model right."""
        seed, classes = self._config.training.seed, self.checkpoint.classes
        tries: dict[str, list[FloatArray]] = defaultdict(list)
        for name, changed in rearrangements(sequences, seed):
            tries[name].append(self.is_right(changed))
        after = {name: np.mean(answers, axis=0) for name, answers in tries.items()}
        if mean_pooled is not None:
            after["mean_pooled"] = mean_pooled
        labels, groups = [clip.label for clip in clips], [clip.group for clip in clips]
        given = [classes[number] for number in self.predict(sequences).argmax(1).tolist()]
        return order_report(given, after, labels, groups, classes, seed)

    def measure_anytime(
        self, sequences: SequenceSet, clips: Sequence[Clip], table: FeatureTable
    ) -> AnytimeReport:
        """Measure accuracy after the first frame and after each share of the clips."""
        rights, seen = [], []
        times = table.times_s(clips)
        first = 1 if table.unit == ROWS else 0  # after the first row one row was seen, but 0 s
        for part in prefixes(sequences, PREFIXES):
            rights.append(self.is_right(part))
            seen.append(
                [
                    times[clip.name][count - 1] - times[clip.name][0] + first
                    for clip, count in zip(clips, part.lengths.tolist(), strict=True)
                ]
            )
        labels, groups = [clip.label for clip in clips], [clip.group for clip in clips]
        right, times_seen, chance = np.stack(rights, 1), np.array(seen).T, best_guess(labels)
        seed = self._config.training.seed
        return anytime_report(right, times_seen, labels, groups, chance, seed, table.unit)

    def measure_confidence(self, sequences: SequenceSet, scores: Tensor) -> ConfidenceReport:
        """Compare calibrated probabilities (N, C) with those of the uncalibrated model."""
        raw = Evaluator(replace(self.checkpoint, calibration=None), self._config).predict(sequences)
        calibration, precision = self.checkpoint.calibration, self._config.calibration.precision
        before, after = (Answers.of(part.numpy(), sequences.labels) for part in (raw, scores))
        note = _note(calibration, precision, sequences.step_labels is not None)
        answers = CalibratedAnswers(before, after, calibration)
        return ConfidenceReport.of(answers, precision, note, self._config.training.seed)


def _note(calibration: Calibration | None, precision: float, is_stepwise: bool) -> str:
    if is_stepwise:
        return "with a class for each row scores stay as they are: series.threshold rests on them"
    if calibration is None:
        return "the run has no calibration (calibration.how, or an older version)"
    return calibration.shortfall(precision) or ""
