"""From a config to a trained, evaluated run: the stages in the order they happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from action_gru.backbone.embedding import pick_device
from action_gru.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from action_gru.config import Config
from action_gru.dataset import (
    Clip,
    LongVideo,
    SequenceSet,
    Split,
    check_long_videos,
    data_hash,
    read_long_videos,
    split_clips,
)
from action_gru.errors import CheckpointError, DataError
from action_gru.evaluation import save_picture, training_picture
from action_gru.features import FeatureTable, extract_features
from action_gru.measured import classes_of
from action_gru.model import ActionClassifier
from action_gru.progress import Reporter
from action_gru.streams import check_background
from action_gru.training.calibrate import calibrate_model, inner_folds
from action_gru.training.clips import own_root, read_clips, read_run_clips
from action_gru.training.loop import Trainer
from action_gru.training.run_folder import RunFolder

FEW_CLIPS = 5_000  # up to here model.closed_form: auto is on


@dataclass(frozen=True)
class TrainingData:
    """The clips that training may use, their features, and the classes."""

    split: Split
    classes: tuple[str, ...]
    table: FeatureTable

    def part(self, name: str) -> list[Clip]:
        """The usable clips of train, val or test."""
        return self.table.usable(getattr(self.split, name))

    def sequences(self, name: str) -> SequenceSet | None:
        clips = self.part(name)
        return self.table.sequences(clips, self.classes) if clips else None


def train(config: Config, reporter: Reporter) -> RunFolder:
    """Extract and train; the run's folder. The test split, if there is one, is not touched."""
    data = config.data
    pick_device(config.training.device)  # a device that is not there is refused before any work
    clips = read_clips(config)
    classes = classes_of(config, clips)
    split = split_clips(
        clips, data.split, data.test_share, data.val_share, data.split_seed, data.allow_leakage
    )
    assert data.manifest is not None
    long = read_long_videos(data.manifest, data.root, classes) if data.kind == "video" else []
    check_background(config, classes)
    if not data.allow_leakage:
        check_long_videos(long, split.train)
    run = RunFolder.create(config)
    try:
        return _train_into(run, config, split, classes, reporter, long)
    except BaseException:
        run.discard_if_empty()  # a run that never began must not take the name
        raise
    finally:
        run.release()


def resume(folder: Path, reporter: Reporter, overrides: Sequence[str] = ()) -> RunFolder:
    """Go on with a run that was interrupted, from its last whole epoch, to the same result."""
    run = RunFolder.open(folder)
    run.hold()
    try:
        return _resume(run, reporter, overrides)
    finally:
        run.release()


def _resume(run: RunFolder, reporter: Reporter, overrides: Sequence[str]) -> RunFolder:
    config = run.config(overrides)
    if not run.clips.is_file():
        raise CheckpointError(
            f"{run.path} was stopped before training began; there is nothing to resume, "
            "and 'action-gru train' with its config.yaml starts it again (features are cached)"
        )
    clips = read_run_clips(run, config)
    before = {row["path"]: row["sha256"] for row in run.rows()}
    is_video = config.data.kind == "video"
    long = read_long_videos(run.clips, own_root(config)) if is_video else []
    split = split_clips(clips, "column", allow_leakage=config.data.allow_leakage)
    classes = classes_of(config, clips)
    return _train_into(run, config, split, classes, reporter, long, before)


