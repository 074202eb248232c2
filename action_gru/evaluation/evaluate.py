"""Evaluates a finished run, on its own splits or on any other manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from action_gru.config import Config
from action_gru.config.inputs import SOON
from action_gru.core.errors import DataError, VideoError
from action_gru.core.machine import pick_device
from action_gru.core.paths import BEST, FINAL
from action_gru.core.progress import Reporter
from action_gru.core.text import command_line
from action_gru.dataset import Clip, LongVideo, read_long_videos
from action_gru.evaluation.evaluator import Evaluator, FloatArray
from action_gru.evaluation.frames import read_mistakes
from action_gru.features.sequences import FeatureTable, SequenceSet
from action_gru.features.source import build_backbone, data_source
from action_gru.model import ActionClassifier
from action_gru.report.early_warning import WarnedSequence, WarningReport
from action_gru.report.evaluation import EvaluationReport, write_report
from action_gru.report.metrics import compute_metrics, majority_baseline
from action_gru.report.mistakes import ClipPrediction
from action_gru.report.segments import ScoredTimeline, segment_scores
from action_gru.streaming.build import build_engine, open_stream, open_timeline
from action_gru.timeline import Prediction
from action_gru.training import Checkpoint, load_checkpoint
from action_gru.training.data import own_root, read_run_clips
from action_gru.training.refit import wants_refit
from action_gru.training.run_folder import RunFolder
from action_gru.training.scoring import score_steps
from action_gru.video import DecodeLimits

MISTAKES_SHOWN = 12  # the surest wrong answers


def evaluate(
    run: RunFolder,
    reporter: Reporter,
    split: str | None = None,
    manifest: Path | None = None,
    root: Path | None = None,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
) -> tuple[EvaluationReport, Path]:
    """Score a run and write its report. Returns the report and its folder.

    split: of the run, by default test; of a manifest, by default all of its clips, whatever its
    split column says. Raises CheckpointError when the features would differ from those the run was
    trained on.
    """
    # The run's own clips are new only to the model that was trained without them.
    checkpoint = load_checkpoint(run.best if manifest is None else run.path)
    config = run.config(overrides)
    split = split or ("test" if manifest is None else None)
    clips, long, data = _test_data(run, config, checkpoint.classes, split, manifest, root)
    target = folder or run.new_evaluation(manifest.stem if manifest else str(split))
    # Of a run's own clips training has judged the bad ones already: they are listed, no more.
    allowed = 1.0 if manifest is None else None
    table = data_source(config, manifest).features(clips, reporter, target, allowed)
    checkpoint.check_fits(table.specs, config.sampling.fps)
    usable = table.usable(clips)
    if not usable:
        raise DataError(f"{data}: no clip is left to score; see {target / 'quarantine.csv'}")
    if manifest is not None and (known := _seen_in_training(run, checkpoint, table, usable)):
        reporter.warn(known)
    if manifest is None and wants_refit(run, config):
        data += (
            f". These figures are those of {BEST}, which was trained without these clips; {FINAL}, "
            "trained on all clips, is the model to use"
        )
    report = score_report(run, config, checkpoint, table, usable, data, split or "all")
    scored, failed = score_timelines(checkpoint, config, long, reporter)
    report = replace(report, timelines=tuple(scored), quarantined={**report.quarantined, **failed})
    with reporter.doing("writing the report and its pictures"):
        write_report(report, target)
    return report, target


def score_report(
    run: RunFolder,
    config: Config,
    checkpoint: Checkpoint,
    table: FeatureTable,
    clips: list[Clip],
    data: str,
    split: str,
) -> EvaluationReport:
    """Return the report of a checkpoint on clips whose features are extracted."""
    sequences = table.sequences(clips, checkpoint.classes)
    evaluator = Evaluator(checkpoint, config)
    scores = evaluator.predict(sequences)
    labels = sequences.labels.numpy()
    mean_right, notes = _mean_pooled(run, config, sequences)
    trained = [checkpoint.classes.index(label) for label in run.trained_labels()]
    missing, count = table.missing_values(clips)
    data += f". {missing} of {count} values are missing" if missing else ""
    if known := _seen_in_training(run, checkpoint, table, clips):
        data += f". {known}"
    warned = warned_sequences(evaluator.model, config, table, clips, checkpoint.classes)
    report = EvaluationReport(
        run_name=run.path.name,
        data=data,
        split=split,
        metrics=compute_metrics(labels, scores.numpy(), checkpoint.classes),
        predictions=_predictions(clips, checkpoint.classes, scores),
        baselines={
            "majority": majority_baseline(trained, labels),
            "mean_pooled": None if mean_right is None else float(mean_right.mean()),
        },
        baseline_notes=notes,
        quarantined=table.report.quarantined,
        leakage_allowed=bool(checkpoint.data["allow_leakage"]),
        seen_in_training=bool(known),
        warnings=warning_report(config, warned),
        seed=config.training.seed,
        confidence=evaluator.measure_confidence(sequences, scores),
    )
    if not config.evaluation.details or sequences.step_labels is not None:
        return report  # an answer for each row: there is no whole clip to take apart
    report = replace(
        report,
        order=evaluator.measure_order(sequences, clips, mean_right),
        anytime=evaluator.measure_anytime(sequences, clips, table),
    )
    if not config.data.is_video:
        return report
    limits, count = DecodeLimits(**config.decoding.model_dump()), MISTAKES_SHOWN
    mistakes = read_mistakes(report.predictions, clips, table.times_s(clips), count, limits)
    return replace(report, mistakes=mistakes)


def _mean_pooled(
    run: RunFolder, config: Config, sequences: SequenceSet
) -> tuple[FloatArray | None, dict[str, str]]:
    """Return whether the mean-pooled model was right (N,), or the reason why there is none."""
    if run.baseline.is_file():
        return Evaluator(load_checkpoint(run.baseline), config).is_right(sequences), {}
    wanted = config.training.mean_pooled_baseline and config.model.cell != "none"
    note = (
        f"missing; {command_line('action-gru', 'resume', run.path)} trains it"
        if wanted
        else "not trained (training.mean_pooled_baseline or model.cell says so)"
    )
    return None, {"mean_pooled": note}


def warned_sequences(
    model: ActionClassifier,
    config: Config,
    table: FeatureTable,
    clips: Sequence[Clip],
    classes: Sequence[str],
) -> tuple[WarnedSequence, ...]:
    """Return the probability of the end after each row; empty for a model without a horizon."""
    if config.series.horizon is None:
        return ()
    scores = score_steps(model, table.sequences(clips, classes))
    return tuple(
        WarnedSequence(clip.name, row[:, classes.index(SOON)].double().numpy(), remaining)
        for clip, row in zip(clips, scores, strict=True)
        if (remaining := table.remaining.get(clip.name)) is not None
    )


def warning_report(config: Config, warned: Sequence[WarnedSequence]) -> WarningReport | None:
    """Score the warnings; None for a model without a horizon."""
    horizon, seed = config.series.horizon, config.training.seed
    if horizon is None or not warned:
        return None
    return WarningReport.of(warned, horizon, config.series.threshold, seed)


def score_timelines(
    checkpoint: Checkpoint, config: Config, videos: Sequence[LongVideo], reporter: Reporter
) -> tuple[list[ScoredTimeline], dict[str, str]]:
    """Score the long videos. Returns the scored ones and, by path, the errors of the others.

    A model that reads backwards too has no stream, hence no timeline.
    """
    scored: list[ScoredTimeline] = []
    failed: dict[str, str] = {}
    model = checkpoint.build().to(pick_device(config.training.device))
    if not videos or not model.can_stream:
        return scored, {v.relative: "the model is bidirectional: no timeline" for v in videos}
    engine = build_engine(checkpoint, config, model, build_backbone(config))
    with reporter.bar("timeline", len(videos)) as advance:
        for video in videos:
            stream = open_stream(engine, checkpoint, config)
            reader = open_timeline(stream, config, video.path)
            try:
                for _ in reader:
                    pass
            except VideoError as error:
                failed[video.relative] = str(error)
                continue
            finally:
                advance(note=video.relative)
            timeline = reader.timeline()
            scores = segment_scores(
                timeline.events, video.segments, timeline.duration_s, config.events.background
            )
            scored.append(ScoredTimeline(video.relative, timeline, video.segments, scores))
    return scored, failed


def _seen_in_training(
    run: RunFolder, checkpoint: Checkpoint, table: FeatureTable, clips: Sequence[Clip]
) -> str:
    """Return a warning if clips were in the training data, else ''."""
    seen = run.trained_content(final="test" not in checkpoint.data["clips"])
    known = sum(table.report.content.get(clip.name) in seen for clip in clips)
    return (
        f"{known} of these clips were in the training data: the score is too good" if known else ""
    )


def _test_data(
    run: RunFolder,
    config: Config,
    classes: tuple[str, ...],
    split: str | None,
    manifest: Path | None,
    root: Path | None,
) -> tuple[list[Clip], list[LongVideo], str]:
    """Return clips, long videos and their description. split: None for all of a manifest."""
    if manifest is None:
        read = read_run_clips(run, config, root, classes)
        listed, start, name = run.clips, root or own_root(config), str(config.data.manifest)
        missing = (
            f"run {run.path} has no {split} split; evaluate it on other clips with "
            "--manifest CSV --root DIR"
        )
    else:
        read = data_source(config, manifest, root, classes).clips()
        listed, start, name = manifest, root, manifest.name
        missing = f"{manifest}: no clip of it has the split '{split}'"
    clips = [replace(clip, split="test") for clip in read if split in (None, clip.split)]
    if not clips:
        raise DataError(missing)
    long = read_long_videos(listed, start, classes) if config.data.is_video else []
    data = f"The {split} split of {name}" if split else f"All clips of {name}"
    return clips, [video for video in long if split in (None, video.split)], data


def _predictions(
    clips: Sequence[Clip], classes: Sequence[str], scores: Tensor
) -> tuple[ClipPrediction, ...]:
    return tuple(
        ClipPrediction(
            path=clip.relative,
            group=clip.group,
            label=clip.label,
            prediction=Prediction.from_probabilities(classes, row.numpy()),
            start_s=clip.start_s,
            end_s=clip.end_s,
        )
        for clip, row in zip(clips, scores, strict=True)
    )
