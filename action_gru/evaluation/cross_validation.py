"""Grouped cross-validation: each clip is tested once a seed, by a model blind to its group.

Also the test of unknown classes: each class left out of training once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from action_gru.config import Config
from action_gru.core.errors import DataError
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip, Split, check_classes, class_list, grouped_folds, merge_groups
from action_gru.evaluation.evaluate import warned_sequences, warning_report
from action_gru.features.sequences import FeatureTable
from action_gru.features.source import data_source
from action_gru.model import ActionClassifier
from action_gru.report.confidence import Answers, CalibratedAnswers
from action_gru.report.cross_validation import CrossValidationReport, FoldResult, write_cv_report
from action_gru.report.early_warning import WarnedSequence, write_warnings
from action_gru.report.files import json_text, replace_file
from action_gru.report.markdown import escape, figure_text, table
from action_gru.report.metrics import compute_metrics, majority_baseline
from action_gru.report.statistics import area_under_roc
from action_gru.training.calibrate import calibrate_model
from action_gru.training.data import TrainingData, read_clips
from action_gru.training.fit import fit_model, mean_pooled
from action_gru.training.run_folder import RunFolder
from action_gru.training.scoring import score_answers, score_clips


def cross_validate(
    config: Config, folds: int, seeds: int, reporter: Reporter, confidence: bool = False
) -> tuple[CrossValidationReport, Path]:
    """Train folds x seeds models. Returns the report and its folder.

    Each seed draws its own folds and its own weights. Clips whose split column says test are left
    out: they are not for choosing between models. Groups that share a video's bytes count as one.
    With as many folds as groups this is leave-one-group-out. confidence: calibrate each model too
    and ask how far its scores can be trusted; trains further models.
    """
    clips = _choosing_clips(config)
    if not clips:
        raise DataError("every clip is a test clip; cross-validation needs others")
    classes = class_list(clips, config.classes)
    run, table, usable = _begin(config, clips, "-cv", reporter)
    results = []
    warned: list[WarnedSequence] = []
    for seed in range(config.training.seed, config.training.seed + seeds):
        settings = config.training.model_copy(update={"seed": seed})
        seeded = config.model_copy(update={"training": settings})
        part_of = grouped_folds(usable, folds, seed)
        for fold in range(folds):
            reporter.say(f"seed {seed}, fold {fold + 1} of {folds}")
            split = split_of_fold(usable, part_of, fold)
            check_classes(split)
            data = TrainingData(split, classes, table)
            result, alarms = _fold(seeded, data, fold, reporter, confidence)
            results.append(result)
            warned.extend(alarms)
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
    if warnings := warning_report(config, warned):
        write_warnings(warnings, run.path)
    return report, run.path


def _choosing_clips(config: Config) -> list[Clip]:
    """Return the clips that models may be chosen on: all but the test clips."""
    return [replace(clip, split="") for clip in read_clips(config) if clip.split != "test"]


def _begin(
    config: Config, clips: list[Clip], suffix: str, reporter: Reporter
) -> tuple[RunFolder, FeatureTable, list[Clip]]:
    """Return a new run folder, the features and the usable clips; copies share a group."""
    run = RunFolder.create(config, suffix)
    table = data_source(config).features(clips, reporter, run.path)
    usable = table.usable(clips)
    if not config.data.allow_leakage:
        usable = merge_groups(usable, table.report.content)
    return run, table, usable


def _fold(
    config: Config, data: TrainingData, fold: int, reporter: Reporter, confidence: bool
) -> tuple[FoldResult, tuple[WarnedSequence, ...]]:
    """Train and test one fold. Returns its result and its model's warnings."""
    test, train = data.sequences("test"), data.sequences("train")
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
    warned = warned_sequences(model, config, data.table, data.part("test"), data.classes)
    trust = None
    if confidence:
        trust = _calibrate(config, data, model, reporter, lambda: Answers.of(scores(model), truth))
    baselines: dict[str, float | None] = {
        "majority": majority_baseline(known, truth),
        "mean_pooled": None,
    }
    if config.training.mean_pooled_baseline:
        mean_model = fit_model(mean_pooled(config), data, reporter)
        baselines["mean_pooled"] = compute_metrics(truth, scores(mean_model), data.classes).top1
    metrics = compute_metrics(truth, scores(model), data.classes)
    return FoldResult(config.training.seed, fold, metrics, baselines, trust), warned


