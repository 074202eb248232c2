"""Asks a checkpoint the questions of the report: other orders, parts of clips, raw scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from action_gru.channels import ROWS
from action_gru.checkpoint import Checkpoint
from action_gru.config import Config
from action_gru.dataset import Clip, SequenceSet, prefixes, rearrangements
from action_gru.features import FeatureTable
from action_gru.model import ActionClassifier
from action_gru.report.anytime import ASKED, AnytimeReport, anytime_report
from action_gru.report.confidence import ConfidenceReport, confidence_report
from action_gru.report.order import OrderReport, order_report
from action_gru.report.uncertainty import best_guess
from action_gru.scoring import score_clips

FloatArray = NDArray[np.float64]


class Asked:
    """A built model and how it reads clips, so that each question is one line."""

    def __init__(self, checkpoint: Checkpoint, config: Config) -> None:
        self.model: ActionClassifier = checkpoint.build()
        self.max_frames = int(checkpoint.sampling["max_frames"])
        self.flip = config.features.flip

    def scores(self, sequences: SequenceSet) -> Tensor:
        """Probabilities (N, C)."""
        return score_clips(self.model, sequences, self.max_frames, flip=self.flip)

    def right(self, sequences: SequenceSet) -> FloatArray:
        """Was each clip's answer right: (N,), 0 or 1."""
        hits = self.scores(sequences).argmax(1) == sequences.labels
        return hits.double().numpy()


def ask_order(
    asked: Asked,
    sequences: SequenceSet,
    clips: Sequence[Clip],
    classes: Sequence[str],
    mean_pooled: FloatArray | None,
    seed: int,
) -> OrderReport:
    """What other orders and fewer frames cost. mean_pooled (N,): was that model right."""
    tries: dict[str, list[FloatArray]] = defaultdict(list)
    for name, changed in rearrangements(sequences, seed):
        tries[name].append(asked.right(changed))
    after = {name: np.mean(answers, axis=0) for name, answers in tries.items()}
    if mean_pooled is not None:
        after["mean_pooled"] = mean_pooled
    labels, groups = [clip.label for clip in clips], [clip.group for clip in clips]
    given = [classes[number] for number in asked.scores(sequences).argmax(1).tolist()]
    return order_report(given, after, labels, groups, classes, seed)


def ask_anytime(
    asked: Asked,
    sequences: SequenceSet,
    clips: Sequence[Clip],
    table: FeatureTable,
    seed: int,
) -> AnytimeReport:
    """How right the answer is after the first frame and after each share of the clips."""
    rights, seen = [], []
    times = table.times_s(clips)
    first = 1 if table.unit == ROWS else 0  # one row was seen after the first row, and no second
    for part in prefixes(sequences, ASKED):
        rights.append(asked.right(part))
        seen.append(
            [
                times[clip.name][count - 1] - times[clip.name][0] + first
                for clip, count in zip(clips, part.lengths.tolist(), strict=True)
            ]
        )
    labels, groups = [clip.label for clip in clips], [clip.group for clip in clips]
    return anytime_report(
        np.stack(rights, 1), np.array(seen).T, labels, groups, best_guess(labels), seed, table.unit
    )


def ask_confidence(
    checkpoint: Checkpoint, config: Config, sequences: SequenceSet, scores: Tensor
) -> ConfidenceReport:
    """The calibrated scores (N, C) beside what they would have been without calibration."""
    calibration = checkpoint.calibration
    raw = Asked(replace(checkpoint, calibration=None), config).scores(sequences)
    sure, given = scores.max(1)
    raw_sure, raw_given = raw.max(1)
    precision = config.calibration.precision
    threshold = calibration.threshold(precision) if calibration else None
    return confidence_report(
        raw_sure.clamp_max(1).numpy(),
        sure.clamp_max(1).numpy(),
        (given == sequences.labels).numpy(),
        temperature=calibration.temperature if calibration else None,
        source=calibration.source if calibration else "",
        threshold=threshold,
        precision=precision,
        applied=calibration.applied_precision(precision) if calibration else None,
        note=_note(checkpoint, precision, sequences.step_labels is not None),
        right_before=(raw_given == sequences.labels).numpy(),
        seed=config.training.seed,
    )


def _note(checkpoint: Checkpoint, precision: float, is_stepwise: bool) -> str:
    if is_stepwise:
        return "with a class for each row scores stay as they are: series.threshold rests on them"
    if checkpoint.calibration is None:
        return "the run has no calibration (calibration.how, or an older version)"
    return checkpoint.calibration.shortfall(precision) or ""
