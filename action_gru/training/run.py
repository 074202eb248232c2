"""From a config to a trained, evaluated run: the stages in the order they happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from action_gru.checkpoint import load_checkpoint, save_checkpoint
from action_gru.checkpoint.asked import check_background
from action_gru.config import Config
from action_gru.dataset import (
    NO_LABEL,
    LongVideo,
    SequenceSet,
    Split,
    check_long_videos,
    class_list,
    read_long_videos,
    split_clips,
)
from action_gru.device import pick_device
from action_gru.errors import CheckpointError, ConfigError, DataError
from action_gru.extraction import ExtractionReport
from action_gru.features import FeatureTable, data_source, read_features
from action_gru.model import ActionClassifier
from action_gru.phrases import name_some
from action_gru.progress import Reporter
from action_gru.training.calibrate import calibrate_model, inner_folds
from action_gru.training.clips import own_root, read_clips, read_run_clips
from action_gru.training.data import TrainingData
from action_gru.training.keeper import Keeper
from action_gru.training.loop import Trainer
from action_gru.training.processes import Processes, join_processes
from action_gru.training.run_folder import RunFolder

# What makes a run this one; of features its checkpoint tells. A data set may have moved: which
# clips it holds is compared.
FIXED = ("run", "data", "sampling", "model", "series")
MAY_DIFFER = ("data.root", "data.manifest", "data.max_bad_share")
FEW_CLIPS = 5_000  # up to here model.closed_form: auto is on


@dataclass(frozen=True)
class Begun:
    """What is settled before the features are read. before: SHA-256 by path, as a run that is
    resumed began with.
    """

    run: RunFolder
    split: Split
    classes: tuple[str, ...]
    long: Sequence[LongVideo]
    before: Mapping[str, str] | None = None


def train(config: Config, reporter: Reporter) -> RunFolder:
    """Extract and train; the run's folder. The test split, if there is one, is not touched."""
    # A device that is not there is refused before any work.
    processes = join_processes(pick_device(config.training.device))
    if processes.count > 1 and config.features.cache_dir.lower().startswith("memory://"):
        raise ConfigError(
            f"features.cache_dir: {config.features.cache_dir} is the memory of one process, and "
            f"{processes.count} train; take a folder that all of them see, or s3://"
        )
    begun = processes.first(lambda: _begin(config))
    try:
        return _train_into(begun, config, reporter, processes)
    except BaseException:
        if processes.is_first:
            begun.run.discard_if_empty()  # a run that never began must not take the name
        raise
    finally:
        begun.run.release()


def _begin(config: Config) -> Begun:
    data = config.data
    clips = read_clips(config)
    classes = class_list(clips, config.classes)
    split = split_clips(
        clips, data.split, data.test_share, data.val_share, data.split_seed, data.allow_leakage
    )
    assert data.manifest is not None
    long = read_long_videos(data.manifest, data.root, classes) if data.is_video else []
    check_background(config, classes)
    if not data.allow_leakage:
        check_long_videos(long, split.train)
    return Begun(RunFolder.create(config), split, classes, long)


def resume(folder: Path, reporter: Reporter, overrides: Sequence[str] = ()) -> RunFolder:
    """Go on with a run that was interrupted, from its last whole epoch, to the same result.

    overrides: other settings from here on, which the run's config.yaml then has; of the data and
    the model they must be the same.
    """
    config = _resumed_config(RunFolder.open(folder), overrides)
    processes = join_processes(pick_device(config.training.device))
    begun = processes.first(lambda: _begin_again(RunFolder.open(folder), config))
    try:
        return _train_into(begun, config, reporter, processes)
    finally:
        begun.run.release()


def _resumed_config(run: RunFolder, overrides: Sequence[str]) -> Config:
    """The run's config with overrides. Raises CheckpointError for one that makes it another run."""
    own, config = run.config(), run.config(overrides)
    before, after = own.to_tree(), config.to_tree()
    for section in FIXED:
        for key, value in before[section].items():
            if after[section][key] != value and f"{section}.{key}" not in MAY_DIFFER:
                raise CheckpointError(
                    f"{section}.{key} is {value!r} in {run.path}, and can't become "
                    f"{after[section][key]!r} half-way; train a new run instead of resuming"
                )
    return config


def _begin_again(run: RunFolder, config: Config) -> Begun:
    run.hold()
    try:
        return _found_again(run, config)
    except BaseException:
        run.release()
        raise


def _found_again(run: RunFolder, config: Config) -> Begun:
    if not run.clips.is_file():
        raise CheckpointError(
            f"{run.path} was stopped before training began; there is nothing to resume, "
            "and 'action-gru train' with its config.yaml starts it again (features are cached)"
        )
    clips = read_run_clips(run, config)
    before = {row["path"]: row["sha256"] for row in run.rows()}
    is_video = config.data.is_video
    long = read_long_videos(run.clips, own_root(config)) if is_video else []
    split = split_clips(clips, "column", allow_leakage=config.data.allow_leakage)
    classes = class_list(clips, config.classes)
    return Begun(run, split, classes, long, before)


