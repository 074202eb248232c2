"""From a config to a trained, evaluated run: the stages in the order they happen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from action_gru.config import Config
from action_gru.core.errors import CheckpointError, ConfigError, DataError
from action_gru.core.machine import pick_device
from action_gru.core.progress import Reporter
from action_gru.core.text import counted, name_some
from action_gru.dataset import (
    Clip,
    LongVideo,
    Split,
    check_long_videos,
    class_list,
    read_long_videos,
    split_clips,
)
from action_gru.features import ExtractionReport
from action_gru.features.sequences import FeatureTable
from action_gru.features.source import data_source, people_hint, read_features
from action_gru.model import ActionClassifier
from action_gru.training.calibrate import calibrate_model, parts_left_out
from action_gru.training.checkpoint import load_checkpoint, save_checkpoint
from action_gru.training.data import TrainingData, own_root, read_clips, read_run_clips
from action_gru.training.document import check_background
from action_gru.training.fit import (
    Watch,
    fit_model,
    fit_together,
    mean_pooled,
    model_arguments,
    trains_together,
)
from action_gru.training.processes import Processes, join_processes
from action_gru.training.refit import refit_ahead, write_final
from action_gru.training.run_folder import RunFolder
from action_gru.training.tracking import check_tracker

# What identifies a run; its checkpoint identifies the features. A data set may have moved: which
# clips it holds is compared.
FIXED = ("run", "data", "sampling", "model", "series")
MAY_DIFFER = ("data.root", "data.manifest", "data.max_bad_share")


@dataclass(frozen=True)
class RunPlan:
    """What is known before the features are read.

    content: SHA-256 of each file by path when a resumed run began; None for a new run.
    """

    run: RunFolder
    config: Config
    split: Split
    classes: tuple[str, ...]
    long: Sequence[LongVideo]
    content: Mapping[str, str] | None = None


def train(config: Config, reporter: Reporter, watch: Watch | None = None) -> RunFolder:
    """Extract and train; the run's folder. The test split, if there is one, is not touched.

    watch: looks on after each epoch; see `fit_model`.
    """
    # A device that is not there is refused before any work.
    processes = join_processes(pick_device(config.training.device))
    if processes.count > 1 and config.features.cache_dir.lower().startswith("memory://"):
        raise ConfigError(
            f"features.cache_dir: {config.features.cache_dir} is the memory of one process, and "
            f"{processes.count} train; take a folder that all of them see, or s3://"
        )
    plan = processes.first(lambda: _plan_new(config))
    try:
        if processes.is_first and (hint := people_hint(plan.config, plan.split.train)):
            reporter.info(hint)
        return _train_into(plan, plan.config, reporter, processes, watch)
    except BaseException:
        if processes.is_first:
            plan.run.discard_if_empty()  # a run that never began must not take the name
        raise
    finally:
        plan.run.release()


def _plan_new(config: Config) -> RunPlan:
    check_tracker(config)
    data = config.data
    clips = read_clips(config)
    config = _with_background(config, clips)
    if data.split == "auto":  # the run's own clips.csv has a column in either case
        how = "column" if any(clip.split for clip in clips) else "group"
        data = data.model_copy(update={"split": how})
        config = config.model_copy(update={"data": data})
    classes = class_list(clips, config.classes)
    split = split_clips(
        clips, data.split, data.test_share, data.val_share, data.split_seed, data.allow_leakage
    )
    assert data.manifest is not None
    options = data.manifest_options
    long = read_long_videos(data.manifest, data.root, classes, **options) if data.is_video else []
    check_background(config, classes)
    if long and data.task == "frames":
        raise DataError(
            f"{long[0].relative}: with data.task=frames a row has no timeline; write the segments "
            f"of {long[0].timeline} into the manifest, a row each"
        )
    if not data.allow_leakage:
        check_long_videos(long, split.train)
    return RunPlan(RunFolder.create(config), config, split, classes, long)


def _with_background(config: Config, clips: Sequence[Clip]) -> Config:
    """The config, where watched instants without a label have a class that makes no events."""
    known = any(config.nothing in clip.shows for clip in clips if clip.stretches)
    if not known or config.events.background:
        return config
    events = config.events.model_copy(update={"background": (config.nothing,)})
    return config.model_copy(update={"events": events})


def resume(folder: Path, reporter: Reporter, overrides: Sequence[str] = ()) -> RunFolder:
    """Go on with a run that was interrupted, from its last whole epoch, to the same result.

    overrides: other settings from here on, which the run's config.yaml then has; of the data and
    the model they must be the same.
    """
    run = RunFolder.open(folder)
    config = _resumed_config(run, overrides)
    processes = join_processes(pick_device(config.training.device))
    plan = processes.first(lambda: _hold_and_load(run, config))
    try:
        return _train_into(plan, config, reporter, processes)
    finally:
        plan.run.release()


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


def _hold_and_load(run: RunFolder, config: Config) -> RunPlan:
    check_tracker(config)
    run.hold()
    for path in (run.final, run.figures):  # of the training as it was; made again at the end
        path.unlink(missing_ok=True)
    try:
        return _load_resumed(run, config)
    except BaseException:
        run.release()
        raise


def _load_resumed(run: RunFolder, config: Config) -> RunPlan:
    if not run.clips.is_file():
        raise CheckpointError(
            f"{run.path} holds no training that can go on: it was stopped before training began, "
            "or it is a 'cv', which begins anew; run its command again (features are cached)"
        )
    clips = read_run_clips(run, config)
    content = {row["path"]: row["sha256"] for row in run.rows()}
    options, is_video = config.data.manifest_options, config.data.is_video
    long = read_long_videos(run.clips, own_root(config), None, **options) if is_video else []
    split = split_clips(clips, "column", allow_leakage=config.data.allow_leakage)
    classes = class_list(clips, config.classes)
    return RunPlan(run, config, split, classes, long, content)


def _train_into(
    plan: RunPlan,
    config: Config,
    reporter: Reporter,
    processes: Processes,
    watch: Watch | None = None,
) -> RunFolder:
    """One process alone extracts and writes into the run's folder."""
    with plan.run.naming_interrupts():
        data = _read_data(plan, config, reporter, processes)
        run = plan.run if processes.is_first else None
        fits: list[Callable[[Reporter], ActionClassifier]] = [
            lambda to: fit_model(config, data, to, run, watch=watch)
        ]
        parts = parts_left_out(config, data)
        fits += [partial(fit_model, config, part, title="calibrate") for part in parts]
        plain = mean_pooled(config)
        if config.training.mean_pooled_baseline and config.model.cell != "none":
            fits.append(partial(fit_model, plain, data, title="baseline"))
        # In turns it would come last, when the test clips have been scored.
        final = refit_ahead(plan.run, config, data) if trains_together(config) else None
        if final is not None:
            fits.insert(1, partial(fit_model, *final, title="all clips"))
        model, *others = fit_together(fits, config, data, reporter)
        refitted = others.pop(0) if final is not None else None
        _calibrate(run, config, data, model, reporter, others[: len(parts)])
        if run is not None and others[len(parts) :]:
            _write_baseline(run, plain, data, others[-1])
        if final is not None and refitted is not None:
            write_final(plan.run, *final, refitted)
        if processes.is_first:
            _summarise(plan.run, data, reporter)
    return plan.run


