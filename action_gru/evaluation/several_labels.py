"""Scores a model of several labels at once, on a run's clips and fold by fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from action_gru.config import Config
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.evaluation.evaluator import Evaluator
from action_gru.evaluation.frames import score_fold_frames
from action_gru.features.sequences import FeatureTable, SequenceSet, class_targets, is_known
from action_gru.model.calibration import EVEN
from action_gru.report.evaluation import ClipPrediction
from action_gru.report.frames import ScoredVideo
from action_gru.report.metrics import BoolArray, FloatArray
from action_gru.report.several_labels import ManyReport
from action_gru.report.several_metrics import (
    ManyMetrics,
    compute_many,
    frequency_baseline,
    precision_interval,
)
from action_gru.timeline import Prediction
from action_gru.timeline.segments import names_of
from action_gru.training import Checkpoint
from action_gru.training.calibrate import calibrate_model
from action_gru.training.data import TrainingData
from action_gru.training.fit import fit_model, mean_pooled
from action_gru.training.scoring import step_targets


@dataclass(frozen=True)
class ManyAnswers:
    """Every answer whose truth is known: both (N, C), and the group of each (N,)."""

    scores: FloatArray
    truth: BoolArray
    groups: tuple[str, ...]

    @classmethod
    def of(cls, evaluator: Evaluator, sequences: SequenceSet, clips: Sequence[Clip]) -> ManyAnswers:
        """One answer a clip, or one a row where rows have targets."""
        scores, targets = evaluator.answer(sequences)
        groups = np.array([clip.group for clip in clips])
        if sequences.step_labels is not None:
            groups = np.repeat(groups, sequences.lengths.tolist())
            groups = groups[is_known(step_targets(sequences)).numpy()]
        return cls(scores.double().numpy(), targets.numpy() == 1, tuple(groups.tolist()))

    def metrics(
        self, classes: Sequence[str], thresholds: Sequence[float] | float = 0.5
    ) -> ManyMetrics:
        """thresholds (C,), or one for all."""
        limits = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), len(classes))
        decided = self.scores >= limits
        return compute_many(self.truth, self.scores, decided, classes, limits.tolist())


def score_many(
    checkpoint: Checkpoint,
    evaluator: Evaluator,
    pooled: Evaluator | None,
    table: FeatureTable,
    clips: Sequence[Clip],
    trained_labels: Sequence[str],
    **known: Any,
) -> ManyReport:
    """The report of a model on clips whose features are extracted.

    pooled: the mean-pooled model. trained_labels: the label of each training clip. known: further
    fields of the report.
    """
    classes, limits = checkpoint.classes, checkpoint.thresholds
    assert limits is not None
    sequences = table.sequences(clips, classes)
    found = ManyAnswers.of(evaluator, sequences, clips)
    trained = class_targets([names_of(x) for x in trained_labels], classes, many=True).numpy() == 1
    mean = ManyAnswers.of(pooled, sequences, clips).metrics(classes) if pooled else None
    seed = evaluator.config.training.seed
    return ManyReport(
        metrics=found.metrics(classes, limits),
        predictions=tuple(
            ClipPrediction(
                clip.relative,
                clip.group,
                clip.label,
                Prediction.from_probabilities(classes, row.numpy(), thresholds=limits),
                clip.start_s,
                clip.end_s,
            )
            for clip, row in zip(clips, evaluator.predict(sequences), strict=True)
        ),
        baselines={
            "mean_pooled": mean,
            "frequency": frequency_baseline(trained, found.truth, classes),
        },
        interval=precision_interval(found.truth, found.scores, found.groups, seed),
        calibration=_where_from(checkpoint),
        unit="clips" if sequences.step_labels is None else "rows",
        groups=len(set(found.groups)),
        leakage_allowed=bool(checkpoint.data["allow_leakage"]),
        **known,
    )


def _where_from(checkpoint: Checkpoint) -> str:
    """How the scores and thresholds came about, in sentences."""
    found = checkpoint.calibration
    if found is None:
        return "Not calibrated: each class counts as shown from 0.5 on."
    where = f"Temperature {found.temperature:.2f} and thresholds from {found.source}."
    return f"{where} {found.note}.".replace(" .", "")


@dataclass(frozen=True)
class ManyFold:
    """One model of a cross-validation. decided (N, C): by its thresholds."""

    found: ManyAnswers
    decided: BoolArray
    pooled: ManyAnswers | None  # of the mean-pooled model
    trained: BoolArray  # (M, C) what the training clips show
    videos: tuple[ScoredVideo, ...] = ()  # where their instants have labels


def score_fold(
    config: Config, data: TrainingData, reporter: Reporter, calibrates: bool
) -> ManyFold:
    """Train and test one fold; with calibrates its thresholds are found on training clips."""
    test, train = data.sequences("test"), data.sequences("train")
    assert test is not None
    assert train is not None

    def fit(config: Config) -> Evaluator:
        model = fit_model(config, data, reporter)
        return Evaluator(model, config, data.classes, config.sampling.max_frames)

    evaluator, clips, limits = fit(config), data.part("test"), [EVEN] * len(data.classes)
    found = calibrate_model(config, data, evaluator.model, reporter) if calibrates else None
    if found:
        evaluator.model.temperature = found.temperature
        limits = [found.thresholds[name] for name in data.classes]
    answers = ManyAnswers.of(evaluator, test, clips)
    pooled = None
    if config.training.mean_pooled_baseline:
        pooled = ManyAnswers.of(fit(mean_pooled(config)), test, clips)
    targets = train.labels if train.step_labels is None else train.step_labels
    trained = (targets[is_known(targets)] == 1).numpy()
    videos = score_fold_frames(config, data, evaluator.model, reporter, found)
    return ManyFold(answers, answers.scores >= np.array(limits), pooled, trained, videos)


def pool_folds(folds: Sequence[ManyFold], classes: Sequence[str]) -> dict[str, ManyMetrics]:
    """The answers of all folds of one seed as one, of the model and of each baseline."""
    truth, scores, decided = (
        np.concatenate(parts)
        for parts in zip(*((f.found.truth, f.found.scores, f.decided) for f in folds), strict=True)
    )
    often = np.concatenate([np.tile(f.trained.mean(0), (len(f.decided), 1)) for f in folds])
    made = {
        "model": compute_many(truth, scores, decided, classes),
        "frequency": compute_many(truth, often, often > EVEN, classes),
    }
    if all(fold.pooled for fold in folds):
        mean = np.concatenate([fold.pooled.scores for fold in folds if fold.pooled])
        made["mean_pooled"] = compute_many(truth, mean, mean >= EVEN, classes)
    return made
