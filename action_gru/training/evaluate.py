"""Evaluates a finished run, on its own splits or on any other manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.checkpoint import Checkpoint, load_checkpoint
from action_gru.config import Config
from action_gru.config.inputs import SOON
from action_gru.dataset import Clip, LongVideo, SequenceSet, read_long_videos
from action_gru.errors import DataError
from action_gru.evaluation import (
    ClipPrediction,
    EvaluationReport,
    compute_metrics,
    majority_baseline,
    write_report,
)
from action_gru.evaluation.warnings import WarnedSequence
from action_gru.features import FeatureTable, open_source
from action_gru.model import ActionClassifier
from action_gru.paths.to_paste import command_line
from action_gru.progress import Reporter
from action_gru.scoring import score_steps
from action_gru.timeline import Prediction
from action_gru.training.clips import own_root, read_run_clips
from action_gru.training.gallery import read_mistakes
from action_gru.training.reports import Asked, ask_anytime, ask_confidence, ask_order
from action_gru.training.run_folder import RunFolder
from action_gru.training.timelines import score_timelines
from action_gru.video import DecodeLimits


def evaluate(
    run: RunFolder,
    reporter: Reporter,
    split: str | None = None,
    manifest: Path | None = None,
    root: Path | None = None,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
) -> tuple[EvaluationReport, Path]:
    """Score a run and write its report; the report and its folder.

    split: of the run, by default test; of a manifest, by default all of its clips, whatever its
    split column says. Raises CheckpointError when the features would differ from those the run was
    trained on.
    """
    checkpoint = load_checkpoint(run.best)
    config = run.config(overrides)
    split = split or ("test" if manifest is None else None)
    clips, data = _clips(run, config, checkpoint, split, manifest, root)
    target = folder or run.new_evaluation(manifest.stem if manifest else str(split))
    # Of a run's own clips training has judged the bad ones already: they are listed, no more.
    allowed = 1.0 if manifest is None else None
    table = open_source(config, manifest).features(clips, reporter, target, allowed)
    checkpoint.check_fits(table.specs, config.sampling.fps)
    usable = table.usable(clips)
    if not usable:
        raise DataError(f"{data}: no clip is left to score; see {target / 'quarantine.csv'}")
    if manifest is not None and (known := _seen_in_training(run, table, usable)):
        reporter.warn(known)
    report = score_report(run, config, checkpoint, table, usable, data, split or False)
    long = _long_videos(run, config, checkpoint, split, manifest, root)
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
    split: str | bool,
) -> EvaluationReport:
    """The report of a checkpoint on clips whose features are at hand."""
    sequences = table.sequences(clips, checkpoint.classes)
    asked = Asked(checkpoint, config)
    scores = asked.scores(sequences)
    labels = sequences.labels.numpy()
    mean_right, notes = _mean_pooled(run, config, sequences)
    baselines: dict[str, float | None] = {
        "majority": _majority(run, checkpoint, labels.tolist()),
        "mean_pooled": None if mean_right is None else float(mean_right.mean()),
    }
    missing, count = table.missing_values(clips)
    data += f". {missing} of {count} values are missing" if missing else ""
    if known := _seen_in_training(run, table, clips):
        data += f". {known}"
    report = EvaluationReport(
        run_name=run.path.name,
        data=data,
        split=split if isinstance(split, str) else "all",
        metrics=compute_metrics(labels, scores.numpy(), checkpoint.classes),
        predictions=_predictions(clips, checkpoint.classes, scores),
        baselines=baselines,
        baseline_notes=notes,
        quarantined=table.report.quarantined,
        leakage_allowed=bool(checkpoint.data["allow_leakage"]),
        seen_in_training=bool(known),
        warned=warned_sequences(checkpoint.build(), config, table, clips, checkpoint.classes),
        warn_of=(config.series.horizon or 0.0, config.series.threshold),
        seed=config.training.seed,
        confidence=ask_confidence(checkpoint, config, sequences, scores),
    )
    if not config.evaluation.details or sequences.step_labels is not None:
        return report  # an answer for each row: there is no whole clip to take apart
    seed, classes = config.training.seed, checkpoint.classes
    return replace(
        report,
        order=ask_order(asked, sequences, clips, classes, mean_right, seed),
        anytime=ask_anytime(asked, sequences, clips, table, seed),
        mistakes=read_mistakes(
            report.predictions,
            clips,
            table.times_s(clips),
            config.evaluation.mistakes,
            DecodeLimits(**config.decoding.model_dump()),
        )
        if config.data.is_video
        else (),
    )


def _mean_pooled(
    run: RunFolder, config: Config, sequences: SequenceSet
) -> tuple[NDArray[np.float64] | None, dict[str, str]]:
    """Was the mean-pooled model right (N,), or why there is none."""
    if run.baseline.is_file():
        return Asked(load_checkpoint(run.baseline), config).right(sequences), {}
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
    """The probability of the end after each row; nothing for a model without a horizon."""
    if config.series.horizon is None:
        return ()
    scores = score_steps(model, table.sequences(clips, classes))
    return tuple(
        WarnedSequence(clip.name, row[:, classes.index(SOON)].double().numpy(), remaining)
        for clip, row in zip(clips, scores, strict=True)
        if (remaining := table.remaining.get(clip.name)) is not None
    )


def clip_scores(checkpoint: Checkpoint, sequences: SequenceSet, config: Config) -> torch.Tensor:
    """Probabilities (N, C) of a checkpoint's model, mirrored copies averaged where there are."""
    return Asked(checkpoint, config).scores(sequences)