def _write_baseline(
    run: RunFolder, config: Config, data: TrainingData, model: ActionClassifier
) -> None:
    checkpoint = replace(
        load_checkpoint(run.best),
        weights=model.state_dict(),
        model=model_arguments(config, data),
        config=config.to_tree(),
        calibration=None,
    )
    save_checkpoint(checkpoint, run.baseline)


def _summarise(run: RunFolder, data: TrainingData, reporter: Reporter) -> None:
    report, is_video = data.table.report, not data.table.missing
    progress = load_checkpoint(run.last).progress
    epochs = {"epochs": int(progress["epoch"]), "best_epoch": int(progress["best_epoch"])}
    run.write_summary(report.counts() | epochs)
    text = f"summary: {report.sentence('frames decoded' if is_video else 'rows')}; "
    text += counted(epochs["epochs"], "epoch")
    if data.split.val:  # else the last one counts, and none was chosen
        text += f", the best was {epochs['best_epoch']}"
    reporter.info(text, summary=run.summary())


def _read_data(
    plan: RunPlan, config: Config, reporter: Reporter, processes: Processes
) -> TrainingData:
    """The clips with their features, extracted by the first process and read by all."""
    split, made = plan.split, list[FeatureTable]()

    def extract() -> tuple[Any, ExtractionReport]:
        table = data_source(config).features(split.clips, reporter, plan.run.path)
        _check_same(plan, table)
        _check_usable(TrainingData(split, plan.classes, table))
        plan.run.write_clips(split.clips, table.report.content, plan.long)
        made.append(table)
        return table.specs, table.report

    specs, report = processes.first(extract)
    if not made and config.data.is_video:
        made.append(read_features(config, split.clips, report, specs))
    elif not made:  # measured values are read again sooner than sent
        made.append(data_source(config).features(split.clips, reporter))
    return TrainingData(split, plan.classes, made[0])


def _check_same(plan: RunPlan, table: FeatureTable) -> None:
    if plan.content is None:
        return
    for clip in plan.split.clips:
        if plan.content[clip.relative] != table.report.content.get(clip.name, ""):
            raise CheckpointError(
                f"{clip.path} is another video than when run {plan.run.path} began; "
                "train a new run instead of resuming"
            )


def _calibrate(
    run: RunFolder | None,
    config: Config,
    data: TrainingData,
    model: ActionClassifier,
    reporter: Reporter,
    fitted: Sequence[ActionClassifier],
) -> None:
    """Write what left-out clips say of the scores into the run's best checkpoint."""
    found = calibrate_model(config, data, model, reporter, fitted)
    if found is None or run is None:
        return
    save_checkpoint(replace(load_checkpoint(run.best), calibration=found), run.best)
    shortfall = found.shortfall(config.calibration.precision)
    if shortfall is not None:
        reporter.info(shortfall)


def _check_usable(data: TrainingData) -> None:
    left = {label for clip in data.part("train") for label in clip.labels}
    lost = sorted({label for clip in data.split.train for label in clip.labels} - left)
    if lost:
        raise DataError(
            f"every training clip of {name_some(lost)} is in quarantine; mend those files "
            "(quarantine.csv names the reasons) or drop the class"
        )
