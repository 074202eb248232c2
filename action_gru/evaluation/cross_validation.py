"""Grouped cross-validation: each clip is tested once a seed, by a model that never saw its group.

Also the test of unknown classes: each class left out of training once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from action_gru.config import Config, needs_one_label
from action_gru.core.errors import ConfigError, DataError
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.dataset import Clip, Split, check_classes, class_list, grouped_folds, merge_groups
from action_gru.evaluation.evaluate import warning_report
from action_gru.evaluation.evaluator import Evaluator
from action_gru.evaluation.frames import score_fold_frames
from action_gru.evaluation.several_labels import ManyFold, pool_folds, score_fold
from action_gru.features.source import data_source
from action_gru.report.confidence import Answers, CalibratedAnswers
from action_gru.report.cross_validation import CrossValidationReport, FoldResult, write_cv_report
from action_gru.report.documents import escape, figure_text, json_text, replace_file, table
from action_gru.report.early_warning import WarnedSequence, write_warnings
from action_gru.report.fold_events import Events, fold_events
from action_gru.report.frames import FramesReport, ScoredVideo
from action_gru.report.metrics import area_under_roc, compute_metrics, majority_baseline
from action_gru.report.several_labels import write_many_folds
from action_gru.training.calibrate import calibrate_model
from action_gru.training.data import TrainingData, read_clips
from action_gru.training.fit import fit_model, mean_pooled
from action_gru.training.run_folder import RunFolder
from action_gru.training.scoring import known_targets
from action_gru.training.tracking import check_tracker, track_study


def cross_validate(
    config: Config, folds: int, seeds: int, reporter: Reporter, confidence: bool = False
) -> tuple[CrossValidationReport | None, Path]:
    """Train folds x seeds models. Returns the report, None of several labels, and its folder.

    Each seed draws its own folds and its own weights. Clips of the split test are left out: they
    are not for choosing between models. Groups that share a video's bytes count as one.
    With as many folds as groups this is leave-one-group-out. confidence: calibrate each model too
    and measure how far its scores can be trusted; trains further models.
    """
    clips, classes = choosing_clips(config, folds)
    run = RunFolder.create(config, "-cv")
    data = read_features(config, clips, classes, reporter, run.path)
    if data.table.many:
        _write_many(config, data, folds, seeds, reporter, confidence, run)
        track_study(config, run.path, reporter)
        return None, run.path
    results: list[FoldResult] = []
    warned: list[WarnedSequence] = []
    videos: dict[int, list[ScoredVideo]] = {}
    for seed in range(config.training.seed, config.training.seed + seeds):
        for fold, (_, part) in enumerate(fold_data(data, folds, seed, reporter, f"seed {seed}")):
            check_classes(part.split)
            found = _fold(with_seed(config, seed), part, fold, reporter, confidence)
            results.append(found.result)
            warned.extend(found.warned)
            videos.setdefault(seed, []).extend(found.videos)
    note = {"mean_pooled": "training.mean_pooled_baseline is off"}
    noun, whole = _nouns(config)
    report = CrossValidationReport(
        run_name=run.path.name,
        data=f"{config.data.manifest}: {counted(len(data.split.train), whole)}, {folds} folds, "
        f"{counted(seeds, 'seed')}",
        results=tuple(results),
        baseline_notes={} if config.training.mean_pooled_baseline else note,
        quarantined=data.table.report.quarantined,
        leakage_allowed=config.data.allow_leakage,
        precision=config.calibration.precision,
        events=_events(config, data.classes, videos),
        noun=noun,
    )
    run.take_name()
    try:
        write_cv_report(report, run.path)
    except ConfigError:
        scores = report.to_json()
        reporter.warn(f"top-1 {scores['top1_mean']:.3f} of all folds, and nowhere to keep it")
        raise
    if warnings := warning_report(config, warned):
        write_warnings(warnings, run.path)
    track_study(config, run.path, reporter)
    return report, run.path


def _write_many(
    config: Config,
    data: TrainingData,
    folds: int,
    seeds: int,
    reporter: Reporter,
    confidence: bool,
    run: RunFolder,
) -> None:
    """The same where a clip may show several labels. confidence: thresholds by each model."""
    by_seed: dict[int, list[ManyFold]] = {}
    for seed in range(config.training.seed, config.training.seed + seeds):
        seeded, parts = (
            with_seed(config, seed),
            fold_data(data, folds, seed, reporter, f"seed {seed}"),
        )
        for _, part in parts:
            try:  # a rare class may be of one group: that fold cannot learn it, and is scored so
                check_classes(part.split)
            except DataError as error:
                reporter.warn(f"seed {seed}: {error}")
            by_seed.setdefault(seed, []).append(score_fold(seeded, part, reporter, confidence))
    every = [fold for some in by_seed.values() for fold in some]
    divided = f"{counted(len(data.split.train), _nouns(config)[1])}, {folds} folds"
    about = {
        "run": run.path.name,
        "data": f"{config.data.manifest}: {divided}, {counted(seeds, 'seed')}",
        "folds": folds,
        "seeds": list(by_seed),
        "leakage_allowed": config.data.allow_leakage,
    }
    pooled = [pool_folds(some, data.classes) for some in by_seed.values()]
    run.take_name()
    whole = pool_folds(every, data.classes)["model"]
    videos = {seed: [v for fold in some for v in fold.videos] for seed, some in by_seed.items()}
    events = _events(config, data.classes, videos)
    write_many_folds(pooled, whole, run.path, about, data.table.report.quarantined, events)


def _nouns(config: Config) -> tuple[str, str]:
    """What has an answer, and what the folds divide."""
    if not config.targets_each_row:
        return "clip", "clip"
    return ("instant", "video") if config.data.is_video else ("row", "recording")


def _events(
    config: Config, classes: tuple[str, ...], videos: Mapping[int, Sequence[ScoredVideo]]
) -> Events:
    """The events of long videos by seed, each video answered by a model that never saw its group.

    Empty where clips are scored.
    """
    background = config.events.background
    return fold_events(
        [
            FramesReport(f"seed {seed}", "", "folds", classes, tuple(some), background)
            for seed, some in videos.items()
            if some
        ]
    )


def choosing_clips(config: Config, folds: int) -> tuple[list[Clip], tuple[str, ...]]:
    """Return the clips that models may be chosen on, all but the test clips, and their classes.

    Raises DataError where there are none, or fewer groups than folds.
    """
    check_tracker(config)
    clips = [replace(clip, split="") for clip in read_clips(config) if clip.split != "test"]
    if not clips:
        raise DataError("every clip is a test clip; choosing between models needs others")
    classes = class_list(clips, config.classes)
    grouped_folds(clips, folds, config.training.seed)  # fails before the work
    return clips, classes


def read_features(
    config: Config, clips: list[Clip], classes: tuple[str, ...], reporter: Reporter, folder: Path
) -> TrainingData:
    """Return the usable clips as one training part; copies share a group."""
    table = data_source(config).features(clips, reporter, folder)
    usable = table.usable(clips)
    if not config.data.allow_leakage:
        usable = merge_groups(usable, table.report.content)
    return TrainingData(Split(train=tuple(usable)), classes, table)


def with_seed(config: Config, seed: int) -> Config:
    settings = config.training.model_copy(update={"seed": seed})
    return config.model_copy(update={"training": settings})


def fold_data(
    data: TrainingData, folds: int, seed: int, reporter: Reporter, title: str
) -> Iterator[tuple[NDArray[np.bool_], TrainingData]]:
    """Which clips each fold tests, (N,), and the data with these as test, the others as train."""
    part_of = np.array(grouped_folds(data.split.train, folds, seed))
    for fold in range(folds):
        reporter.info(f"{title}, fold {fold + 1} of {folds}")
        held = part_of == fold
        named = [
            replace(clip, split="test" if is_held else "train")
            for clip, is_held in zip(data.split.train, held, strict=True)
        ]
        train, test = (tuple(c for c in named if c.split == name) for name in ("train", "test"))
        yield held, replace(data, split=Split(train, (), test))


class _Fold(NamedTuple):
    """Warnings of a model with a horizon, and videos whose instants have labels."""

    result: FoldResult
    warned: list[WarnedSequence]
    videos: tuple[ScoredVideo, ...]


def _fold(
    config: Config, data: TrainingData, fold: int, reporter: Reporter, confidence: bool
) -> _Fold:
    """Train and test one fold."""
    test, train = data.sequences("test"), data.sequences("train")
    assert test is not None
    assert train is not None

    def fit(config: Config) -> Evaluator:
        model = fit_model(config, data, reporter)
        return Evaluator(model, config, data.classes, config.sampling.max_frames)

    truth, known = (known_targets(part).numpy() for part in (test, train))
    evaluator = fit(config)
    model, scores, trust = evaluator.model, evaluator.predict_all(test), None
    warned = evaluator.warn(data.table, data.part("test"))
    if confidence and (found := calibrate_model(config, data, model, reporter)) is not None:
        before, model.temperature = Answers.of(scores, truth), found.temperature
        scores = evaluator.predict_all(test)
        trust = CalibratedAnswers(before, Answers.of(scores, truth), found)
    majority = majority_baseline(known, truth)
    baselines: dict[str, float | None] = {"majority": majority, "mean_pooled": None}
    if config.training.mean_pooled_baseline:
        mean_scores = fit(mean_pooled(config)).predict_all(test)
        baselines["mean_pooled"] = compute_metrics(truth, mean_scores, data.classes).top1
    metrics = compute_metrics(truth, scores, data.classes)
    result = FoldResult(config.training.seed, fold, metrics, baselines, trust)
    return _Fold(result, warned, score_fold_frames(config, data, model, reporter))


def leave_classes_out(
    config: Config, folds: int, reporter: Reporter
) -> tuple[dict[str, Any], Path]:
    """Train classes x folds models. Returns the content of report.json and its folder.

    A model that has never seen a class reads the clips of a fold that is held out whole: those of
    the class are unknown to it, the others known. Clips of the split test are left out.
    """
    needs_one_label(config, "leaving a class out")
    clips, classes = choosing_clips(config, folds)
    if len(classes) < 3:
        raise DataError(
            f"leaving a class out needs at least three of them; the clips that are not for the "
            f"test have {len(classes)}"
        )
    run = RunFolder.create(config, "-unknown")
    data = read_features(config, clips, classes, reporter, run.path)
    rows = []
    for label in classes:
        scored: list[tuple[Clip, float]] = []
        for _, part in fold_data(data, folds, config.training.seed, reporter, f"without {label}"):
            scores = _top_scores(config, part, label, reporter)
            scored += zip(part.split.test, scores, strict=True)
        rows.append(left_out_row(label, scored))
    aurocs = [row["auroc"] for row in rows if row["auroc"] is not None]
    report = {
        "run": run.path.name,
        "data": f"{config.data.manifest}: {len(data.split.train)} clips, {folds} folds",
        "mean_auroc": fmean(aurocs) if aurocs else None,
        "classes": rows,
    }
    run.take_name()
    replace_file(run.path / "report.md", unknown_markdown(report).encode())
    replace_file(run.path / "report.json", json_text(report).encode())
    track_study(config, run.path, reporter)
    return report, run.path


def _top_scores(config: Config, data: TrainingData, label: str, reporter: Reporter) -> list[float]:
    """Train on all classes but one. Returns the top score of each test clip."""
    train = tuple(clip for clip in data.split.train if clip.label != label)
    classes = tuple(sorted({clip.label for clip in train}))
    if len(classes) < 2:
        raise DataError("a fold leaves fewer than two classes to train on; ask for fewer folds")
    model = fit_model(config, TrainingData(Split(train), classes, data.table), reporter)
    # An unknown class has no number in the model, so the clips get any label: only scores are read.
    held = [replace(clip, label=classes[0]) for clip in data.split.test]
    evaluator = Evaluator(model, config, classes, config.sampling.max_frames)
    scores = evaluator.predict(data.table.sequences(held, classes))
    return [float(score) for score in scores.amax(1).clamp_max(1)]


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


def unknown_markdown(report: Mapping[str, Any]) -> str:
    """Return the result of `leave_classes_out` as Markdown."""
    rows = [
        [
            row["label"],
            f"{row['unknown_clips']}",
            f"{row['known_clips']}",
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