def _train_into(
    run: RunFolder,
    config: Config,
    split: Split,
    classes: tuple[str, ...],
    reporter: Reporter,
    long: Sequence[LongVideo],
    before: Mapping[str, str] | None = None,
) -> RunFolder:
    """before: SHA-256 by path, as the run began with."""
    table = extract_features(config, split.clips, reporter, run.path)
    for clip in split.clips if before else ():
        assert before is not None
        if before[clip.relative] != table.report.content.get(clip.name, ""):
            raise CheckpointError(
                f"{clip.path} is another video than when run {run.path} began; "
                "train a new run instead of resuming"
            )
    data = TrainingData(split, classes, table)
    _check_usable(data)
    run.write_clips(split.clips, table.report.content, long)
    model = fit_model(config, data, reporter, run)
    _calibrate(run, config, data, model, reporter)
    if config.training.mean_pooled_baseline and config.model.cell != "none":
        fit_model(mean_pooled(config), data, reporter, run, baseline=True)
    progress = load_checkpoint(run.last).progress
    epochs = {"epochs": int(progress["epoch"]), "best_epoch": int(progress["best_epoch"])}
    run.write_summary(table.report.counts() | epochs)
    reporter.say(
        f"summary: {table.report.sentence()}; {epochs['epochs']} epochs, the best was "
        f"{epochs['best_epoch']}",
        summary=run.summary(),
    )
    return run


def _calibrate(
    run: RunFolder, config: Config, data: TrainingData, model: ActionClassifier, reporter: Reporter
) -> None:
    """Write what left-out clips say of the scores into the run's best checkpoint."""
    found = calibrate_model(
        config, data, model, lambda inner: fit_model(config, inner, reporter), reporter
    )
    if found is None:
        return
    save_checkpoint(replace(load_checkpoint(run.best), calibration=found), run.best)
    shortfall = found.shortfall(config.calibration.precision)
    if shortfall is not None:
        reporter.say(shortfall)


def fit_model(
    config: Config,
    data: TrainingData,
    reporter: Reporter,
    run: RunFolder | None = None,
    baseline: bool = False,
) -> ActionClassifier:
    """Train one model; with a run folder its checkpoints, log and curves are kept there."""
    torch.manual_seed(config.training.seed)
    arguments = model_arguments(config, data)
    train_set = data.sequences("train")
    assert train_set is not None
    trainer = Trainer(
        ActionClassifier(**arguments),
        train_set,
        data.sequences("val"),
        config.training,
        config.sampling.max_frames,
        config.training.seed,
        inner_folds(data.part("train"), config.data.allow_leakage),
    )
    usual_frames = train_set.usual_length(config.sampling.max_frames)
    keeper = Keeper(config, data, arguments, run, baseline, usual_frames)
    keeper.take_up(trainer)
    left = trainer.epochs - trainer.progress.epoch
    with reporter.bar("baseline" if baseline else "train", left) as advance:

        def after_epoch(trainer: Trainer, row: dict[str, float]) -> None:
            keeper.keep(trainer)
            advance(note=_note(row))

        trainer.fit(after_epoch)
    keeper.finish(trainer)
    return keeper.best_model(trainer)


