"""Evaluates a finished run, on its own splits or on any other manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from action_gru.config import Config
from action_gru.core.errors import DataError, VideoError
from action_gru.core.machine import pick_device
from action_gru.core.paths import BEST, FINAL
from action_gru.core.progress import Reporter
from action_gru.core.text import command_line
from action_gru.dataset import Clip, LongVideo, read_long_videos
from action_gru.dataset.advice import NO_GROUPS, has_groups
from action_gru.evaluation.evaluator import Evaluator
from action_gru.evaluation.explain import frames_at
from action_gru.evaluation.frames import frame_accuracy, score_frames
from action_gru.evaluation.several_labels import score_many
from action_gru.features.sequences import FeatureTable, SequenceSet
from action_gru.features.source import build_backbone, data_source
from action_gru.report.early_warning import WarnedSequence, WarningReport
from action_gru.report.evaluation import (
    FRAMES_SHOWN,
    ClipPrediction,
    EvaluationReport,
    Mistake,
    worst_mistakes,
    write_report,
)
from action_gru.report.frames import FramesReport, write_frames_report
from action_gru.report.metrics import FloatArray, compute_metrics, majority_baseline
from action_gru.report.segments import ScoredTimeline, score_segments
from action_gru.report.several_labels import ManyReport, write_many_report
from action_gru.streaming.build import build_engine, open_stream, open_timeline
from action_gru.timeline import Prediction
from action_gru.training import Checkpoint, load_checkpoint
from action_gru.training.data import own_root, read_run_clips
from action_gru.training.refit import wants_refit
from action_gru.training.run_folder import RunFolder
from action_gru.video import DecodeLimits, VideoFile

MISTAKES_SHOWN = 12  # the surest wrong answers
MISTAKE_PX = (180, 320)  # height and width that no frame of a mistake exceeds


AnyReport = EvaluationReport | FramesReport | ManyReport
WRITERS: dict[type, Callable[..., Path]] = {
    EvaluationReport: write_report,
    FramesReport: write_frames_report,
    ManyReport: write_many_report,
}


def evaluate(
    run: RunFolder,
    reporter: Reporter,
    split: str | None = None,
    manifest: Path | None = None,
    root: Path | None = None,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    *,
    timelines: bool = True,
) -> tuple[AnyReport, Path]:
    """Score a run as `score` does and write its report. Returns the report and its folder."""
    name = manifest.stem if manifest else split or "test"
    target = folder or run.new_evaluation(name)
    report = score(run, reporter, split, manifest, root, overrides, target, timelines=timelines)
    with reporter.doing("writing the report and its pictures"):
        WRITERS[type(report)](report, target)
    return report, target


def score(
    run: RunFolder,
    reporter: Reporter,
    split: str | None = None,
    manifest: Path | None = None,
    root: Path | None = None,
    overrides: Sequence[str] = (),
    target: Path | None = None,
    *,
    timelines: bool = True,
) -> AnyReport:
    """Score a run.

    split: of the run, by default test; of a manifest, by default all of its clips, whatever its
    split column holds. target: where the clips that are left out are listed; by default they are
    warned of. timelines: score the long videos, too. Raises CheckpointError when the features would
    differ from those the run was trained on.
    """
    # The run's own clips are new only to the model that was trained without them.
    checkpoint = load_checkpoint(run.best if manifest is None else run.path)
    config = run.config(overrides)
    split = split or ("test" if manifest is None else None)
    clips, long, data = _test_data(run, config, checkpoint.classes, split, manifest, root)
    # Training has already checked the share of bad clips among a run's own clips.
    max_bad_share = 1.0 if manifest is None else None
    table = data_source(config, manifest).features(clips, reporter, target, max_bad_share)
    checkpoint.check_fits(table.specs, config.sampling.fps)
    if not (usable := table.usable(clips)):
        why = f"; see {target / 'quarantine.csv'}" if target else ": none of them can be read"
        raise DataError(f"{data}: no clip is left to score{why}")
    missing, count = table.missing_values(usable)
    if manifest is None and wants_refit(run, config):
        data += (
            f". These figures are those of {BEST}, which was trained without these clips; {FINAL}, "
            "trained on all clips, is the model to use"
        )
    data += f". {missing} of {count} values are missing" if missing else ""
    if not config.data.is_video and config.data.task != "frames":
        data += ". A clip is a sequence of rows here, and a frame is one of them"
    if manifest is None and config.data.is_video and not has_groups(clips):
        data += f". {NO_GROUPS}"
        reporter.info(NO_GROUPS)
    known = _seen_in_training(run, checkpoint, table, usable)
    data += f". {known}" if known else ""
    if known and manifest is not None:
        reporter.warn(known)
    if config.data.task == "frames":
        return FramesReport(
            run_name=run.path.name,
            data=data,
            split=split or "all",
            classes=checkpoint.classes,
            videos=score_frames(checkpoint, config, table, usable, reporter),
            background=config.events.background,
            thresholds=checkpoint.thresholds,
            alone=frame_accuracy(run.baseline, config, table, usable),
            quarantined=table.report.quarantined,
            leakage_allowed=bool(checkpoint.data["allow_leakage"]),
            seen_in_training=bool(known),
            seed=config.training.seed,
            noun="video" if config.data.is_video else "recording",
        )
    if table.many:
        if long:
            reporter.warn("the long videos are not scored: a clip may show several labels")
        several = _score_many(run, checkpoint, config, table, usable, data, split or "all")
        return replace(several, seen_in_training=bool(known))
    report = _score_clips(run, checkpoint, config, table, usable, data, split or "all")
    scored, failed = _score_timelines(checkpoint, config, long if timelines else [], reporter)
    bad = {**table.report.quarantined, **failed}
    return replace(report, seen_in_training=bool(known), timelines=tuple(scored), quarantined=bad)


def _test_data(
    run: RunFolder,
    config: Config,
    classes: tuple[str, ...],
    split: str | None,
    manifest: Path | None,
    root: Path | None,
) -> tuple[list[Clip], list[LongVideo], str]:
    """Return clips, long videos and the data's description. split: None for all of a manifest."""
    if manifest is None:
        read = read_run_clips(run, config, root, classes)
        listed, start, name = run.clips, root or own_root(config), str(config.data.manifest)
        mend = "evaluate it on other clips with --manifest CSV --root DIR"
        missing = f"run {run.path} has no {split} split; {mend}"
    else:
        read = data_source(config, manifest, root, classes).clips()
        listed, start, name = manifest, root, manifest.name
        missing = f"{manifest}: no clip of it has the split '{split}'"
    clips = [replace(clip, split="test") for clip in read if split in (None, clip.split)]
    if not clips:
        raise DataError(missing)
    options, is_video = config.data.manifest_options, config.data.is_video
    long = read_long_videos(listed, start, classes, **options) if is_video else []
    data = f"The {split} split of {name}" if split else f"All clips of {name}"
    return clips, [video for video in long if split in (None, video.split)], data


