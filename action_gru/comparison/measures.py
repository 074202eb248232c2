"""What a cell costs: parameters, bytes, seconds an epoch, milliseconds a step.

Times are taken in turns, so that a busy moment of the machine hits all cells alike. Knows no
accuracy.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import nn

from action_gru.config.learning import TrainingSection
from action_gru.dataset import SequenceSet
from action_gru.model import ActionClassifier, RecurrentBranch
from action_gru.training.loop import Trainer

REPEATS = 3
EPOCHS = 3  # the first of them warms up and is not counted
STEPS, WARM_STEPS = 200, 20


def parameter_count(model: ActionClassifier) -> tuple[int, int]:
    """Parameters of the cells alone, and of the whole model."""
    inside = sum(p.numel() for cell in _cells(model) for p in cell.parameters())
    return inside, sum(p.numel() for p in model.parameters())


def byte_count(model: ActionClassifier) -> tuple[int, int]:
    """Bytes of the cells' parameters alone, and of the whole model's."""
    return _bytes(*_cells(model)), _bytes(model)


def _cells(model: ActionClassifier) -> list[nn.Module]:
    streams = [stream for stream in model.streams if isinstance(stream, RecurrentBranch)]
    return [stream.cell for stream in streams if stream.cell is not None]


def _bytes(*modules: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for one in modules for p in one.parameters())


def epoch_seconds(
    builders: Mapping[str, Callable[[], ActionClassifier]],
    sequences: SequenceSet,
    settings: TrainingSection,
    max_frames: int,
) -> dict[str, float]:
    """Seconds of one training epoch over the sequences, by model; median of several, in turns."""
    short = settings.model_copy(update={"epochs": EPOCHS, "early_stop_patience": 0})
    taken: dict[str, list[float]] = {key: [] for key in builders}
    for _ in range(REPEATS):
        for key, build in builders.items():
            marks: list[float] = []
            trainer = Trainer(build(), sequences, None, short, max_frames, settings.seed)
            trainer.fit(lambda trainer, row, marks=marks: marks.append(time.perf_counter()))  # type: ignore[misc]
            taken[key] += [later - earlier for earlier, later in itertools.pairwise(marks)]
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
