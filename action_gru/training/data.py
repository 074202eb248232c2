"""The clips of a training with their features and classes."""

from __future__ import annotations

from dataclasses import dataclass

from action_gru.dataset import Clip, SequenceSet, Split
from action_gru.features import FeatureTable


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