def _calibrate(
    config: Config,
    data: TrainingData,
    model: ActionClassifier,
    reporter: Reporter,
    answer: Callable[[], Answers],
) -> CalibratedAnswers | None:
    """Set the model's temperature. Returns its answers to held-out clips before and after."""
    found = calibrate_model(config, data, model, reporter)
    if found is None:
        return None
    before = answer()
    model.temperature = found.temperature
    return CalibratedAnswers(before, answer(), found)


def split_of_fold(clips: Sequence[Clip], part_of: Sequence[int], fold: int) -> Split:
    """Return one fold as the test split, the others as training. part_of: the fold of each clip."""

    def part(name: str, inside: bool) -> tuple[Clip, ...]:
        return tuple(
            replace(clip, split=name)
            for clip, place in zip(clips, part_of, strict=True)
            if (place == fold) == inside
        )

    return Split(part("train", False), (), part("test", True))


def leave_classes_out(
    config: Config, folds: int, reporter: Reporter
) -> tuple[dict[str, Any], Path]:
    """Train classes x folds models. Returns the content of report.json and its folder.

    A model that has never seen a class reads the clips of a fold that is held out whole: those of
    the class are unknown to it, the others known. Clips whose split says test are left out.
    """
    clips = _choosing_clips(config)
    classes = class_list(clips, config.classes) if clips else ()
    if len(classes) < 3:
        raise DataError(
            f"leaving a class out needs at least three of them; the clips that are not for the "
            f"test have {len(classes)}"
        )
    run, table, usable = _begin(config, clips, "-unknown", reporter)
    part_of = grouped_folds(usable, folds, config.training.seed)
    rows = []
    for label in classes:
        scored: list[tuple[Clip, float]] = []
        for fold in range(folds):
            reporter.say(f"without {label}, fold {fold + 1} of {folds}")
            split = split_of_fold(usable, part_of, fold)
            train = [clip for clip in split.train if clip.label != label]
            scores = _top_scores(config, train, split.test, table, reporter)
            scored += zip(split.test, scores, strict=True)
        rows.append(left_out_row(label, scored))
    aurocs = [row["auroc"] for row in rows if row["auroc"] is not None]
    report = {
        "run": run.path.name,
        "data": f"{config.data.manifest}: {len(usable)} clips, {folds} folds",
        "mean_auroc": fmean(aurocs) if aurocs else None,
        "classes": rows,
    }
    run.take_name()
    replace_file(run.path / "report.md", unknown_markdown(report).encode())
    replace_file(run.path / "report.json", json_text(report).encode())
    return report, run.path


def left_out_row(label: str, scored: Sequence[tuple[Clip, float]]) -> dict[str, Any]:
    """Return the AUROC of clips of known classes against clips of one class left out of training.

    Hendrycks and Gimpel 2017, by the top score; None without clips of either.
    """
    known = np.array([clip.label != label for clip, _ in scored])
    return {
        "label": label,
        "auroc": area_under_roc(np.array([score for _, score in scored]), known),
        "known_clips": int(known.sum()),
        "unknown_clips": int((~known).sum()),
    }


def _top_scores(
    config: Config,
    train: Sequence[Clip],
    held: Sequence[Clip],
    table: FeatureTable,
    reporter: Reporter,
) -> list[float]:
    """Train on the classes in train. Returns the top score of each held-out clip."""
    classes = tuple(sorted({clip.label for clip in train}))
    if len(classes) < 2:
        raise DataError("a fold leaves fewer than two classes to train on; ask for fewer folds")
    model = fit_model(config, TrainingData(Split(train=tuple(train)), classes, table), reporter)
    # The labels are not looked at: an unknown class has no number here.
    asked = [replace(clip, label=classes[0]) for clip in held]
    frames, flip = config.sampling.max_frames, config.features.flip
    scores = score_clips(model, table.sequences(asked, classes), frames, flip=flip)
    return [float(score) for score in scores.amax(1).clamp_max(1)]


def unknown_markdown(report: Mapping[str, Any]) -> str:
    """Return the result of `leave_classes_out` as Markdown."""
    rows = [
        [
            row["label"],
            str(row["unknown_clips"]),
            str(row["known_clips"]),
            figure_text(row["auroc"]),
        ]
        for row in report["classes"]
    ]
    mean = figure_text(report["mean_auroc"])
    return (
        f"# {escape(report['run'])}: classes left out\n\n{escape(report['data'])}\n\n"
        f"Mean AUROC of known against unknown: **{mean}** (0.5: chance).\n\n"
        + table(["class left out", "its clips", "known clips", "AUROC"], rows, align="lrrr")
        + "\n\nFor each class and fold a model that never saw the class reads held-out clips. "
        "AUROC: how often its top score is higher for a clip of a class that it knows. Scores are "
        "not calibrated here.\n"
    )
