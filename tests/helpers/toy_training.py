"""A set of sequences that only their order tells apart, and settings to train on it."""

import numpy as np

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
