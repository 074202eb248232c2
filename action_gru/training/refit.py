"""Trains the model that is kept on every clip of a run, the test clips included.

More clips make a better model. The score is that of another one, which has not seen the test clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from action_gru.config import Config
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip, Split, data_hash
from action_gru.features.source import data_source
from action_gru.model import ActionClassifier
from action_gru.training.checkpoint import load_checkpoint, save_checkpoint
from action_gru.training.data import TrainingData, read_run_clips
from action_gru.training.fit import fit_model, model_arguments
from action_gru.training.run_folder import RunFolder


def wants_refit(run: RunFolder, config: Config) -> bool:
    """Whether a run's final model is trained on its held-out clips too; see `training.refit`."""
    if config.training.refit != "auto":
        return config.training.refit and any(run.has_split(name) for name in ("val", "test"))
    # Test clips that a manifest names may be kept to compare models by. `train` stores group where
    # data.split was auto and it drew the split.
    return config.data.split == "group" and run.has_split("test")


def is_finished(run: RunFolder, config: Config) -> bool:
    """Whether nothing of a run is left to do: trained, scored on its test clips, refitted."""
    wants_baseline = config.training.mean_pooled_baseline and config.model.cell != "none"
    tested = run.path / "evaluation" / "test" / "report.json"
    return (
        bool(run.summary())
        and (run.baseline.is_file() or not wants_baseline)
        and (tested.is_file() or not run.has_split("test"))
        and (run.final.is_file() or not wants_refit(run, config))
    )


def refit(run: RunFolder, reporter: Reporter) -> None:
    """Write RUN/final.safetensors, unless it was trained beside the others: the run's recipe on all
    of its usable clips, with as many epochs as the best model took.
    """
    if run.final.is_file():
        return
    config, clips = run.config(), read_run_clips(run, run.config())
    # Training has judged the bad clips already.
    table = data_source(config).features(clips, reporter, None, 1.0)
    epochs = int(load_checkpoint(run.last).progress["best_epoch"])
    classes = load_checkpoint(run.best).classes
    recipe, data = _recipe(config, epochs), TrainingData(_all_of(clips), classes, table)
    write_final(run, recipe, data, fit_model(recipe, data, reporter, title="all clips"))


def refit_ahead(
    run: RunFolder, config: Config, data: TrainingData
) -> tuple[Config, TrainingData] | None:
    """What the final model is fitted by and on, where that is known before the best one is trained:
    no validation clips tell after how many epochs it is best.
    """
    section = config.training
    if data.split.val or section.min_steps or not wants_refit(run, config):
        return None
    split = _all_of(read_run_clips(run, config))
    return _recipe(config, section.epochs), replace(data, split=split)


def write_final(
    run: RunFolder, config: Config, data: TrainingData, model: ActionClassifier
) -> None:
    """Keep the final model. Temperature and threshold are those of the model without the held-out
    clips, because no clip is left to find them anew.
    """
    best, usable = load_checkpoint(run.best), data.part("train")
    final = replace(
        best,
        weights=model.state_dict(),
        model=model_arguments(config, data),
        data={**best.data, "hash": data_hash(usable), "clips": {"train": len(usable)}},
    )
    save_checkpoint(final, run.final)


def _recipe(config: Config, epochs: int) -> Config:
    changes = {"epochs": epochs, "min_steps": 0, "early_stop_patience": 0}
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def _all_of(clips: Sequence[Clip]) -> Split:
    return Split(train=tuple(replace(clip, split="train") for clip in clips))
