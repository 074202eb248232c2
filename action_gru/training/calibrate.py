"""Finds a model's temperature and thresholds on clips that no training has seen.

Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from action_gru.config import Config
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.dataset import Clip, Split
from action_gru.features.sequences import NO_LABEL, SequenceSet
from action_gru.model import ActionClassifier
from action_gru.model.calibration import Calibration, calibrate, calibrate_many
from action_gru.training.data import TrainingData, inner_folds
from action_gru.training.fit import fit_model
from action_gru.training.scoring import step_logits, window_logits

PARTS = 3


def calibrate_model(
    config: Config,
    data: TrainingData,
    model: ActionClassifier,
    reporter: Reporter,
    fitted: Sequence[ActionClassifier] | None = None,
) -> Calibration | None:
    """The calibration of a trained model by the config; None if no clip is left to fit it on.

    fitted: the models of `parts_left_out`, if they are trained already.
    """
    if not _is_wanted(config, data):
        return None
    val = data.sequences("val")
    if config.calibration.how == "auto" and val is not None:
        source = f"{counted(len(val), 'clip')} of the validation split"
        return _calibrate(config, data, *_answers(config, model, val), source)
    parts = parts_left_out(config, data)
    if fitted is None:
        fitted = [fit_model(config, part, reporter, title="calibrate") for part in parts]
    return _left_out(config, data, reporter, parts, fitted)


def _is_wanted(config: Config, data: TrainingData) -> bool:
    """Where every row has a class, series.threshold rests on the scores as they are."""
    stepwise = data.table.step_labels and not data.table.many
    return config.calibration.how != "none" and not stepwise


def parts_left_out(config: Config, data: TrainingData) -> list[TrainingData]:
    """What `calibrate_model` fits further models on: the training clips without a part of them,
    which is the test. None where validation clips serve.
    """
    how, train = config.calibration.how, data.part("train")
    if not _is_wanted(config, data) or (how == "auto" and data.part("val")):
        return []
    part_of = inner_folds(train, config.data.allow_leakage, PARTS)
    parts = []
    for number in range(max(part_of) + 1):
        kept = tuple(clip for clip, p in zip(train, part_of, strict=True) if p != number)
        left = tuple(clip for clip, p in zip(train, part_of, strict=True) if p == number)
        # Else a class would be unknown to the model, and its clips wrong for that alone.
        if data.table.many or _taught(kept) == set(data.classes):
            parts.append(replace(data, split=Split(train=kept, test=left)))
    return parts if how == "folds" else parts[:1]


def _taught(clips: Sequence[Clip]) -> set[str]:
    return {label for clip in clips for label in clip.labels}


def _calibrate(
    config: Config, data: TrainingData, clips: Tensor, logits: Tensor, labels: Tensor, source: str
) -> Calibration:
    if not data.table.many:
        return calibrate(clips, logits, labels, source)
    section = config.calibration
    precision = section.precision if section.thresholds == "precision" else None
    return calibrate_many(clips, logits, labels, source, data.classes, precision)


def _left_out(
    config: Config,
    data: TrainingData,
    reporter: Reporter,
    parts: Sequence[TrainingData],
    models: Sequence[ActionClassifier],
) -> Calibration | None:
    """Parts of the training clips, each answered by a model trained without it.

    Such a model has seen less than the one to be calibrated and is right a little less often: the
    scores come out rather too modest than too proud.
    """
    clips: list[Tensor] = []
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    count, answers, divided = 0, 0, False
    for part, model in zip(parts, models, strict=True):
        held_out = part.sequences("test")
        assert held_out is not None
        whose, found, truth = _answers(config, model, held_out)
        if data.table.many:  # nor can it be scored class by class
            truth, taught = truth.clone(), _taught(part.split.train)
            truth[:, [name not in taught for name in data.classes]] = NO_LABEL
        clips.append(whose + answers)
        logits.append(found)
        labels.append(truth)
        count, answers = count + len(held_out), answers + len(truth)
        sides = ({clip.group for clip in side} for side in (part.split.train, part.split.test))
        divided |= not set.isdisjoint(*sides)
    if not count:
        reporter.info(
            "the scores are not calibrated: without a part of the groups some class has no clip "
            "left to train on; add groups, or set data.val_share"
        )
        return None
    without = "them" if divided else "their groups"
    source = f"{count} training clips, answered by models trained without {without}"
    joined = torch.cat(clips), torch.cat(logits), torch.cat(labels)
    return _calibrate(config, data, *joined, source)


def _answers(
    config: Config, model: ActionClassifier, sequences: SequenceSet
) -> tuple[Tensor, Tensor, Tensor]:
    """(answer, logits, targets) of each window and copy: (M,), (M, C), targets of N answers.

    Where rows have targets each of these is an answer.
    """
    frames, flip = config.sampling.max_frames, config.features.flip
    if sequences.step_labels is None:
        return *window_logits(model, sequences, frames, flip=flip), sequences.labels
    logits, labels = step_logits(model, sequences)
    return torch.arange(len(labels)), logits, labels
