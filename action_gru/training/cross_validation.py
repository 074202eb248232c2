"""Grouped cross-validation: each clip is tested once a seed, by a model blind to its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from action_gru.calibration import Calibration
from action_gru.config import Config
from action_gru.dataset import Clip, Split, check_classes, class_list, grouped_folds, merge_groups
from action_gru.errors import DataError
from action_gru.evaluation import (
    CrossValidationReport,
    FoldResult,
    compute_metrics,
    majority_baseline,
    write_cv_report,
)
from action_gru.evaluation.fold_confidence import FoldConfidence
from action_gru.evaluation.warnings import WarnedSequence
from action_gru.evaluation.warnings_report import write_warnings
from action_gru.features import FeatureTable, open_source
from action_gru.model import ActionClassifier
from action_gru.progress import Reporter
from action_gru.scoring import score_answers
from action_gru.training.calibrate import calibrate_model
from action_gru.training.clips import read_clips
from action_gru.training.data import TrainingData
from action_gru.training.evaluate import warned_sequences
from action_gru.training.run import fit_model, mean_pooled
from action_gru.training.run_folder import RunFolder


def cross_validate(
    config: Config, folds: int, seeds: int, reporter: Reporter, confidence: bool = False
) -> tuple[CrossValidationReport, Path]:
    """Train folds x seeds models; the report and its folder.

    Each seed draws its own folds and its own weights. Clips whose split column says test are left
    out: they are not for choosing between models. Groups that share a video's bytes count as one.
    With as many folds as groups this is leave-one-group-out. confidence: calibrate each model too
    and ask how far its scores can be trusted; trains further models.
    """
    clips = [clip for clip in read_clips(config) if clip.split != "test"]
    if not clips:
        raise DataError("every clip is a test clip; cross-validation needs others")
    clips = [replace(clip, split="") for clip in clips]
    classes = class_list(clips, config.classes)
    run = RunFolder.create(config, "-cv")
    table = open_source(config).features(clips, reporter, run.path)
    usable = table.usable(clips)
    if not config.data.allow_leakage:
        usable = merge_groups(usable, table.report.content)
    first = config.training.seed
    results = []
    warned: list[WarnedSequence] = []
    for seed in range(first, first + seeds):
        part_of = grouped_folds(usable, folds, seed)
        for fold in range(folds):
            reporter.say(f"seed {seed}, fold {fold + 1} of {folds}")
            split = split_of_fold(usable, part_of, fold)
            check_classes(split)
            settings = config.training.model_copy(update={"seed": seed})
            seeded = config.model_copy(update={"training": settings})
            results.append(
                _fold(seeded, split, classes, table, seed, fold, reporter, confidence, warned)
            )
    report = CrossValidationReport(
        run_name=run.path.name,
        data=f"{config.data.manifest}: {len(usable)} clips, {folds} folds, {seeds} seeds",
        results=tuple(results),
        baseline_notes={}
        if config.training.mean_pooled_baseline
        else {"mean_pooled": "training.mean_pooled_baseline is off"},
        quarantined=table.report.quarantined,
        leakage_allowed=config.data.allow_leakage,
        precision=config.calibration.precision,
    )
    run.take_name()
    write_cv_report(report, run.path)
    if warned and config.series.horizon is not None:
        write_warnings(warned, config.series.horizon, config.series.threshold, run.path)
    return report, run.path


def _fold(
    config: Config,
    split: Split,
    classes: tuple[str, ...],
    table: FeatureTable,
    seed: int,
    fold: int,
    reporter: Reporter,
    confidence: bool,
    warned: list[WarnedSequence],
) -> FoldResult:
    """One fold's result; what it would have warned of is added to `warned`."""
    data = TrainingData(split, classes, table)
    test = data.sequences("test")
    train = data.sequences("train")
    assert test is not None
    assert train is not None

    def scores(model: ActionClassifier) -> NDArray[np.float32]:
        frames, flip = config.sampling.max_frames, config.features.flip
        return np.asarray(score_answers(model, test, frames, flip)[0].numpy())

    truth, known = (
        (part.labels if part.step_labels is None else part.step_labels).numpy()
        for part in (test, train)
    )
    model = fit_model(config, data, reporter)
    warned.extend(warned_sequences(model, config, table, data.part("test"), classes))
    answers, trust = scores(model), None
    if confidence:
        found = calibrate_model(
            config, data, model, lambda inner: fit_model(config, inner, reporter), reporter
        )
        if found is not None:
            raw, model.temperature = answers, found.temperature
            answers = scores(model)
            trust = _confidence(found, config, raw, answers, truth)
    metrics = compute_metrics(truth, answers, classes)
    baselines: dict[str, float | None] = {
        "majority": majority_baseline(known, truth),
        "mean_pooled": None,
    }
    if config.training.mean_pooled_baseline:
        mean_model = fit_model(mean_pooled(config), data, reporter)
        baselines["mean_pooled"] = compute_metrics(truth, scores(mean_model), classes).top1
    return FoldResult(seed, fold, metrics, baselines, trust)


def _confidence(
    calibration: Calibration,
    config: Config,
    raw: NDArray[np.float32],
    answers: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> FoldConfidence:
    """raw, answers (N, C): before and after calibration; labels (N,)."""
    return FoldConfidence(
        calibration.temperature,
        calibration.threshold(config.calibration.precision),
        tuple(np.minimum(raw.max(1), 1).tolist()),
        tuple(np.minimum(answers.max(1), 1).tolist()),
        tuple((raw.argmax(1) == labels).tolist()),
        tuple((answers.argmax(1) == labels).tolist()),
        calibration.shortfall(config.calibration.precision) is None,
    )


def split_of_fold(clips: Sequence[Clip], part_of: Sequence[int], fold: int) -> Split:
    """One fold to test on, the others to train on; part_of: the fold of each clip."""

    def part(name: str, inside: bool) -> tuple[Clip, ...]:
        return tuple(
            replace(clip, split=name)
            for clip, place in zip(clips, part_of, strict=True)
            if (place == fold) == inside
        )

    return Split(part("train", False), (), part("test", True))
