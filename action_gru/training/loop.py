"""The training loop: read it from top to bottom. Knows nothing of files, video or configs' YAML."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from action_gru.config.learning import TrainingSection
from action_gru.core.errors import TrainingError
from action_gru.core.machine import Prefetch, one_thread, pick_device
from action_gru.features.sequences import Batch, SequenceSet, is_known
from action_gru.model import ActionClassifier
from action_gru.model.losses import BINARY_LOSSES, LOSSES
from action_gru.model.packing import Dropout
from action_gru.training.batches import Batches, Part
from action_gru.training.linear import solve_linear
from action_gru.training.processes import join_processes
from action_gru.training.scoring import is_right, score_answers, surprise
from action_gru.training.side_by_side import DRAWING, stop_if_asked

WARMUP_SHARE = 0.1  # of all steps, over which the rate climbs
LARGEST_GRADIENT = 1.0  # its norm
STANDARD_BYTES = 512 << 20  # training features up to this size are standardised once, not by batch
# One clip of a class that is shown in 1 of 1000 must not move the model as 1000 others do.
MOST_POSITIVE_WEIGHT = 10.0
# Values of a model times steps of a batch. Below, two threads take up to twice the time of one.
SMALL = 300_000_000


@dataclass
class Progress:
    """How far training has come. history holds one dict per epoch; best_loss is on validation."""

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains a classifier on sequences; its state after any epoch can be saved and taken up again.

    train, val: val may be None; then the last weights are the best. Shapes are those of
    SequenceSet. seed draws the batches and the dropout. folds (N,): the part of each training clip
    by which a closed-form branch is checked; by default every fifth clip makes one.

    Where a launcher started several processes, each steps over its part of every batch and the
    gradients are added up, so that all take the step that one process would (but for the dropout,
    which each draws for its own clips).
    """

    def __init__(
        self,
        model: ActionClassifier,
        train: SequenceSet,
        val: SequenceSet | None,
        settings: TrainingSection,
        max_frames: int,
        seed: int,
        folds: Sequence[int] | None = None,
    ) -> None:
        self.settings, self.val, self.max_frames, self.seed = settings, val, max_frames, seed
        device = pick_device(settings.device)
        self.processes = join_processes(device)
        if device.type == "cuda" and device.index:
            torch.cuda.set_device(device)
        with DRAWING:  # it has state that all of a process share
            self.accelerator = Accelerator(
                cpu=device.type == "cpu", mixed_precision=settings.mixed_precision
            )
        ready = self._solve(model, train, folds) if self.processes.is_first else None
        self.processes.wait()  # some read their features faster than others
        self.processes.copy_first(model)
        train = ready or train.standardised(model.standardise, STANDARD_BYTES)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(model, settings.weight_decay),
            lr=settings.learning_rate,
            fused=device.type == "cpu",  # elsewhere torch chooses
        )
        # Only placed: DistributedDataParallel averages what equal parts give, and a last batch has
        # none. `Processes.add_gradients` adds what each part weighs.
        self.model = self.accelerator.prepare_model(model, evaluation_mode=True)
        # Without Accelerate's wrapping. Asked for at each use, it looked for packages each time.
        self.bare_model: ActionClassifier = self.accelerator.unwrap_model(self.model)
        self.optimizer = self.accelerator.prepare_optimizer(self.optimizer)
        weights = self._class_weights(train, model.num_classes)
        self.class_weights = None if weights is None else weights.to(self.accelerator.device)
        self.batches = Batches(
            train, settings, max_frames, seed, self.processes, weights, self.bare_model.lookahead
        )
        self.epochs = max(settings.epochs, -(-settings.min_steps // len(self.batches)))
        self.average = Average(self.bare_model, settings.ema_decay)
        self.generator = torch.Generator()
        for module in self.bare_model.modules():
            if isinstance(module, Dropout) and device.type == "cpu":
                module.generator = self.generator
        self.progress = Progress()

    def _solve(
        self, model: ActionClassifier, train: SequenceSet, folds: Sequence[int] | None
    ) -> SequenceSet:
        """What is not learned step by step: the statistics and the closed-form branch. Returns the
        sequences as they are read from then on.
        """
        model.fit_statistics(train.values)
        train = train.standardised(model.standardise, STANDARD_BYTES)
        if model.linear is not None:
            parts = [index % 5 for index in range(len(train))] if folds is None else folds
            solve_linear(model, train, parts, self.max_frames)
        return train

    def fit(self, after_epoch: Callable[[Trainer, dict[str, float]], None]) -> None:
        """Run the epochs that are left; after_epoch may save, log, and look at the progress."""
        with one_thread() if self._is_small else nullcontext():
            self._fit(after_epoch)

    @property
    def _is_small(self) -> bool:
        """Whether the products of a step are too small to share among processors."""
        values = sum(value.numel() for value in self.bare_model.parameters())
        steps = self.settings.batch_size * self.max_frames
        return self.accelerator.device.type == "cpu" and values * steps < SMALL

    def _fit(self, after_epoch: Callable[[Trainer, dict[str, float]], None]) -> None:
        while self.progress.epoch < self.epochs and not self._should_stop():
            row = {"epoch": self.progress.epoch + 1.0} | self.run_steps(self.progress.epoch)
            self.progress.epoch += 1
            if self.val is not None:
                row |= self._validate(self.val)
            if not all(math.isfinite(value) for value in row.values()):
                raise TrainingError(
                    f"training diverged in epoch {self.progress.epoch} (loss {row['loss']}); "
                    "lower training.learning_rate"
                )
            self.progress.history.append(row)
            if self.val is None or row["val_loss"] < self.progress.best_loss:
                self.progress.best_loss = row.get("val_loss", math.inf)
                self.progress.best_epoch = self.progress.epoch
            after_epoch(self, row)

    def run_steps(self, number: int, count: int | None = None) -> dict[str, float]:
        """Epoch `number`, or its first steps. A thread makes the batches ahead of the step."""
        # Dropout repeats when an epoch does, and no two processes draw the same.
        seed = self.seed * 1_000_003 + number + (self.processes.rank << 52)
        self.generator.manual_seed(seed)
        # For what draws from torch's own, as stacked layers do. `torch.manual_seed` also notes for
        # each kind of GPU from where it was called: milliseconds.
        is_cpu = self.accelerator.device.type == "cpu"
        with DRAWING:
            (torch.default_generator.manual_seed if is_cpu else torch.manual_seed)(seed)
        self.model.train()
        losses, hits, seen = [], [], 0
        with Prefetch(itertools.islice(self.batches.epoch(number), count), 2) as parts:
            for index, part in enumerate(parts):
                self._set_rate(number * len(self.batches) + index)
                loss, hit = self._step(part)
                # Kept on the device: asking for a figure here would make a GPU wait each step.
                losses.append(loss * part.answers)
                hits.append(hit)
                stop_if_asked()
                seen += part.answers
        sums = torch.stack([torch.stack(v).cpu().double().sum() for v in (losses, hits)])
        loss_sum, hit_sum = self.processes.sum(sums).tolist()
        return {"loss": loss_sum / seen, "accuracy": hit_sum / seen, "learning_rate": self._rate}

    def _step(self, part: Part) -> tuple[Tensor, Tensor]:
        """One update; this part's share of the mean loss of a branch () and of the right answers
        () of the whole batch.
        """
        batch = part.batch.to(self.accelerator.device)
        with self.accelerator.autocast():
            logits, labels = self._answers(batch)
        loss = self._loss(logits, labels) * part.share
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.processes.add_gradients(self.model.parameters())
        self.accelerator.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        self.average.update(self.bare_model)
        scores = self.bare_model.probabilities(self.bare_model.fuse(logits.detach()))
        hits = is_right(scores, labels).sum() * (part.share > 0)
        return loss.detach() / logits.shape[1], hits

    def _answers(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (N, S, C) of the trained branches and the target of each, (N,) or (N, C): one a
        clip, or one for each step of each clip that has a target.
        """
        model, standard = self.bare_model, batch.features
        if not self.batches.sequences.is_standard:
            standard = model.standardise(standard)
        if batch.step_labels is None:
            return model.trained_logits(standard, batch.lengths).float(), batch.labels
        valid = is_known(batch.step_labels)
        return model.trained_running(standard).float()[valid], batch.step_labels[valid]

    def _loss(self, branch_logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each branch alone, summed: (B, S, C), (B,) or (B, C) -> ().

        None of it looks at the fused logits: there the view that learns fastest, which need not be
        the one that generalises, would leave the other nothing to learn.
        """
        if not len(labels):
            return branch_logits.sum()  # of nothing: 0, with gradients of 0
        losses_of = BINARY_LOSSES if self.bare_model.many else LOSSES
        loss, smoothing = losses_of[self.settings.loss], self.settings.label_smoothing
        losses = [
            loss(logits, labels, self.class_weights, smoothing)
            for logits in branch_logits.unbind(1)
        ]
        return torch.stack(losses).sum()

    def _validate(self, val: SequenceSet) -> dict[str, float]:
        """Each process scores its part of the clips; every answer counts once."""
        sums = torch.zeros(3, dtype=torch.float64)  # loss, right answers, answers
        mine = self.processes.share(len(val))
        if len(mine):
            scores, labels = score_answers(self.kept_model(), val.only(mine), self.max_frames)
            loss, hits = surprise(scores, labels).sum(), is_right(scores, labels).sum()
            sums = torch.stack([loss, hits.double(), torch.tensor(float(len(labels))).double()])
        total, right, answers = self.processes.sum(sums).tolist()
        return {"val_loss": total / answers, "val_accuracy": right / answers}

    def kept_model(self) -> ActionClassifier:
        """The model that is evaluated and kept: the running average if there is one."""
        return self.average.model or self.bare_model

    def _set_rate(self, step: int) -> None:
        total = self.epochs * len(self.batches)
        warmup = max(1, round(WARMUP_SHARE * total))
        climb = min(1.0, (step + 1) / warmup)
        done = max(0.0, (step - warmup) / max(1, total - warmup))
        self._rate = self.settings.learning_rate * climb * 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate

    def _should_stop(self) -> bool:
        patience = self.settings.early_stop_patience
        waited = self.progress.epoch - self.progress.best_epoch
        return bool(patience) and self.val is not None and waited >= patience

    def _class_weights(self, train: SequenceSet, num_classes: int) -> Tensor | None:
        if self.settings.class_balance != "weights":
            return None
        labels = train.labels if train.step_labels is None else train.step_labels
        labels = labels[is_known(labels)]
        if train.many:
            shown = labels.sum(0, dtype=torch.float32).clamp_min(1)
            return ((len(labels) - shown) / shown).clamp(1, MOST_POSITIVE_WEIGHT)
        counts = labels.bincount(minlength=num_classes).clamp_min(1).float()
        return len(labels) / (num_classes * counts)

    def state_tensors(self) -> dict[str, Tensor]:
        """The optimizer's moments, the raw weights and their average: all that resuming needs."""
        tensors = {f"model.{k}": v for k, v in self.bare_model.state_dict().items()}
        if self.average.model is not None:
            tensors |= {f"average.{k}": v for k, v in self.average.model.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in moments.items()}
        return tensors

    def restore(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Take up the state of `state_tensors` and its progress."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        self.bare_model.load_state_dict(part("model."))
        if self.average.model is not None:
            self.average.model.load_state_dict(part("average."))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part("optimizer.").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.progress = Progress(**progress)


class Average:
    """Exponential moving average of the weights; model is None when decay is 0."""

    def __init__(self, model: ActionClassifier, decay: float) -> None:
        from copy import deepcopy

        self.decay = decay
        self.model = deepcopy(model).eval().requires_grad_(False) if decay else None

    @torch.no_grad()
    def update(self, model: ActionClassifier) -> None:
        if self.model is None:
            return
        for kept, new in zip(self.model.parameters(), model.parameters(), strict=True):
            kept.lerp_(new.detach(), 1 - self.decay)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight matrices decay; biases and normalisation gains do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