def _seen_in_training(
    run: RunFolder, checkpoint: Checkpoint, table: FeatureTable, clips: Sequence[Clip]
) -> str:
    """Return a warning if clips were in the training data, else ''."""
    seen = run.trained_content(final="test" not in checkpoint.data["clips"])
    known = sum(table.report.content.get(clip.name) in seen for clip in clips)
    text = f"{known} of these clips were in the training data: the score is too good"
    return text if known else ""


def _score_clips(
    run: RunFolder,
    checkpoint: Checkpoint,
    config: Config,
    table: FeatureTable,
    clips: list[Clip],
    data: str,
    split: str,
) -> EvaluationReport:
    """Return the report of a model on clips whose features are extracted."""
    evaluator, classes = Evaluator.load(checkpoint, config), checkpoint.classes
    sequences = table.sequences(clips, classes)
    scores, labels = evaluator.predict(sequences), sequences.labels.numpy()
    answers = [
        Prediction.from_probabilities(classes, row.numpy(), thresholds=checkpoint.thresholds)
        for row in scores
    ]
    mean_right, notes = _mean_pooled(run, config, sequences)
    trained = [classes.index(label) for label in run.trained_labels()]
    report = EvaluationReport(
        run_name=run.path.name,
        data=data,
        split=split,
        metrics=compute_metrics(labels, scores.numpy(), classes),
        predictions=tuple(
            ClipPrediction(c.relative, c.group, c.label, answer, c.start_s, c.end_s)
            for c, answer in zip(clips, answers, strict=True)
        ),
        baselines={
            "majority": majority_baseline(trained, labels),
            "mean_pooled": None if mean_right is None else float(mean_right.mean()),
        },
        baseline_notes=notes,
        leakage_allowed=bool(checkpoint.data["allow_leakage"]),
        warnings=warning_report(config, evaluator.warn(table, clips)),
        seed=config.training.seed,
        confidence=evaluator.measure_confidence(checkpoint, sequences, scores),
    )
    if not config.evaluation.details or sequences.step_labels is not None:
        return report  # an answer for each row: there is no whole clip to take apart
    order = evaluator.measure_order(sequences, clips, scores, mean_right)
    anytime = evaluator.measure_anytime(sequences, clips, table)
    report = replace(report, order=order, anytime=anytime)
    if not config.data.is_video:
        return report
    limits, times_s = DecodeLimits(**config.decoding.model_dump()), table.times_s(clips)
    mistakes = read_mistakes(report.predictions, clips, times_s, MISTAKES_SHOWN, limits)
    return replace(report, mistakes=mistakes)


