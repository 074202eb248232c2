"""Finds a model's temperature and thresholds on clips that no training has seen.

Knows nothing of files.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from action_gru.config import Config
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.dataset import Split
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
) -> Calibration | None:
    """The calibration of a trained model by the config; None if no clip is left to fit it on."""
    how, val = config.calibration.how, data.sequences("val")
    if how == "none" or (data.table.step_labels and not data.table.many):
        return None  # where every row has a class, series.threshold rests on the scores as they are
    if how == "auto" and val is not None:
        source = f"{counted(len(val), 'clip')} of the validation split"
        return _calibrate(config, data, *_answers(config, model, val), source)
    return _left_out(config, data, reporter, PARTS if how == "folds" else 1)


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
    parts: int,
) -> Calibration | None:
    """So many parts of the training clips, each answered by a model trained without it.

    Such a model has seen less than the one to be calibrated and is right a little less often: the
    scores come out rather too modest than too proud.
    """
    train = data.part("train")
    part_of = inner_folds(train, config.data.allow_leakage, PARTS)
    clips: list[Tensor] = []
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    count, answers, divided = 0, 0, False
    for part in range(max(part_of) + 1):
        kept = tuple(clip for clip, p in zip(train, part_of, strict=True) if p != part)
        left = tuple(clip for clip, p in zip(train, part_of, strict=True) if p == part)
        taught = {label for clip in kept for label in clip.labels}
        if taught != set(data.classes) and not data.table.many:
            continue  # a class would be unknown to the model, and its clips wrong for that alone
        inner = replace(data, split=Split(train=kept, test=left))
        held_out = inner.sequences("test")
        assert held_out is not None
        inner_model = fit_model(config, inner, reporter, title="calibrate")
        whose, found, truth = _answers(config, inner_model, held_out)
        if data.table.many:  # nor can it be scored class by class
            truth = truth.clone()
            truth[:, [name not in taught for name in data.classes]] = NO_LABEL
        clips.append(whose + answers)
        logits.append(found)
        labels.append(truth)
        count, answers = count + len(held_out), answers + len(truth)
        divided |= bool({clip.group for clip in kept} & {clip.group for clip in left})
        if len(labels) == parts:
            break
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
