"""Tunes the last layers of the backbone on labelled clips, if that helps on groups left out.

The layers below run once; what the last ones read of some frames of each clip is kept, so that an
epoch is a pass through the last layers only. How many epochs, and whether any, is decided by clips
of groups that were not learned from, with the classifier that `linear` solves on the features.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, one_hot

from action_gru.backbone.network import FeatureNetwork, NetworkSource
from action_gru.backbone.partial import Stem, divide, save_tuned
from action_gru.config import Config, needs_one_label
from action_gru.config.learning import TrainingSection
from action_gru.core.errors import ConfigError
from action_gru.core.machine import pick_device
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.dataset import Clip, class_list, grouped_folds, merge_groups, split_clips
from action_gru.features import ExtractionReport, FeatureCache
from action_gru.features.report import LazyFeatures, check_quarantine, free_memory_bytes
from action_gru.features.sequences import FeatureTable, SequenceSet
from action_gru.features.source import build_extractor
from action_gru.training.data import read_clips
from action_gru.training.linear import fit_ridge
from action_gru.views.pictures import VIEWS

FRAMES = 8  # of a clip, evenly spread
STEP_FRAMES = 4  # of these, in each step
BATCH = 16  # clips
FOLDS = 4
# A head that starts from scratch pulls the layers below out of shape before it knows anything
# (Kumar et al. 2022): it starts as the ridge regression, at the slope SHARPNESS, and hardly moves.
RATE, HEAD_RATE, SHARPNESS = 1e-4, 2e-5, 4.0
HEAD_DROPOUT = 0.5
LARGEST_GRADIENT = 1.0  # its norm
PATIENCE = 3  # epochs without a better answer on left-out groups
# The best of several epochs is better by chance too, often by one standard error.
CLEAR_ERRORS = 2.0


@dataclass(frozen=True)
class TuningResult:
    """top1: on left-out groups, of the frozen backbone and after each epoch. error: standard error
    of the gain, over groups. path: the tuned backbone, None where the frozen one is kept.
    """

    clips: int
    groups: int
    top1: tuple[float, ...]
    epochs: int
    gain: float
    error: float
    path: str | None

    @property
    def sentence(self) -> str:
        """The decision in words."""
        verdict = "the frozen backbone is kept, nothing is written"
        if self.path is not None:
            verdict = "tuned on all of them"
        return (
            f"{counted(self.clips, 'clip')}, each scored without its group ({self.groups}): top-1 "
            f"{self.top1[0]:.3f} frozen, {max(self.top1[1:]):.3f} at best in {len(self.top1) - 1} "
            f"epochs of tuning; gain {self.gain:+.3f}, standard error {self.error:.3f}: {verdict}"
        )


def tune(config: Config, path: Path, epochs: int, layers: int, reporter: Reporter) -> TuningResult:
    """Write the tuned backbone to path if it clearly wins on left-out groups of the training clips.

    epochs: at most; layers: how many of the last ones are tuned. Clips of the split's test and
    validation parts are not read. Raises ConfigError, DataError or BackboneError.
    """
    needs_one_label(config, "tuning the backbone")
    config = _only_pictures(config)
    features, data = config.features, config.data
    pinned = features.weights_sha256
    source = NetworkSource(features.weights, features.layer, features.download, pinned)
    size_px = None if features.image_size == "auto" else features.image_size
    stem, top = divide(source, layers, size_px, features.fit, features.device)
    clips = read_clips(config)
    classes = class_list(clips, config.classes)
    arguments = (data.test_share, data.val_share, data.split_seed, data.allow_leakage)
    train = split_clips(clips, data.split, *arguments).train
    maps, used = _read_maps(config, stem, train, classes, reporter)

    def tuner(numbers: Tensor) -> Tuner:
        return Tuner(stem, copy.deepcopy(top), maps, numbers, len(classes), config.training)

    if data.allow_leakage:  # the data is to be tested on groups that it was trained on
        used = [replace(clip, group=clip.name) for clip in used]
    groups = [clip.group for clip in used]
    folds = torch.tensor(grouped_folds(used, min(FOLDS, max(2, len(set(groups)))), 0))
    parts = [(folds != fold).nonzero()[:, 0] for fold in range(int(folds.max()) + 1)]
    hits = _left_out_hits([tuner(part) for part in parts], epochs, reporter)
    top1 = tuple(float(found.mean()) for found in hits)
    best = int(np.argmax(top1))
    gains = hits[best] - hits[0]
    gain, error = float(gains.mean()), error_over_groups(gains, groups)
    won = gain > CLEAR_ERRORS * error
    if won:
        final = tuner(torch.arange(len(used)))
        with reporter.bar("tune", best) as advance:
            for _ in range(best):
                advance(note=f"loss {final.run_epoch():.3f}")
        save_tuned(path, source, final.network, stem.image_size)
    written = str(path) if won else None
    return TuningResult(len(used), len(set(groups)), top1, best, gain, error, written)


def _only_pictures(config: Config) -> Config:
    views = tuple(view for view in config.features.views if view in VIEWS)
    if not config.data.is_video or not views:
        raise ConfigError("features.views: tune needs a view that is a picture, such as motion")
    features = config.features.model_copy(update={"views": views})
    return config.model_copy(update={"features": features})


def _read_maps(
    config: Config, stem: Stem, clips: Sequence[Clip], classes: Sequence[str], reporter: Reporter
) -> tuple[SequenceSet, list[Clip]]:
    """What the last layers read of the usable clips, and these clips; copies share a group."""
    report = ExtractionReport()
    with TemporaryDirectory() as folder:
        cache = FeatureCache(folder)
        extractor = build_extractor(config, stem, cache, most_frames=FRAMES)
        with reporter.bar("extract", len(clips)) as advance:
            extractor.extract(clips, lambda clip: advance(note=clip.name), report)
        check_quarantine(report, reporter, None, config.data.max_bad_share)
        table = FeatureTable(
            LazyFeatures(cache, report, clips, 0),
            tuple(extractor.specs.values()),
            report,
            config.features.flip,
            most_bytes=free_memory_bytes() // 2,
        )
        used = table.usable(clips)
        return table.sequences(used, classes), merge_groups(used, report.content)


class Tuner:
    """The last layers and a linear head for each view, under training on the clips train (M,)."""

    def __init__(
        self,
        stem: Stem,
        top: FeatureNetwork,
        maps: SequenceSet,
        train: Tensor,
        classes: int,
        settings: TrainingSection,
    ) -> None:
        self.stem, self.maps, self.train = stem, maps, train
        self.targets = one_hot(maps.labels, classes).float()
        self.smoothing = settings.label_smoothing
        self.random = torch.Generator().manual_seed(settings.seed)
        device = pick_device(settings.device)
        self.accelerator = Accelerator(
            cpu=device.type == "cpu", mixed_precision=settings.mixed_precision
        )
        prepare = self.accelerator.prepare_model
        self.network = prepare(top.requires_grad_(True), evaluation_mode=True)
        heads = nn.ModuleList(
            _linear(SHARPNESS * matrix, SHARPNESS * offset) for _, matrix, offset in self._solve()
        )
        self.heads = prepare(heads, evaluation_mode=True)
        groups = [
            {"params": list(self.network.parameters()), "lr": RATE},
            {"params": list(self.heads.parameters()), "lr": HEAD_RATE},
        ]
        self.optimizer = self.accelerator.prepare_optimizer(torch.optim.AdamW(groups))

    def run_epoch(self) -> float:
        """One pass over the training clips; the mean loss of a view."""
        losses = []
        for numbers in torch.split(torch.randperm(len(self.train), generator=self.random), BATCH):
            clips = self.train[numbers]
            shift, mirrored = torch.rand(2, generator=self.random).tolist()
            with self.accelerator.autocast():
                views = self._pooled(clips, STEP_FRAMES, shift, mirrored < 0.5)
                loss = self._loss(views, self.targets[clips])
            self.optimizer.zero_grad()
            self.accelerator.backward(loss)
            self.accelerator.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
            self.optimizer.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def _loss(self, views: Sequence[Tensor], targets: Tensor) -> Tensor:
        """The mean of the views' own losses: V of (B, 2 width), (B, C) -> ()."""
        losses = [
            cross_entropy(
                head(dropout(rows, HEAD_DROPOUT)),
                targets.to(rows.device),
                label_smoothing=self.smoothing,
            )
            for head, rows in zip(self.heads, views, strict=True)
        ]
        return torch.stack(losses).mean()

    def _pooled(
        self, clips: Tensor, count: int, shift: float = 0.5, mirrored: bool = False
    ) -> list[Tensor]:
        """Of each view (B, 2 width), from so many frames, one of each equal part of a clip.

        shift: which of the part, 0 the first and 1 the last.
        """
        share = (torch.arange(count) + min(shift, 0.999)) / count
        places = self.maps.starts[clips, None] + (self.maps.lengths[clips, None] * share).long()
        rows = self.maps.values[places + self.maps.flip_offset * mirrored]
        views = rows.to(self.accelerator.device).reshape(*rows.shape[:2], -1, self.stem.dim)
        return [self.stem.pooled(self.network, view) for view in views.unbind(2)]

    @torch.no_grad()
    def _solve(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of each view the rows (N, 2 width) of all clips, and the ridge regression of the classes
        of the training clips on theirs: matrix (2 width, C), offset (C,).
        """
        batches = torch.split(torch.arange(len(self.maps)), BATCH)
        views = zip(*(self._pooled(clips, FRAMES) for clips in batches), strict=True)
        rows = [torch.cat(parts).cpu() for parts in views]
        targets = self.targets[self.train]
        return [(view, *fit_ridge(view[self.train], targets)) for view in rows]

    def left_out_hits(self) -> Tensor:
        """Which clips that were not trained on are named right: (N,) of 0 or 1; 0 of the others.

        By a ridge regression on each view's features: the heads were made to know their clips.
        """
        views = [rows @ matrix + offset for rows, matrix, offset in self._solve()]
        answers = torch.stack(views).sum(0)
        hits = (answers.argmax(1) == self.maps.labels).float()
        hits[self.train] = 0.0
        return hits


def _linear(matrix: Tensor, offset: Tensor) -> nn.Linear:
    """matrix (P, C), offset (C,)."""
    layer = nn.Linear(*matrix.shape)
    layer.load_state_dict({"weight": matrix.T, "bias": offset})
    return layer


def _left_out_hits(tuners: Sequence[Tuner], epochs: int, reporter: Reporter) -> list[Tensor]:
    """Right answers (N,) before and after each epoch, by the tuner that left the clip out."""
    hits: list[Tensor] = []
    with reporter.bar("left out", epochs) as advance:
        for epoch in range(epochs + 1):
            for tuner in tuners if epoch else ():
                tuner.run_epoch()
            hits.append(torch.stack([tuner.left_out_hits() for tuner in tuners]).sum(0))
            top1 = [float(found.mean()) for found in hits]
            if epoch:
                advance(note=f"top-1 {top1[-1]:.3f}, frozen {top1[0]:.3f}")
            if epoch - int(np.argmax(top1)) >= PATIENCE:
                break
    return hits


def error_over_groups(gains: Tensor, groups: Sequence[str]) -> float:
    """Standard error of the mean of gains (N,), which are alike within a group."""
    sums = dict.fromkeys(groups, 0.0)
    for group, gain in zip(groups, (gains - gains.mean()).tolist(), strict=True):
        sums[group] += gain
    return float(np.linalg.norm(list(sums.values()))) / len(groups)
