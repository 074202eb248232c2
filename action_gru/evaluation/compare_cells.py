"""Trains every cell on the same folds of the user's data, and measures what each costs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from action_gru.config import Config, needs_one_label
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.dataset import check_classes
from action_gru.evaluation.cross_validation import (
    choosing_clips,
    fold_data,
    read_features,
    with_seed,
)
from action_gru.evaluation.evaluator import Evaluator
from action_gru.evaluation.memory_probe import ProbeResult, ProbeSettings, run_probe
from action_gru.model import CELLS, ActionClassifier
from action_gru.report.metrics import (
    FoldSummary,
    Interval,
    best_guess,
    fold_summary,
    group_bootstrap_interval,
    lies_above,
)
from action_gru.training.data import TrainingData
from action_gru.training.fit import closed_form, fit_model, mean_pooled, model_arguments
from action_gru.training.loop import Trainer

REPEATS = 3
EPOCHS = 3  # the first of them warms up and is not counted
STEPS, WARM_STEPS = 200, 20


@dataclass(frozen=True)
class CellFigures:
    """One cell, or none. right (S, N): by seed, whether each held-out clip was right.

    epoch_s: one pass over all clips while training, median of several. step_ms: one frame of one
    stream, median; None for a model that cannot run live.
    """

    key: str
    cell_parameters: int
    parameters: int
    epoch_s: float
    step_ms: float | None
    right: NDArray[np.bool_]

    def top1(self) -> FoldSummary:
        """Top-1 over all held-out clips of a seed; mean and spread over the seeds."""
        return fold_summary(self.right.mean(1).tolist())


@dataclass(frozen=True)
class CellComparison:
    """All cells on one data set, and the probe if it was run. groups (N,): of the clips."""

    data: str
    groups: tuple[str, ...]
    folds: int
    seeds: tuple[int, ...]
    majority: float
    closed_form: bool
    cells: tuple[CellFigures, ...]
    probe_settings: ProbeSettings | None = None
    probe: tuple[ProbeResult, ...] = ()
    quarantined: Mapping[str, str] = field(default_factory=dict)

    def cell(self, key: str) -> CellFigures:
        return next(cell for cell in self.cells if cell.key == key)

    def probed(self, key: str) -> ProbeResult:
        return next(result for result in self.probe if result.cell == key)

    def difference(self, key: str, other: str) -> tuple[float, Interval | None]:
        """How much more accurate `key` is than `other`: mean and 95% interval.

        Both saw the same splits, so clips are compared one by one, averaged over the seeds; the
        interval draws whole groups again. None where there is one group only.
        """
        gain = self.cell(key).right.mean(0) - self.cell(other).right.mean(0)
        return float(gain.mean()), group_bootstrap_interval(gain, self.groups, 0, (-0.5, 0.5))

    def beats_guessing(self, key: str) -> bool:
        """Whether a cell is better than the most frequent class, by more than chance."""
        right = self.cell(key).right.mean(0)
        return lies_above(group_bootstrap_interval(right, self.groups, 0), self.majority)


def compare_cells(
    config: Config,
    folds: int,
    seeds: int,
    reporter: Reporter,
    folder: Path,
    probe: ProbeSettings | None = None,
) -> CellComparison:
    """Grouped folds x seeds x cells; quarantine.csv goes to folder.

    As in cross-validation, clips of the split test are left out: choosing a cell is choosing
    between models. model.closed_form: auto is off here, because it makes the cells' scores more
    alike. probe: None leaves the long-memory probe out.
    """
    needs_one_label(config, "comparing cells")
    if config.model.closed_form == "auto":
        bare = config.model.model_copy(update={"closed_form": False})
        config = config.model_copy(update={"model": bare})
    data = read_features(config, *choosing_clips(config, folds), reporter, folder)
    clips, chosen = data.split.train, variants(config)
    seed_range = range(config.training.seed, config.training.seed + seeds)
    right = {key: np.zeros((seeds, len(clips)), dtype=np.bool_) for key in chosen}
    with reporter.bar("train", seeds * folds * len(chosen)) as advance:
        for row, seed in enumerate(seed_range):
            for held, part in fold_data(data, folds, seed, reporter, f"seed {seed}"):
                check_classes(part.split)
                for key, variant in chosen.items():
                    right[key][row, held] = _is_right(with_seed(variant, seed), part)
                    advance(note=key)
    reporter.info("timing epochs and steps")
    figures = _figures(chosen, data, right)
    results: list[ProbeResult] = []
    if probe is not None:
        with reporter.bar("probe", len(probe.cells) * len(probe.lags)) as advance:
            results = run_probe(probe, lambda note: advance(note=note))
    return CellComparison(
        data=f"{config.data.manifest}: {counted(len(clips), 'clip')}, {folds} folds, "
        f"{counted(seeds, 'seed')}",
        groups=tuple(clip.group for clip in clips),
        folds=folds,
        seeds=tuple(seed_range),
        majority=best_guess([clip.label for clip in clips]),
        closed_form=closed_form(config, len(clips) * (folds - 1) // folds),
        cells=figures,
        probe_settings=probe,
        probe=tuple(results),
        quarantined=data.table.report.quarantined,
    )


def variants(config: Config) -> dict[str, Config]:
    """The config once for each of CELLS, a GRU both ways, a transformer, and none of them.

    All else is as it was.
    """

    def having(cell: str, bidirectional: bool = False, **changes: str) -> Config:
        update = {"cell": cell, "bidirectional": bidirectional, **changes}
        return config.model_copy(update={"model": config.model.model_copy(update=update)})

    others = {"bigru": having("gru", True), "transformer": having("none", pooling="transformer")}
    return {cell: having(cell) for cell in CELLS} | others | {"none": mean_pooled(config)}


def _is_right(config: Config, data: TrainingData) -> NDArray[np.bool_]:
    """Train on one fold's training part; which of its test clips are right, (N,)."""
    model, test = fit_model(config, data, Reporter(quiet=True)), data.sequences("test")
    assert test is not None
    evaluator = Evaluator(model, config, data.classes, config.sampling.max_frames)
    return evaluator.is_right(test) > 0


