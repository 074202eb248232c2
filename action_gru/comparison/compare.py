"""Trains every cell on the same folds of the user's data, and measures what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.comparison.measures import (
    byte_count,
    epoch_seconds,
    parameter_count,
    step_milliseconds,
)
from action_gru.comparison.probe import ProbeSettings, run_probe
from action_gru.comparison.result import CellComparison, CellFigures
from action_gru.config import Config
from action_gru.dataset import Clip, Split, check_classes, class_list, grouped_folds, merge_groups
from action_gru.errors import DataError
from action_gru.evaluation.cross_validation import split_of_fold
from action_gru.features import FeatureTable, data_source
from action_gru.model import CELLS, ActionClassifier
from action_gru.progress import Reporter
from action_gru.scoring import score_clips
from action_gru.training.clips import read_clips
from action_gru.training.data import TrainingData
from action_gru.training.run import (
    closed_form,
    fit_model,
    mean_pooled,
    model_arguments,
)

Right = dict[str, NDArray[np.bool_]]


def variants(config: Config) -> dict[str, Config]:
    """The config once for each of CELLS, a GRU both ways, and no cell; all else as it was."""

    def with_cell(cell: str, bidirectional: bool) -> Config:
        update = {"cell": cell, "bidirectional": bidirectional}
        return config.model_copy(update={"model": config.model.model_copy(update=update)})

    one_way = {cell: with_cell(cell, False) for cell in CELLS}
    return one_way | {"bigru": with_cell("gru", True), "none": mean_pooled(config)}


def compare_cells(
    config: Config,
    folds: int,
    seeds: int,
    reporter: Reporter,
    folder: Path,
    probe: ProbeSettings | None = None,
) -> CellComparison:
    """Grouped folds x seeds x cells; quarantine.csv goes to folder.

    As in cross-validation, clips whose split column says test are left out: choosing a cell is
    choosing between models. probe: None leaves the long-memory probe out.
    """
    clips = [replace(clip, split="") for clip in read_clips(config) if clip.split != "test"]
    if not clips:
        raise DataError("every clip is a test clip; a comparison needs others to choose on")
    classes = class_list(clips, config.classes)
    grouped_folds(clips, folds, config.training.seed)  # too few groups are refused before the work
    table = data_source(config).features(clips, reporter, folder)
    usable = table.usable(clips)
    if not config.data.allow_leakage:
        usable = merge_groups(usable, table.report.content)
    first = config.training.seed
    chosen = variants(config)
    right = _held_out(chosen, usable, classes, table, folds, range(first, first + seeds), reporter)
    reporter.say("timing epochs and steps")
    figures = _figures(chosen, usable, classes, table, right)
    results = []
    if probe is not None:
        with reporter.bar("probe", len(probe.cells) * len(probe.lags)) as advance:
            results = run_probe(probe, lambda note: advance(note=note))
    labels = [clip.label for clip in usable]
    return CellComparison(
        data=f"{config.data.manifest}: {len(usable)} clips, {folds} folds, {seeds} seeds",
        groups=tuple(clip.group for clip in usable),
        folds=folds,
        seeds=tuple(range(first, first + seeds)),
        majority=max(labels.count(label) for label in classes) / len(labels),
        closed_form=closed_form(config, len(usable) * (folds - 1) // folds),
        cells=figures,
        probe_settings=probe,
        probe=tuple(results),
        quarantined=table.report.quarantined,
    )


def _held_out(
    chosen: dict[str, Config],
    clips: Sequence[Clip],
    classes: tuple[str, ...],
    table: FeatureTable,
    folds: int,
    seeds: Sequence[int],
    reporter: Reporter,
) -> Right:
    """By cell, whether each clip was named right by the model blind to its group: (S, N)."""
    right = {key: np.zeros((len(seeds), len(clips)), dtype=np.bool_) for key in chosen}
    quiet = Reporter(quiet=True)
    with reporter.bar("train", len(seeds) * folds * len(chosen)) as advance:
        for row, seed in enumerate(seeds):
            part_of = grouped_folds(clips, folds, seed)
            for fold in range(folds):
                reporter.say(f"seed {seed}, fold {fold + 1} of {folds}")
                split = split_of_fold(clips, part_of, fold)
                check_classes(split)
                inside = [index for index, part in enumerate(part_of) if part == fold]
                for key, config in chosen.items():
                    right[key][row, inside] = _fold(config, split, classes, table, seed, quiet)
                    advance(note=key)
    return right


def _fold(
    config: Config,
    split: Split,
    classes: tuple[str, ...],
    table: FeatureTable,
    seed: int,
    reporter: Reporter,
) -> NDArray[np.bool_]:
    """Train on one fold's training part; which of its test clips are named right, (N,)."""
    data = TrainingData(split, classes, table)
    settings = config.training.model_copy(update={"seed": seed})
    model = fit_model(config.model_copy(update={"training": settings}), data, reporter)
    test = data.sequences("test")
    assert test is not None
    scores = score_clips(model, test, config.sampling.max_frames, flip=config.features.flip)
    return np.asarray((scores.argmax(1) == test.labels).numpy())


def _figures(
    chosen: dict[str, Config],
    clips: Sequence[Clip],
    classes: tuple[str, ...],
    table: FeatureTable,
    right: Right,
) -> tuple[CellFigures, ...]:
    data = TrainingData(Split(tuple(clips), (), ()), classes, table)
    sequences = data.sequences("train")
    assert sequences is not None
    config = next(iter(chosen.values()))

    def build(key: str) -> ActionClassifier:
        # The closed-form classifier is not trained in epochs: it would only blur the times.
        arguments = model_arguments(chosen[key], data) | {"closed_form": False}
        return ActionClassifier(**arguments)

    builders = {key: (lambda key=key: build(key)) for key in chosen}
    epochs = epoch_seconds(builders, sequences, config.training, config.sampling.max_frames)
    models = {key: build(key) for key in chosen}
    steps = step_milliseconds(models, torch.zeros(1, sequences.dim))
    return tuple(
        CellFigures(
            key,
            *parameter_count(model),
            *byte_count(model),
            epochs[key],
            steps[key],
            right[key],
        )
        for key, model in models.items()
    )
