"""The scores of a trained model on sequences, and what order, time and calibration change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from action_gru.config import Config
from action_gru.config.inputs import SOON
from action_gru.dataset import Clip
from action_gru.dataset.channels import ROWS
from action_gru.features.sequences import FeatureTable, SequenceSet, prefixes, rearrangements
from action_gru.model import ActionClassifier
from action_gru.report.anytime import PREFIXES, AnytimeReport, anytime_report
from action_gru.report.confidence import Answers, CalibratedAnswers, ConfidenceReport
from action_gru.report.early_warning import WarnedSequence
from action_gru.report.metrics import FloatArray, best_guess
from action_gru.report.order import OrderReport, order_report
from action_gru.training import Checkpoint
from action_gru.training.scoring import score_answers, score_clips, score_steps

STEPWISE_NOTE = "with a class for each row scores stay as they are: series.threshold rests on them"


class Evaluator:
    """A model with its reading rules: windows and mirrored copies are averaged."""

    def __init__(
        self, model: ActionClassifier, config: Config, classes: Sequence[str], max_frames: int
    ) -> None:
        self.model, self.config, self.classes, self.max_frames = model, config, classes, max_frames

    @classmethod
    def load(cls, checkpoint: Checkpoint, config: Config) -> Evaluator:
        """Windows are as long as in training, even if the config has changed."""
        max_frames = int(checkpoint.sampling["max_frames"])
        return cls(checkpoint.build(), config, checkpoint.classes, max_frames)

    def predict(self, sequences: SequenceSet) -> Tensor:
        """Return class probabilities (N, C) float32."""
        flip = self.config.features.flip
        return score_clips(self.model, sequences, self.max_frames, flip=flip)

    def predict_all(self, sequences: SequenceSet) -> NDArray[np.float32]:
        """Return the probabilities of every answer that has a true class: (M, C)."""
        return self.answer(sequences)[0].numpy()

    def answer(self, sequences: SequenceSet) -> tuple[Tensor, Tensor]:
        """Return every answer whose truth is known: probabilities (M, C), and its targets."""
        return score_answers(self.model, sequences, self.max_frames, self.config.features.flip)

    def is_right(self, sequences: SequenceSet) -> FloatArray:
        """Return whether each clip's answer is right: (N,), 0 or 1."""
        hits = self.predict(sequences).argmax(1) == sequences.labels
        return hits.double().numpy()

    def measure_order(
        self,
        sequences: SequenceSet,
        clips: Sequence[Clip],
        scores: Tensor,
        mean_pooled: FloatArray | None,
    ) -> OrderReport:
        """Measure what reordered or fewer frames cost, from the scores (N, C) of unchanged clips.

        mean_pooled (N,): whether that model was right.
        """
        seed = self.config.training.seed
        tries: dict[str, list[FloatArray]] = defaultdict(list)
        for name, changed in rearrangements(sequences, seed):
            tries[name].append(self.is_right(changed))
        after = {name: np.mean(answers, axis=0) for name, answers in tries.items()}
        if mean_pooled is not None:
            after["mean_pooled"] = mean_pooled
        labels, groups = [clip.label for clip in clips], [clip.group for clip in clips]
        given = [self.classes[number] for number in scores.argmax(1).tolist()]
        return order_report(given, after, labels, groups, self.classes, seed)

    def measure_anytime(
        self, sequences: SequenceSet, clips: Sequence[Clip], table: FeatureTable
    ) -> AnytimeReport:
        """Measure accuracy after the first frame and after each share of the clips."""
        first = 1 if table.unit == ROWS else 0  # after the first row one row was seen, but 0 s
        times = table.times_s(clips)
        since = [times[clip.name] - times[clip.name][0] + first for clip in clips]
        rights, seen = [], []
        for part in prefixes(sequences, PREFIXES):
            rights.append(self.is_right(part))
            seen.append([t[n - 1] for t, n in zip(since, part.lengths.tolist(), strict=True)])
        right, times_seen = np.stack(rights, 1), np.array(seen).T
        labels, groups = [clip.label for clip in clips], [clip.group for clip in clips]
        chance, seed = best_guess(labels), self.config.training.seed
        return anytime_report(right, times_seen, labels, groups, chance, seed, table.unit)

    def measure_confidence(
        self, checkpoint: Checkpoint, sequences: SequenceSet, scores: Tensor
    ) -> ConfidenceReport:
        """Compare calibrated probabilities (N, C) with those of the uncalibrated model."""
        raw = Evaluator.load(replace(checkpoint, calibration=None), self.config).predict(sequences)
        calibration, precision = checkpoint.calibration, self.config.calibration.precision
        before, after = (Answers.of(part.numpy(), sequences.labels) for part in (raw, scores))
        note = "the run has no calibration (calibration.how, or an older version)"
        if sequences.step_labels is not None:
            note = STEPWISE_NOTE
        elif calibration is not None:
            note = calibration.shortfall(precision) or ""
        both = CalibratedAnswers(before, after, calibration)
        return ConfidenceReport.of(both, precision, note, self.config.training.seed)

    def warn(self, table: FeatureTable, clips: Sequence[Clip]) -> list[WarnedSequence]:
        """Return the probability of the end after each row; empty for a model without a horizon."""
        if self.config.series.horizon is None:
            return []
        soon = self.classes.index(SOON)
        scores = score_steps(self.model, table.sequences(clips, self.classes))
        return [
            WarnedSequence(clip.name, row[:, soon].double().numpy(), remaining)
            for clip, row in zip(clips, scores, strict=True)
            if (remaining := table.remaining.get(clip.name)) is not None
        ]