def _figures(
    chosen: Mapping[str, Config], data: TrainingData, right: Mapping[str, NDArray[np.bool_]]
) -> tuple[CellFigures, ...]:
    def build(key: str) -> ActionClassifier:
        # The closed-form classifier is not trained in epochs: it would only blur the times.
        arguments = model_arguments(chosen[key], data) | {"closed_form": False}
        return ActionClassifier(**arguments)

    epochs = _epoch_seconds(chosen, build, data)
    models = {key: build(key) for key in chosen}
    frame = torch.zeros(1, sum(spec.dim for spec in data.table.specs))
    steps = step_milliseconds(models, frame)
    return tuple(
        CellFigures(key, *parameter_count(model), epochs[key], steps[key], right[key])
        for key, model in models.items()
    )


def parameter_count(model: ActionClassifier) -> tuple[int, int]:
    """Parameters of the cells alone, and of the whole model."""
    named = [(name, tensor.numel()) for name, tensor in model.named_parameters()]
    return sum(n for name, n in named if ".cell." in name), sum(n for _, n in named)


def _epoch_seconds(
    chosen: Mapping[str, Config], build: Callable[[str], ActionClassifier], data: TrainingData
) -> dict[str, float]:
    """Seconds of one training epoch over all clips, by model; median of several.

    Measured in turns, so that a busy moment of the machine hits all cells alike.
    """
    sequences = data.sequences("train")
    assert sequences is not None
    taken: dict[str, list[float]] = {key: [] for key in chosen}
    for key, config in list(chosen.items()) * REPEATS:
        short = config.training.model_copy(update={"epochs": EPOCHS, "early_stop_patience": 0})
        frames, marks_s = config.sampling.max_frames, list[float]()
        trainer = Trainer(build(key), sequences, None, short, frames, short.seed)
        trainer.fit(lambda trainer, row, marks_s=marks_s: marks_s.append(time.perf_counter()))  # type: ignore[misc]
        taken[key] += [later - earlier for earlier, later in itertools.pairwise(marks_s)]
    return {key: median(values) for key, values in taken.items()}


def step_milliseconds(
    models: Mapping[str, ActionClassifier], frame: Tensor
) -> dict[str, float | None]:
    """Milliseconds of one step of one stream, by model; median of many, in turns.

    frame (1, D). None for a model that cannot run live.
    """
    live = {key: model.eval() for key, model in models.items() if model.can_stream}
    taken: dict[str, list[float]] = {key: [] for key in live}
    states = {key: model.initial_state(1) for key, model in live.items()}
    with torch.inference_mode():
        for _ in range(WARM_STEPS + STEPS):
            for key, model in live.items():
                began = time.perf_counter()
                _, states[key] = model.step(frame, states[key])
                taken[key].append(1000 * (time.perf_counter() - began))
    return {key: median(taken[key][WARM_STEPS:]) if key in live else None for key in models}