class Keeper:
    """Writes what a training leaves: best and last checkpoint, log, TensorBoard, curves."""

    def __init__(
        self,
        config: Config,
        data: TrainingData,
        arguments: dict[str, Any],
        run: RunFolder | None,
        baseline: bool,
        usual_frames: int,
    ) -> None:
        self.config, self.data, self.arguments = config, data, arguments
        self.run, self.baseline, self.usual_frames = run, baseline, usual_frames
        self._best: dict[str, torch.Tensor] = {}
        self._board: Any = None

    def take_up(self, trainer: Trainer) -> None:
        """Restore the last checkpoint of an interrupted run, if there is one."""
        if self.run is None or self.baseline or not self.run.last.is_file():
            return
        last = load_checkpoint(self.run.last)
        if last.data != self._data() or last.model != self.arguments:
            raise CheckpointError(
                f"{self.run.last}: the data or the model has changed since the run began; "
                "train a new run instead of resuming"
            )
        try:
            trainer.restore(last.extra, last.progress)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.run.last}: holds no state of this training ({str(error).splitlines()[0]}); "
                "train a new run instead of resuming"
            ) from error
        self._best = load_checkpoint(self.run.best).weights

    def keep(self, trainer: Trainer) -> None:
        """After an epoch: remember the best weights; on disk, best first, then last."""
        is_best = trainer.progress.best_epoch == trainer.progress.epoch
        if is_best:
            weights = trainer.kept_model().state_dict()
            self._best = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
        if self.run is None or self.baseline:
            return
        if is_best:
            save_checkpoint(self._checkpoint(trainer), self.run.best)
        self.run.write_log(trainer.progress.history)
        self._log(trainer.progress.history)
        save_checkpoint(self._checkpoint(trainer, resumable=True), self.run.last)

    def finish(self, trainer: Trainer) -> None:
        if self.run is None:
            return
        if self.baseline:
            save_checkpoint(self._checkpoint(trainer), self.run.baseline)
            return
        if self._board is not None:
            self._board.close()
        save_picture(training_picture(trainer.progress.history), self.run.path / "training.png")

    def best_model(self, trainer: Trainer) -> ActionClassifier:
        model = ActionClassifier(**self.arguments)
        model.load_state_dict(self._best)
        return model.eval()

    def _checkpoint(self, trainer: Trainer, resumable: bool = False) -> Checkpoint:
        sampling = self.config.sampling
        return Checkpoint(
            weights=self._best,
            model=self.arguments,
            classes=self.data.classes,
            features=self.data.table.specs,
            sampling={
                "fps": sampling.fps,
                "max_frames": sampling.max_frames,
                "usual_frames": self.usual_frames,
            },
            flip=self.config.features.flip,
            data=self._data(),
            config=self.config.to_tree(),
            progress=asdict(trainer.progress) if resumable else {},
            extra=trainer.state_tensors() if resumable else {},
        )

    def _data(self) -> dict[str, Any]:
        return {
            "hash": data_hash(self.data.split.clips),
            "clips": {name: len(self.data.part(name)) for name in ("train", "val", "test")},
            "allow_leakage": self.config.data.allow_leakage,
        }

    def _log(self, history: Sequence[dict[str, float]]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        assert self.run is not None
        if self._board is None:
            # A killed run may have logged epochs of which no checkpoint came, or not yet logged
            # those of which one did: what it wrote is hidden, and all is written again.
            self._board = SummaryWriter(str(self.run.path / "tensorboard"), purge_step=1)
            rows = list(history)
        else:
            rows = [history[-1]]
        for row in rows:
            for name, value in row.items():
                if name != "epoch":
                    self._board.add_scalar(name, value, int(row["epoch"]))


def model_arguments(config: Config, data: TrainingData) -> dict[str, Any]:
    """The flat arguments of ActionClassifier that a config and its data give."""
    arguments = {
        "view_dims": [spec.dim for spec in data.table.specs],
        "num_classes": len(data.classes),
        **config.model.model_dump(),
        "closed_form": closed_form(config, len(data.part("train"))),
    }
    if config.model.normalisation == "auto":
        arguments["normalisation"] = "frame" if config.data.kind == "video" else "channel"
    if data.table.measurements is not None:
        names = [clip.name for clip in data.part("train")]
        arguments["flag_missing"] = data.table.measurements.missing(names)[0] > 0
    return arguments


def closed_form(config: Config, clips: int) -> bool:
    """Does a linear classifier stand beside the cells, with so many training clips?"""
    if config.model.closed_form == "auto":
        return config.data.kind == "video" and clips <= FEW_CLIPS
    return config.model.closed_form


def mean_pooled(config: Config) -> Config:
    """The same config without a recurrent cell: each frame by itself, averaged over time."""
    model = config.model.model_copy(
        update={"cell": "none", "pooling": "mean", "bidirectional": False}
    )
    return config.model_copy(update={"model": model})


def _check_usable(data: TrainingData) -> None:
    left = {clip.label for clip in data.part("train")}
    lost = sorted({clip.label for clip in data.split.train} - left)
    if lost:
        raise DataError(
            f"every training clip of {', '.join(lost)} is in quarantine; mend those files "
            "(quarantine.csv names the reasons) or drop the class"
        )


def _note(row: dict[str, float]) -> str:
    text = f"loss {row['loss']:.2f} acc {row['accuracy']:.2f}"
    if "val_loss" in row:
        text += f", val {row['val_loss']:.2f} {row['val_accuracy']:.2f}"
    return text
