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
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, dropout, layer_norm, one_hot

from action_gru.backbone import Backbone, FeatureSpec
from action_gru.backbone.loading import LoadedNetwork, load_network, save_network
from action_gru.backbone.network import FeatureNetwork, NetworkSource, weighted_mean
from action_gru.backbone.runtimes import TorchRunner
from action_gru.backbone.weight_files import hub_of, runtime_of
from action_gru.config import Config
from action_gru.config.learning import TrainingSection
from action_gru.core.errors import BackboneError, ConfigError
from action_gru.core.machine import pick_device
from action_gru.core.progress import Reporter
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
RATE, HEAD_RATE = 3e-4, 1e-3  # the new head starts at zero and has farther to go
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
            f"{self.clips} clips, each scored without its group ({self.groups}): top-1 "
            f"{self.top1[0]:.3f} frozen, {max(self.top1[1:]):.3f} at best in {len(self.top1) - 1} "
            f"epochs of tuning; gain {self.gain:+.3f}, standard error {self.error:.3f}: {verdict}"
        )


def tune(config: Config, path: Path, epochs: int, layers: int, reporter: Reporter) -> TuningResult:
    """Write the tuned backbone to path if it clearly wins on left-out groups of the training clips.

    epochs: at most; layers: how many of the last ones are tuned. Clips of the split's test and
    validation parts are not read. Raises ConfigError, DataError or BackboneError.
    """
    config = _only_pictures(config)
    features, data = config.features, config.data
    pinned = features.weights_sha256
    source = NetworkSource(features.weights, features.layer, features.download, pinned)
    stem, top = _divide(source, layers, config)
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
        _save(path, source, final.network, stem.image_size)
    written = str(path) if won else None
    return TuningResult(len(used), len(set(groups)), top1, best, gain, error, written)


def _only_pictures(config: Config) -> Config:
    views = tuple(view for view in config.features.views if view in VIEWS)
    if not config.data.is_video or not views:
        raise ConfigError("features.views: tune needs a view that is a picture, such as motion")
    features = config.features.model_copy(update={"views": views})
    return config.model_copy(update={"features": features})


class LowerLayers(FeatureNetwork):
    """The layers that stay; gives their maps, and where to look at the size grid, in one row."""

    grid: tuple[int, int] = (1, 1)

    def forward(self, pixels: Tensor, weight: Tensor) -> Tensor:
        """pixels (N, S, S, 3) uint8 RGB, weight (N, S, S) uint8 -> (N, D) float32."""
        maps = self.maps(pixels.permute(0, 3, 1, 2).float() / 255)
        shares = adaptive_avg_pool2d(weight[:, None].float(), self.grid)
        return torch.cat([maps.flatten(1), shares.flatten(1)], 1)


class Stem(Backbone):
    """Stands where a `Backbone` does: gives rows of what the last layers read, not features.

    width: how many values the last layers make of a picture.
    """

    def __init__(
        self, below: LowerLayers, top: FeatureNetwork, image_size: int, fit: str, device: str
    ) -> None:
        self.image_size, self.fit, self.weights = image_size, fit, "below"
        with torch.inference_mode():
            made = below.maps(torch.zeros(1, 3, image_size, image_size))
            last = top.maps(made)
        self.shape, self.width, self.cut = made.shape[1:], last.shape[1], made.numel()
        self.grid = below.grid = (last.shape[2], last.shape[3])
        self.dim = self.cut + last[0, 0].numel()
        self._run = TorchRunner(below, "fp32", pick_device(device), None)

    def spec(self, view: str) -> FeatureSpec:
        """What an `Extractor` asks for; its cache is not kept."""
        place = ("0" * 64, "below", self.image_size, self.fit, "fp32", self.dim)
        return FeatureSpec(view, self.weights, *place)

    def pooled(self, top: FeatureNetwork, rows: Tensor) -> Tensor:
        """Mean and maximum over frames of normalised features: (B, F, D) -> (B, 2 width)."""
        flat = rows.flatten(0, 1).float()
        maps, weight = flat[:, : self.cut], flat[:, self.cut :]
        maps = maps.reshape(-1, *self.shape).contiguous(memory_format=torch.channels_last)
        made = weighted_mean(top.maps(maps), weight.reshape(-1, *self.grid))
        made = layer_norm(made, made.shape[1:]).reshape(*rows.shape[:2], -1)
        return torch.cat([made.mean(1), made.amax(1)], 1)


def _divide(source: NetworkSource, layers: int, config: Config) -> tuple[Stem, FeatureNetwork]:
    """The layers that stay, and the last ones."""
    _classifier(source)
    whole, size_px = list(source.network.layers), source.network.image_size
    if layers >= len(whole):
        raise ConfigError(
            f"--layers {layers}: {source.name} has {len(whole)}, and the first one stays as it is; "
            "choose fewer"
        )
    below, top = LowerLayers(whole[:-layers], size_px), FeatureNetwork(whole[-layers:], size_px)
    features = config.features
    wished = size_px if features.image_size == "auto" else features.image_size
    return Stem(below.eval(), top.eval(), wished, features.fit, features.device), top


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
        views = maps.dim // stem.dim
        heads = nn.ModuleList(nn.Linear(2 * stem.width, classes) for _ in range(views))
        for parameter in heads.parameters():
            nn.init.zeros_(parameter)
        prepare = self.accelerator.prepare_model
        self.network = prepare(top.requires_grad_(True), evaluation_mode=True)
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

    def left_out_hits(self) -> Tensor:
        """Which clips that were not trained on are named right: (N,) of 0 or 1; 0 of the others.

        By a ridge regression on each view's features: the heads were made to know their clips.
        """
        with torch.inference_mode():
            batches = torch.split(torch.arange(len(self.maps)), BATCH)
            views = zip(*(self._pooled(clips, FRAMES) for clips in batches), strict=True)
            answers = torch.zeros_like(self.targets)
            for rows in (torch.cat(parts).cpu() for parts in views):
                matrix, offset = fit_ridge(rows[self.train], self.targets[self.train])
                answers += rows @ matrix + offset
        hits = (answers.argmax(1) == self.maps.labels).float()
        hits[self.train] = 0.0
        return hits


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


def _classifier(source: NetworkSource) -> LoadedNetwork:
    """The whole network. Raises BackboneError where it is none that can be written again."""
    if not (hub_of(source.weights) or runtime_of(source.weights)):
        loaded = load_network(source.weights, source.download, sha256=source.pinned)
        if loaded.task == "classify":
            return loaded
    raise BackboneError(
        f"features.weights: {source.name} is no classification network of Ultralytics, and no "
        "other can be tuned; use one such as yolo26n-cls.pt"
    )


def _save(path: Path, source: NetworkSource, top: FeatureNetwork, image_size: int) -> None:
    """Write the whole network, its last layers replaced by the tuned ones."""
    module = _classifier(source).module
    module.fuse(verbose=False)
    state, count = module.state_dict(), len(source.network.layers)
    for number, layer in enumerate(top.layers, start=count - len(top.layers)):
        # What is tapped last of a classifier is the convolution before its linear layer.
        is_head = source.layer == "embedding" and number == count - 1
        prefix = f"model.{number}.{'conv.' if is_head else ''}"
        state |= {f"{prefix}{name}": value for name, value in layer.state_dict().items()}
    module.load_state_dict(state)
    save_network(path, module, image_size)
