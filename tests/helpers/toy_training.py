"""A set of sequences that only their order tells apart, and settings to train on it."""

import numpy as np
import torch

from action_gru.config.learning import TrainingSection
from action_gru.features import ClipFeatures
from action_gru.features.sequences import SequenceSet


def toy_set(count: int = 24, steps: int = 8, seed: int = 0, flipped: bool = False) -> SequenceSet:
    """Rising against falling ramps in noise: only the order tells the classes apart."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(-1, 1, steps)[:, None]

    def clip(label: int) -> list[ClipFeatures]:
        values = np.repeat(ramp if label else -ramp, 4, axis=1) + rng.normal(0, 0.1, (steps, 4))
        return [ClipFeatures(values.astype(np.float16), np.arange(steps) / 10)]

    labels = [index % 2 for index in range(count)]
    plain = [clip(label) for label in labels]
    return SequenceSet(plain, labels, [clip(label) for label in labels] if flipped else None)


def settings(**values) -> TrainingSection:
    return TrainingSection(
        **({"epochs": 12, "batch_size": 8, "device": "cpu", "learning_rate": 0.01} | values)
    )


def many_set(count: int = 48, steps: int = 8, seed: int = 0) -> SequenceSet:
    """Two things at once, each drawn by itself: classes falls, rises, low, high (N, 4)."""
    rng = np.random.default_rng(seed)
    rises, high = rng.integers(0, 2, (2, count))
    ramp = np.linspace(-1, 1, steps)[:, None]
    clips = []
    for up, level in zip(rises, high, strict=True):
        columns = np.repeat(ramp if up else -ramp, 2, 1), np.full((steps, 2), 2 * level - 1)
        values = np.concatenate(columns, 1) + rng.normal(0, 0.1, (steps, 4))
        clips.append([ClipFeatures(values.astype(np.float16), np.arange(steps) / 10)])
    targets = np.stack([1 - rises, rises, 1 - high, high], 1).astype(np.int8)
    return SequenceSet(clips, torch.from_numpy(targets))
