"""Trains every cell on the same folds of the user's data, and measures what each costs."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.config import Config
from action_gru.config.learning import TrainingSection
from action_gru.core.errors import DataError
from action_gru.core.progress import Reporter
from action_gru.dataset import Split, check_classes, class_list, grouped_folds, merge_groups
from action_gru.evaluation.cell_findings import CellComparison, CellFigures
from action_gru.evaluation.cross_validation import split_of_fold
from action_gru.evaluation.memory_probe import ProbeSettings, run_probe
from action_gru.features.sequences import SequenceSet
from action_gru.features.source import data_source
from action_gru.model import CELLS, ActionClassifier
from action_gru.training.data import TrainingData, read_clips
from action_gru.training.fit import closed_form, fit_model, mean_pooled, model_arguments
from action_gru.training.loop import Trainer
from action_gru.training.scoring import score_clips

REPEATS = 3
EPOCHS = 3  # the first of them warms up and is not counted
STEPS, WARM_STEPS = 200, 20


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
    data = TrainingData(Split(train=tuple(usable)), classes, table)
    chosen = variants(config)
    seed_range = range(config.training.seed, config.training.seed + seeds)
    right = _held_out(chosen, data, folds, seed_range, reporter)
    reporter.say("timing epochs and steps")
    figures = _figures(chosen, data, right)
    results = []
    if probe is not None:
        with reporter.bar("probe", len(probe.cells) * len(probe.lags)) as advance:
            results = run_probe(probe, lambda note: advance(note=note))
    labels = [clip.label for clip in usable]
    return CellComparison(
        data=f"{config.data.manifest}: {len(usable)} clips, {folds} folds, {seeds} seeds",
        groups=tuple(clip.group for clip in usable),
        folds=folds,
        seeds=tuple(seed_range),
        majority=max(labels.count(label) for label in classes) / len(labels),
        closed_form=closed_form(config, len(usable) * (folds - 1) // folds),
        cells=figures,
        probe_settings=probe,
        probe=tuple(results),
        quarantined=table.report.quarantined,
    )


def _held_out(
    chosen: dict[str, Config],
    data: TrainingData,
    folds: int,
    seeds: Sequence[int],
    reporter: Reporter,
) -> dict[str, NDArray[np.bool_]]:
    """By cell, whether each clip was named right by the model blind to its group: (S, N)."""
    clips = data.split.train
    right = {key: np.zeros((len(seeds), len(clips)), dtype=np.bool_) for key in chosen}
    with reporter.bar("train", len(seeds) * folds * len(chosen)) as advance:
        for row, seed in enumerate(seeds):
            part_of = grouped_folds(clips, folds, seed)
            for fold in range(folds):
                reporter.say(f"seed {seed}, fold {fold + 1} of {folds}")
                split = split_of_fold(clips, part_of, fold)
                check_classes(split)
                inside = [index for index, part in enumerate(part_of) if part == fold]
                for key, config in chosen.items():
                    right[key][row, inside] = _fold(config, replace(data, split=split), seed)
                    advance(note=key)
    return right


def _fold(config: Config, data: TrainingData, seed: int) -> NDArray[np.bool_]:
    """Train on one fold's training part; which of its test clips are named right, (N,)."""
    settings = config.training.model_copy(update={"seed": seed})
    seeded = config.model_copy(update={"training": settings})
    model = fit_model(seeded, data, Reporter(quiet=True))
    test = data.sequences("test")
    assert test is not None
    scores = score_clips(model, test, config.sampling.max_frames, flip=config.features.flip)
    return np.asarray((scores.argmax(1) == test.labels).numpy())


def _figures(
    chosen: dict[str, Config], data: TrainingData, right: Mapping[str, NDArray[np.bool_]]
) -> tuple[CellFigures, ...]:
    sequences = data.sequences("train")
    assert sequences is not None

    def build(key: str) -> ActionClassifier:
        # The closed-form classifier is not trained in epochs: it would only blur the times.
        arguments = model_arguments(chosen[key], data) | {"closed_form": False}
        return ActionClassifier(**arguments)

    config = next(iter(chosen.values()))
    epochs = epoch_seconds(chosen, build, sequences, config.training, config.sampling.max_frames)
    models = {key: build(key) for key in chosen}
    steps = step_milliseconds(models, torch.zeros(1, sequences.dim))
    return tuple(
        CellFigures(key, *parameter_count(model), epochs[key], steps[key], right[key])
        for key, model in models.items()
    )


def parameter_count(model: ActionClassifier) -> tuple[int, int]:
    """Parameters of the cells alone, and of the whole model."""
    named = [(name, tensor.numel()) for name, tensor in model.named_parameters()]
    return sum(n for name, n in named if ".cell." in name), sum(n for _, n in named)


def epoch_seconds(
    keys: Sequence[str] | Mapping[str, object],
    build: Callable[[str], ActionClassifier],
    sequences: SequenceSet,
    settings: TrainingSection,
    max_frames: int,
) -> dict[str, float]:
    """Seconds of one training epoch over the sequences, by model; median of several.

    Taken in turns, so that a busy moment of the machine hits all cells alike.
    """
    short = settings.model_copy(update={"epochs": EPOCHS, "early_stop_patience": 0})
    taken: dict[str, list[float]] = {key: [] for key in keys}
    for _ in range(REPEATS):
        for key, times_s in taken.items():
            marks: list[float] = []
            trainer = Trainer(build(key), sequences, None, short, max_frames, settings.seed)
            trainer.fit(lambda trainer, row, marks=marks: marks.append(time.perf_counter()))  # type: ignore[misc]
            times_s += [later - earlier for earlier, later in itertools.pairwise(marks)]
    return {key: statistics.median(values) for key, values in taken.items()}


def step_milliseconds(
    models: Mapping[str, ActionClassifier], frame: torch.Tensor
) -> dict[str, float | None]:
    """Milliseconds of one step of one stream, by model; median of many, in turns.

    frame (1, D). None for a model that cannot run live.
    """
    live = {key: model.eval() for key, model in models.items() if model.can_stream}
    taken: dict[str, list[float]] = {key: [] for key in live}
    states = {key: model.initial_state(1) for key, model in live.items()}
    with torch.inference_mode():
        for number in range(WARM_STEPS + STEPS):
            for key, model in live.items():
                began = time.perf_counter()
                _, states[key] = model.step(frame, states[key])
                if number >= WARM_STEPS:
                    taken[key].append(1000 * (time.perf_counter() - began))
    return {key: statistics.median(taken[key]) if key in live else None for key in models}
