"""Fits one model, and writes what that leaves: checkpoints, log, curves, what a tracker is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from action_gru.backbone.spec import FRAME_VIEWS
from action_gru.config import Config
from action_gru.core.errors import CheckpointError
from action_gru.core.machine import pick_device, process_count
from action_gru.core.progress import Reporter, SharedBar
from action_gru.core.text import counted, name_some
from action_gru.dataset import data_hash
from action_gru.features.report import free_memory_bytes
from action_gru.features.sequences import SequenceSet, is_known
from action_gru.features.source import InstantLabels
from action_gru.model import ActionClassifier
from action_gru.report.plots import plot_training, save_figure
from action_gru.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from action_gru.training.data import TrainingData, inner_folds
from action_gru.training.loop import Trainer
from action_gru.training.run_folder import RunFolder
from action_gru.training.side_by_side import DRAWING, side_by_side
from action_gru.training.tracking import Tracking

# Called after each epoch with its figures.
Watch = Callable[[Trainer, TrainingData, Mapping[str, float]], None]
SIZED_CLIPS = 8  # whose features tell how large those of all are
FEW_CLIPS = 5_000  # up to here model.closed_form: auto is on


def fit_model(
    config: Config,
    data: TrainingData,
    reporter: Reporter,
    run: RunFolder | None = None,
    title: str = "train",
    watch: Watch | None = None,
) -> ActionClassifier:
    """Train one model; with a run folder its checkpoints, log and curves are kept there.

    watch: looks on after each epoch and changes nothing. Such a training is shown, and nobody
    resumes it: its files are written once, at its end, without curves.

    Of several processes all fit the same model, and the first alone has a run folder.
    """
    arguments = model_arguments(config, data)
    with DRAWING:
        torch.manual_seed(config.training.seed)
        model = ActionClassifier(**arguments)
    train_set = data.sequences("train")
    assert train_set is not None
    ahead = config.model.lookahead
    if run is not None and (unseen := _unseen(train_set, data.classes, ahead)):
        needs = f" with model.lookahead={ahead} further ones after it" if ahead else ""
        reporter.warn(
            f"no sampled instant of the training data{needs} shows {name_some(unseen)}, so that it "
            "isn't learnt; compare the bounds of such rows with the lengths of the files"
        )
    if run is not None and (past := _past(data.table.step_labels)):
        reporter.warn(
            "past the last sampled instant of their files, so that they teach nothing: "
            f"{counted(len(past), 'row')}, {name_some(past)}; compare the bounds of such rows with "
            "the lengths of the files"
        )
    val_set = data.sequences("val")
    trainer = Trainer(
        model,
        train_set,
        val_set,
        config.training,
        config.sampling.max_frames,
        config.training.seed,
        inner_folds(data.part("train"), config.data.allow_leakage),
    )
    usual_frames = train_set.usual_length(config.sampling.max_frames)
    tracking = Tracking(config, run.path, reporter) if run is not None and watch is None else None
    writer = CheckpointWriter(config, data, arguments, run, usual_frames, tracking)
    writer.restore(trainer)
    left = trainer.epochs - trainer.progress.epoch
    with reporter.bar(title, left) as advance:

        def after_epoch(trainer: Trainer, row: dict[str, float]) -> None:
            writer.save_epoch(trainer)
            if watch is not None:
                watch(trainer, data, row)
            advance(note=_note(row, train_set, val_set))

        try:
            trainer.fit(after_epoch)
        finally:
            if tracking is not None:
                tracking.close()
    writer.close(trainer)
    return writer.best_model(trainer)


def fit_together(
    fits: Sequence[Callable[[Reporter], ActionClassifier]],
    config: Config,
    data: TrainingData,
    reporter: Reporter,
) -> list[ActionClassifier]:
    """The models of several calls of `fit_model`, given what they report to, on one bar.

    Where the CPU trains and memory allows they train side by side, and give what they give one
    after another. The first may report, and alone writes files.
    """
    clips = data.table.usable(data.split.clips)
    some = [data.table.by_clip[clip.name].values() for clip in clips[:SIZED_CLIPS]]
    # Of each number there is one in memory as it was cached, and one as a model reads it.
    each = 8 * len(clips) * fmean(view.values.size for views in some for view in views)
    each *= len(data.table.specs) * (1 + data.table.flip)
    most = max(1, int(free_memory_bytes() / 2 / each))
    with SharedBar(reporter, "train", len(fits)) as shared:
        tasks = [partial(fit, shared) for fit in fits]
        return side_by_side(tasks, most if trains_together(config) else 1)


def trains_together(config: Config) -> bool:
    """Whether several models can be trained at once: on a CPU, by one process, where each draws
    its dropout for itself.
    """
    section = config.model
    draws_for_itself = section.num_layers == 1 or not section.dropout
    on_cpu = pick_device(config.training.device).type == "cpu" and process_count() == 1
    return on_cpu and draws_for_itself


def model_arguments(config: Config, data: TrainingData) -> dict[str, Any]:
    """The flat arguments of ActionClassifier that a config and its data give."""
    views = [str(spec.view) for spec in data.table.specs]
    arguments = {
        "view_dims": [spec.dim for spec in data.table.specs],
        "num_classes": len(data.classes),
        **config.model.model_dump(exclude={"lookahead", "ensemble"}),
        "closed_form": closed_form(config, len(data.part("train"))),
        "spread": True,
        # A view that is a vector holds quantities, not an embedding.
        "channel_views": [n for n, view in enumerate(views) if view in FRAME_VIEWS],
    }
    # What reads no order by itself shows what order brings.
    reads_order = config.model.cell != "none" or config.model.pooling == "transformer"
    if arguments["closed_form"] and reads_order:
        arguments["trend"] = True
    if config.data.labels == "many":  # else left out: a run begun by an older version goes on
        arguments["many"] = True
    if config.data.task == "frames":
        arguments |= {"instant": True, "pooling": "last"}
    if config.model.lookahead:
        arguments["lookahead"] = config.model.lookahead
    if config.model.ensemble > 1:
        arguments["ensemble"] = config.model.ensemble
    if config.model.normalisation == "auto":
        arguments["normalisation"] = config.data.traits.normalisation
    if not config.data.is_video:
        arguments["flag_missing"] = data.table.missing_values(data.part("train"))[0] > 0
    return arguments


def closed_form(config: Config, clips: int) -> bool:
    """Whether a linear classifier is added to the cells, for this number of training clips."""
    if config.model.closed_form == "auto":
        one_answer = config.data.labels == "one" and config.data.task == "clips"
        return config.data.is_video and one_answer and clips <= FEW_CLIPS
    return config.model.closed_form


def mean_pooled(config: Config) -> Config:
    """The same config without a recurrent cell: each frame by itself, averaged over time."""
    model = config.model.model_copy(
        update={"cell": "none", "pooling": "mean", "bidirectional": False, "lookahead": 0}
    )
    return config.model_copy(update={"model": model})


def _unseen(train: SequenceSet, classes: Sequence[str], lookahead: int) -> list[str]:
    """The classes of rows that no row of the training data teaches."""
    if train.step_labels is None:
        return []
    labels = train.step_labels[train.teaches(lookahead)]
    counts = labels.sum(0) if labels.ndim == 2 else labels.bincount(minlength=len(classes))
    return [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]


def _past(step_labels: Mapping[str, object]) -> list[str]:
    """The rows past the end of their videos."""
    of_videos = step_labels.past.values() if isinstance(step_labels, InstantLabels) else ()
    return [name for names in of_videos for name in names]


def _note(row: dict[str, float], train: SequenceSet, val: SequenceSet | None) -> str:
    """The newest accuracy, and on which clips it was measured."""
    if val is None:
        return f"acc {row['accuracy']:.2f} ({_count(train, 'training ')})"
    return f"val acc {row['val_accuracy']:.2f} ({_count(val)})"


def _count(sequences: SequenceSet, kind: str = "") -> str:
    """How many answers an accuracy is of."""
    if sequences.step_labels is None:
        return f"{len(sequences)} {kind}clips"
    return f"{int(is_known(sequences.step_labels).sum())} {kind}rows"


class CheckpointWriter:
    """Writes what a training leaves: best and last checkpoint, log, curves, its tracker's figures.

    Of several processes the first alone is given a folder; the others keep the best weights only.
    """

    def __init__(
        self,
        config: Config,
        data: TrainingData,
        arguments: dict[str, Any],
        run: RunFolder | None,
        usual_frames: int,
        tracking: Tracking | None,
    ) -> None:
        """tracking: also write after each epoch, and curves; without it at the end alone."""
        self.tracking = tracking
        self.config, self.data, self.arguments, self.run = config, data, arguments, run
        self.usual_frames = usual_frames
        self._best: dict[str, torch.Tensor] = {}

    def restore(self, trainer: Trainer) -> None:
        """Restore the last checkpoint of an interrupted run, if there is one."""
        found = trainer.processes.first(lambda: self._load_last(trainer))
        if found is not None and not trainer.processes.is_first:
            trainer.restore(*found[:2])
        if found is not None:
            self._best = found[2]

    def _load_last(self, trainer: Trainer) -> tuple[Any, Any, dict[str, torch.Tensor]] | None:
        """State, progress and best weights of the interrupted run, taken up by the trainer."""
        if self.run is None or not self.run.last.is_file():
            return None
        last = load_checkpoint(self.run.last)
        if last.data != _facts(self.config, self.data) or last.model != self.arguments:
            raise CheckpointError(
                f"{self.run.last}: the data or the model has changed since the run began; "
                "train a new run instead of resuming"
            )
        last.check_fits(self.data.table.specs, self.config.sampling.fps)
        try:
            trainer.restore(last.extra, last.progress)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.run.last}: holds no state of this training ({str(error).splitlines()[0]}); "
                "train a new run instead of resuming"
            ) from error
        if trainer.progress.epoch > trainer.epochs:
            raise CheckpointError(
                f"{self.run.path} has {counted(trainer.progress.epoch, 'epoch')} already, and "
                f"training.epochs={self.config.training.epochs} asks for {trainer.epochs}; take no "
                "fewer, or train a new run"
            )
        best = load_checkpoint(self.run.best).weights
        self.run.write_config(self.config)  # with what was laid over it, from here on
        return last.extra, last.progress, best

    def save_epoch(self, trainer: Trainer) -> None:
        """After an epoch: remember the best weights; on disk, best first, then last."""
        is_best = trainer.progress.best_epoch == trainer.progress.epoch
        if is_best:
            weights = trainer.kept_model().state_dict()
            self._best = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
        if self.run is not None and self.tracking is not None:
            self._write(self.run, trainer, is_best)
            self.tracking.epochs(trainer.progress.history)

    def _write(self, run: RunFolder, trainer: Trainer, is_best: bool = True) -> None:
        if is_best:
            save_checkpoint(self._checkpoint(trainer), run.best)
        run.write_log(trainer.progress.history)
        save_checkpoint(self._checkpoint(trainer, resumable=True), run.last)

    def close(self, trainer: Trainer) -> None:
        if self.run is None:
            return
        if self.tracking is None:
            self._write(self.run, trainer)
            return
        save_figure(plot_training(trainer.progress.history), self.run.path / "training.png")

    def best_model(self, trainer: Trainer) -> ActionClassifier:
        with DRAWING:
            model = ActionClassifier(**self.arguments)
        model.load_state_dict(self._best)
        return model.eval()

    def _checkpoint(self, trainer: Trainer, resumable: bool = False) -> Checkpoint:
        made = make_checkpoint(
            self.config, self.data, self.arguments, self._best, self.usual_frames
        )
        if not resumable:
            return made
        return replace(made, progress=asdict(trainer.progress), extra=trainer.state_tensors())


def make_checkpoint(
    config: Config,
    data: TrainingData,
    arguments: dict[str, Any],
    weights: dict[str, Tensor],
    usual_frames: int,
) -> Checkpoint:
    """The checkpoint of a model, not calibrated. arguments: those of ActionClassifier.

    usual_frames: the median length of the training sequences.
    """
    sampling = config.sampling
    return Checkpoint(
        weights=weights,
        model=arguments,
        classes=data.classes,
        features=data.table.specs,
        sampling={
            "fps": sampling.fps,
            "max_frames": sampling.max_frames,
            "usual_frames": usual_frames,
        },
        flip=config.features.flip,
        data=_facts(config, data),
        config=config.to_tree(),
    )


def _facts(config: Config, data: TrainingData) -> dict[str, Any]:
    return {
        "hash": data_hash(data.split.clips),
        "clips": {name: len(data.part(name)) for name in ("train", "val", "test")},
        "allow_leakage": config.data.allow_leakage,
    }