def _score_many(
    run: RunFolder,
    checkpoint: Checkpoint,
    config: Config,
    table: FeatureTable,
    clips: list[Clip],
    data: str,
    split: str,
) -> ManyReport:
    """The same of a model of several labels a clip."""
    evaluator, (pooled, notes) = Evaluator.load(checkpoint, config), _pooled(run, config)
    report = score_many(
        checkpoint,
        evaluator,
        pooled,
        table,
        clips,
        run.trained_labels(),
        run_name=run.path.name,
        data=data,
        split=split,
        baseline_notes=notes,
        quarantined=table.report.quarantined,
    )
    if not config.evaluation.details or not config.data.is_video or table.step_labels:
        return report
    limits, times_s = DecodeLimits(**config.decoding.model_dump()), table.times_s(clips)
    mistakes = read_mistakes(report.predictions, clips, times_s, MISTAKES_SHOWN, limits)
    return replace(report, mistakes=mistakes)


def _mean_pooled(
    run: RunFolder, config: Config, sequences: SequenceSet
) -> tuple[FloatArray | None, dict[str, str]]:
    """Return whether the mean-pooled model was right (N,), or the reason why there is none."""
    pooled, notes = _pooled(run, config)
    return (pooled.is_right(sequences) if pooled else None), notes


def _pooled(run: RunFolder, config: Config) -> tuple[Evaluator | None, dict[str, str]]:
    """The mean-pooled model, or the reason why there is none."""
    if run.baseline.is_file():
        return Evaluator.load(load_checkpoint(run.baseline), config), {}
    note = "not trained (training.mean_pooled_baseline or model.cell says so)"
    if config.training.mean_pooled_baseline and config.model.cell != "none":
        note = f"missing; {command_line('action-gru', 'resume', run.path)} trains it"
    return None, {"mean_pooled": note}


def warning_report(config: Config, warned: Sequence[WarnedSequence]) -> WarningReport | None:
    """Score the warnings; None for a model without a horizon."""
    horizon, seed = config.series.horizon, config.training.seed
    if horizon is None or not warned:
        return None
    return WarningReport(tuple(warned), horizon, config.series.threshold, seed)


def _score_timelines(
    checkpoint: Checkpoint, config: Config, videos: Sequence[LongVideo], reporter: Reporter
) -> tuple[list[ScoredTimeline], dict[str, str]]:
    """Score the long videos. Returns the scored ones and, by path, the errors of the others."""
    scored: list[ScoredTimeline] = []
    failed: dict[str, str] = {}
    model = checkpoint.build().to(pick_device(config.training.device))
    if not videos or not model.can_stream:
        return scored, {v.relative: "the model is bidirectional: no timeline" for v in videos}
    engine = build_engine(checkpoint, config, model, build_backbone(config))
    with reporter.bar("timeline", len(videos)) as advance:
        for video in videos:
            stream, rate = open_stream(engine, checkpoint, config), video.frame_rate
            reader = open_timeline(stream, config, video.path, frame_rate=rate)
            try:
                for _ in reader:
                    pass
            except VideoError as error:
                failed[video.relative] = str(error)
                continue
            finally:
                advance(note=video.relative)
            made, true = reader.timeline(), video.segments
            labels, background = checkpoint.classes if model.many else (), config.events.background
            scores = score_segments(made.events, true, made.duration_s, background, labels)
            scored.append(ScoredTimeline(video.relative, made, true, scores))
    return scored, failed


def read_mistakes(
    predictions: Sequence[ClipPrediction],
    clips: Sequence[Clip],
    times_s: Mapping[str, FloatArray],
    count: int,
    limits: DecodeLimits | None = None,
) -> tuple[Mistake, ...]:
    """Return the most confident wrong answers, each with at most FRAMES_SHOWN frames.

    predictions and clips are in the same order. times_s: the sampled instants by clip name; the
    frames are spread evenly over them. A video that can no longer be read gives its error.
    """
    # By identity: two clips may share a path and a label.
    clip_of = {id(one): clip for one, clip in zip(predictions, clips, strict=True)}
    mistakes = []
    for wrong in worst_mistakes(predictions, count):
        clip = clip_of[id(wrong)]
        sampled_s = times_s[clip.name]
        shown = np.linspace(0, len(sampled_s) - 1, FRAMES_SHOWN).round().astype(int)
        try:
            file = VideoFile(clip.path, limits=limits, frame_rate=clip.frame_rate)
            frames = frames_at(file, sampled_s[shown], MISTAKE_PX)
            problem = "" if frames else "no frame at the instants that were sampled"
        except VideoError as error:
            frames, problem = {}, str(error)
        mistakes.append(Mistake(wrong, tuple(frames.items()), problem))
    return tuple(mistakes)
