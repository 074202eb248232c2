"""Finds a model's temperature on clips that no training has seen. Knows nothing of files."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from action_gru.config import Config
from action_gru.core.progress import Reporter
from action_gru.dataset import Split
from action_gru.features.sequences import SequenceSet
from action_gru.model import ActionClassifier
from action_gru.model.calibration import Calibration, calibrate
from action_gru.training.data import TrainingData, inner_folds
from action_gru.training.fit import fit_model
from action_gru.training.scoring import window_logits

PARTS = 3


def calibrate_model(
    config: Config,
    data: TrainingData,
    model: ActionClassifier,
    reporter: Reporter,
) -> Calibration | None:
    """The calibration of a trained model by the config; None if no clip is left to fit it on."""
    how, val = config.calibration.how, data.sequences("val")
    if how == "none" or data.table.step_labels:
        return None  # where every row has a class, series.threshold rests on the scores as they are
    if how == "auto" and val is not None:
        clips, logits = _logits(config, model, val)
        return calibrate(clips, logits, val.labels, f"{len(val)} clips of the validation split")
    return _left_out(config, data, reporter, PARTS if how == "folds" else 1)


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
    count, divided = 0, False
    for part in range(max(part_of) + 1):
        kept = tuple(clip for clip, p in zip(train, part_of, strict=True) if p != part)
        left = tuple(clip for clip, p in zip(train, part_of, strict=True) if p == part)
        if {clip.label for clip in kept} != set(data.classes):
            continue  # a class would be unknown to the model, and its clips wrong for that alone
        inner = replace(data, split=Split(train=kept, test=left))
        held_out = inner.sequences("test")
        assert held_out is not None
        whose, answers = _logits(
            config, fit_model(config, inner, reporter, title="calibrate"), held_out
        )
        clips.append(whose + count)
        logits.append(answers)
        labels.append(held_out.labels)
        count += len(held_out)
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
    return calibrate(torch.cat(clips), torch.cat(logits), torch.cat(labels), source)


def _logits(
    config: Config, model: ActionClassifier, sequences: SequenceSet
) -> tuple[Tensor, Tensor]:
    frames, flip = config.sampling.max_frames, config.features.flip
    return window_logits(model, sequences, frames, flip=flip)
