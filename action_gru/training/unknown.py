"""Leaves each class out of training and asks whether its clips look unknown afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from action_gru.config import Config
from action_gru.dataset import Clip, Split, class_list, grouped_folds, merge_groups
from action_gru.errors import DataError
from action_gru.evaluation.unknown import ClassLeftOut, UnknownReport, write_unknown_report
from action_gru.features import FeatureTable, open_source
from action_gru.progress import Reporter
from action_gru.scoring import score_clips
from action_gru.training.clips import read_clips
from action_gru.training.data import TrainingData
from action_gru.training.run import fit_model
from action_gru.training.run_folder import RunFolder


def leave_classes_out(config: Config, folds: int, reporter: Reporter) -> tuple[UnknownReport, Path]:
    """Train classes x folds models; the report and its folder.

    A model that has never seen a class reads the clips of a fold that is held out whole: those of
    the class are unknown to it, the others known. Clips whose split says test are left out.
    """
    clips = [replace(clip, split="") for clip in read_clips(config) if clip.split != "test"]
    classes = class_list(clips, config.classes) if clips else ()
    if len(classes) < 3:
        raise DataError(
            f"leaving a class out needs at least three of them; the clips that are not for the "
            f"test have {len(classes)}"
        )
    run = RunFolder.create(config, "-unknown")
    table = open_source(config).features(clips, reporter, run.path)
    usable = table.usable(clips)
    if not config.data.allow_leakage:
        usable = merge_groups(usable, table.report.content)
    part_of = grouped_folds(usable, folds, config.training.seed)
    rows = []
    for label in classes:
        known: list[float] = []
        unknown: list[float] = []
        for fold in range(folds):
            reporter.say(f"without {label}, fold {fold + 1} of {folds}")
            held = [c for c, part in zip(usable, part_of, strict=True) if part == fold]
            train = [
                c
                for c, part in zip(usable, part_of, strict=True)
                if part != fold and c.label != label
            ]
            scores = _top_scores(config, train, held, table, reporter)
            for clip, score in zip(held, scores, strict=True):
                (unknown if clip.label == label else known).append(score)
        rows.append(ClassLeftOut(label, tuple(known), tuple(unknown)))
    data = f"{config.data.manifest}: {len(usable)} clips, {folds} folds"
    report = UnknownReport(run.path.name, data, tuple(rows))
    run.take_name()
    write_unknown_report(report, run.path)
    return report, run.path


def _top_scores(
    config: Config,
    train: Sequence[Clip],
    held: Sequence[Clip],
    table: FeatureTable,
    reporter: Reporter,
) -> list[float]:
    """The top score of each held-out clip by a model of the classes in train."""
    classes = tuple(sorted({clip.label for clip in train}))
    if len(classes) < 2:
        raise DataError("a fold leaves fewer than two classes to train on; ask for fewer folds")
    model = fit_model(config, TrainingData(Split(train=tuple(train)), classes, table), reporter)
    # The labels are not looked at: an unknown class has no number here.
    asked = [replace(clip, label=classes[0]) for clip in held]
    frames, flip = config.sampling.max_frames, config.features.flip
    scores = score_clips(model, table.sequences(asked, classes), frames, flip=flip)
    return [float(score) for score in scores.amax(1).clamp_max(1)]