def _train_into(
    begun: Begun, config: Config, reporter: Reporter, processes: Processes
) -> RunFolder:
    """One process alone extracts and writes into the run's folder."""
    with begun.run.naming_interrupts():
        data = _read_data(begun, config, reporter, processes)
        run = begun.run if processes.is_first else None
        model = fit_model(config, data, reporter, run)
        _calibrate(run, config, data, model, reporter)
        if config.training.mean_pooled_baseline and config.model.cell != "none":
            fit_model(mean_pooled(config), data, reporter, run, baseline=True)
        if processes.is_first:
            _summarise(begun.run, data, reporter)
    return begun.run


def _summarise(run: RunFolder, data: TrainingData, reporter: Reporter) -> None:
    report, is_video = data.table.report, not data.table.missing
    progress = load_checkpoint(run.last).progress
    epochs = {"epochs": int(progress["epoch"]), "best_epoch": int(progress["best_epoch"])}
    run.write_summary(report.counts() | epochs)
    text = f"summary: {report.sentence('frames decoded' if is_video else 'rows')}; "
    text += f"{epochs['epochs']} epochs"
    if data.split.val:  # else the last one counts, and none was chosen
        text += f", the best was {epochs['best_epoch']}"
    reporter.say(text, summary=run.summary())


def _read_data(
    begun: Begun, config: Config, reporter: Reporter, processes: Processes
) -> TrainingData:
    """The clips with their features, extracted by the first process and read by all."""
    split, made = begun.split, list[FeatureTable]()

    def extract() -> tuple[Any, ExtractionReport]:
        table = data_source(config).features(split.clips, reporter, begun.run.path)
        _check_same(begun, table)
        _check_usable(TrainingData(split, begun.classes, table))
        begun.run.write_clips(split.clips, table.report.content, begun.long)
        made.append(table)
        return table.specs, table.report

    specs, report = processes.first(extract)
    if not made and config.data.is_video:
        made.append(read_features(config, split.clips, report, specs))
    elif not made:  # measured values are read again sooner than sent
        made.append(data_source(config).features(split.clips, reporter))
    return TrainingData(split, begun.classes, made[0])


def _check_same(begun: Begun, table: FeatureTable) -> None:
    for clip in begun.split.clips if begun.before else ():
        assert begun.before is not None
        if begun.before[clip.relative] != table.report.content.get(clip.name, ""):
            raise CheckpointError(
                f"{clip.path} is another video than when run {begun.run.path} began; "
                "train a new run instead of resuming"
            )


def _calibrate(
    run: RunFolder | None,
    config: Config,
    data: TrainingData,
    model: ActionClassifier,
    reporter: Reporter,
) -> None:
    """Write what left-out clips say of the scores into the run's best checkpoint."""
    found = calibrate_model(
        config,
        data,
        model,
        lambda inner: fit_model(config, inner, reporter, title="calibrate"),
        reporter,
    )
    if found is None or run is None:
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
    title: str = "train",
) -> ActionClassifier:
    """Train one model; with a run folder its checkpoints, log and curves are kept there.

    Of several processes all fit the same model, and the first alone has a run folder.
    """
    torch.manual_seed(config.training.seed)
    arguments = model_arguments(config, data)
    train_set = data.sequences("train")
    assert train_set is not None
    val_set = data.sequences("val")
    trainer = Trainer(
        ActionClassifier(**arguments),
        train_set,
        val_set,
        config.training,
        config.sampling.max_frames,
        config.training.seed,
        inner_folds(data.part("train"), config.data.allow_leakage),
    )
    usual_frames = train_set.usual_length(config.sampling.max_frames)
    keeper = Keeper(config, data, arguments, run, baseline, usual_frames)
    keeper.take_up(trainer)
    left = trainer.epochs - trainer.progress.epoch
    with reporter.bar("baseline" if baseline else title, left) as advance:

        def after_epoch(trainer: Trainer, row: dict[str, float]) -> None:
            keeper.keep(trainer)
            advance(note=_note(row, train_set, val_set))

        trainer.fit(after_epoch)
    keeper.finish(trainer)
    return keeper.best_model(trainer)


def model_arguments(config: Config, data: TrainingData) -> dict[str, Any]:
    """The flat arguments of ActionClassifier that a config and its data give."""
    arguments = {
        "view_dims": [spec.dim for spec in data.table.specs],
        "num_classes": len(data.classes),
        **config.model.model_dump(),
        "closed_form": closed_form(config, len(data.part("train"))),
    }
    if config.model.normalisation == "auto":
        arguments["normalisation"] = config.data.traits.normalisation
    if not config.data.is_video:
        arguments["flag_missing"] = data.table.missing_values(data.part("train"))[0] > 0
    return arguments


def closed_form(config: Config, clips: int) -> bool:
    """Does a linear classifier stand beside the cells, with so many training clips?"""
    if config.model.closed_form == "auto":
        return config.data.is_video and clips <= FEW_CLIPS
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
            f"every training clip of {name_some(lost)} is in quarantine; mend those files "
            "(quarantine.csv names the reasons) or drop the class"
        )


def _note(row: dict[str, float], train: SequenceSet, val: SequenceSet | None) -> str:
    """How often the newest answers are right, and of which clips they are."""
    if val is None:
        return f"acc {row['accuracy']:.2f} ({_count(train, 'training ')})"
    return f"val acc {row['val_accuracy']:.2f} ({_count(val)})"


def _count(sequences: SequenceSet, kind: str = "") -> str:
    """How many answers an accuracy is of."""
    if sequences.step_labels is None:
        return f"{len(sequences)} {kind}clips"
    return f"{int((sequences.step_labels != NO_LABEL).sum())} {kind}rows"
