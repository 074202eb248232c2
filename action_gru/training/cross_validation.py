"""Grouped cross-validation: each clip is tested once a seed, by a model blind to its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from action_gru.config import Config
from action_gru.dataset import Clip, Split, check_classes, grouped_folds, merge_groups
from action_gru.errors import DataError
from action_gru.evaluation import (
    CrossValidationReport,
    FoldResult,
    compute_metrics,
    majority_baseline,
    write_cv_report,
)
from action_gru.evaluation.warnings import WarnedSequence
from action_gru.evaluation.warnings_report import write_warnings
from action_gru.features import FeatureTable, extract_features
from action_gru.measured import classes_of
from action_gru.progress import Reporter
from action_gru.scoring import score_answers
from action_gru.training.clips import read_clips
from action_gru.training.evaluate import warned_sequences
from action_gru.training.run import TrainingData, fit_model, mean_pooled
from action_gru.training.run_folder import RunFolder


def cross_validate(
    config: Config, folds: int, seeds: int, reporter: Reporter
) -> tuple[CrossValidationReport, Path]:
    """Train folds x seeds models; the report and its folder.

    Each seed draws its own folds and its own weights. Clips whose split column says test are left
    out: they are not for choosing between models. Groups that share a video's bytes count as one.
    With as many folds as groups this is leave-one-group-out.
    """
    clips = [clip for clip in read_clips(config) if clip.split != "test"]
    if not clips:
        raise DataError("every clip is a test clip; cross-validation needs others")
    clips = [replace(clip, split="") for clip in clips]
    classes = classes_of(config, clips)
    run = RunFolder.create(config, "-cv")
    table = extract_features(config, clips, reporter, run.path)
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
            split = _split(usable, part_of, fold)
            check_classes(split)
            settings = config.training.model_copy(update={"seed": seed})
            seeded = config.model_copy(update={"training": settings})
            results.append(_fold(seeded, split, classes, table, seed, fold, reporter, warned))
    report = CrossValidationReport(
        run_name=run.path.name,
        data=f"{config.data.manifest}: {len(usable)} clips, {folds} folds, {seeds} seeds",
        results=tuple(results),
        baseline_notes={"mean_pooled": "training.mean_pooled_baseline is off"},
        quarantined=table.report.quarantined,
        leakage_allowed=config.data.allow_leakage,
    )
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
    warned: list[WarnedSequence],
) -> FoldResult:
    """One fold's result; what it would have warned of is added to `warned`."""
    data = TrainingData(split, classes, table)
    test = data.sequences("test")
    train = data.sequences("train")
    assert test is not None
    assert train is not None

    def scores(settings: Config, warn: bool = False) -> NDArray[np.float32]:
        model = fit_model(settings, data, reporter)
        if warn:
            warned.extend(warned_sequences(model, config, table, data.part("test"), classes))
        frames, flip = settings.sampling.max_frames, settings.features.flip
        return np.asarray(score_answers(model, test, frames, flip)[0].numpy())

    truth, known = (x.labels if x.step_labels is None else x.step_labels for x in (test, train))
    metrics = compute_metrics(truth.numpy(), scores(config, warn=True), classes)
    baselines: dict[str, float | None] = {
        "majority": majority_baseline(known.numpy(), truth.numpy()),
        "mean_pooled": None,
    }
    if config.training.mean_pooled_baseline:
        plain = compute_metrics(truth.numpy(), scores(mean_pooled(config)), classes)
        baselines["mean_pooled"] = plain.top1
    return FoldResult(seed, fold, metrics, baselines)


def _split(clips: Sequence[Clip], part_of: Sequence[int], fold: int) -> Split:
    def part(name: str, inside: bool) -> tuple[Clip, ...]:
        return tuple(
            replace(clip, split=name)
            for clip, place in zip(clips, part_of, strict=True)
            if (place == fold) == inside
        )

    return Split(part("train", False), (), part("test", True))