def _seen_in_training(run: RunFolder, table: FeatureTable, clips: Sequence[Clip]) -> str:
    """What makes the score too good, in words; '' where nothing does."""
    seen = run.trained_content()
    known = sum(table.report.content.get(clip.name) in seen for clip in clips)
    return (
        f"{known} of these clips were in the training data: the score is too good" if known else ""
    )


def _clips(
    run: RunFolder,
    config: Config,
    checkpoint: Checkpoint,
    split: str | None,
    manifest: Path | None,
    root: Path | None,
) -> tuple[list[Clip], str]:
    if manifest is not None:
        clips = open_source(config, manifest, root, checkpoint.classes).clips()
        if split is None:
            return [replace(clip, split="test") for clip in clips], f"All clips of {manifest.name}"
        of_split = [replace(clip, split="test") for clip in clips if clip.split == split]
        if not of_split:
            raise DataError(f"{manifest}: no clip of it has the split '{split}'")
        return of_split, f"The {split} split of {manifest.name}"
    clips = [
        clip
        for clip in read_run_clips(run, config, root, checkpoint.classes)
        if clip.split == split
    ]
    if not clips:
        raise DataError(
            f"run {run.path} has no {split} split; evaluate it on other clips with "
            "--manifest CSV --root DIR"
        )
    return clips, f"The {split} split of {config.data.manifest}"


def _long_videos(
    run: RunFolder,
    config: Config,
    checkpoint: Checkpoint,
    split: str | None,
    manifest: Path | None,
    root: Path | None,
) -> list[LongVideo]:
    if not config.data.is_video:
        return []
    if manifest is not None:
        videos = read_long_videos(manifest, root, checkpoint.classes)
        return [video for video in videos if split in (None, video.split)]
    videos = read_long_videos(run.clips, root or own_root(config), checkpoint.classes)
    return [video for video in videos if video.split == split]


def _majority(run: RunFolder, checkpoint: Checkpoint, labels: list[int]) -> float:
    number = {name: index for index, name in enumerate(checkpoint.classes)}
    return majority_baseline([number[label] for label in run.trained_labels()], labels)


def _predictions(
    clips: Sequence[Clip], classes: Sequence[str], scores: torch.Tensor
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
