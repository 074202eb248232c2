"""The clips of a config and of a finished run, of every kind of data, with their features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from action_gru.config import Config, check_files
from action_gru.core.errors import CheckpointError
from action_gru.dataset import Clip, Split, grouped_folds
from action_gru.dataset.segments import read_labelled
from action_gru.features.sequences import FeatureTable, SequenceSet
from action_gru.features.source import data_source
from action_gru.training.run_folder import RunFolder


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


def inner_folds(clips: Sequence[Clip], divide_groups: bool, most: int = 5) -> list[int]:
    """The part of each training clip, `most` or fewer; whole groups, unless the data is to be
    tested on groups it was trained on.
    """
    if divide_groups or len({clip.group for clip in clips}) < 2:
        clips = [replace(clip, group=clip.name) for clip in clips]
    return grouped_folds(clips, min(most, len({clip.group for clip in clips})), 0)


def read_clips(config: Config) -> list[Clip]:
    """The clips that the config's data section names, checked."""
    check_files(config)
    return data_source(config).clips()


def read_run_clips(
    run: RunFolder, config: Config, root: Path | None = None, classes: Sequence[str] | None = None
) -> list[Clip]:
    """The clips of a run, on the sides where they stood when it was trained."""
    if config.data.is_video:
        root, classes = root or own_root(config), classes or config.data.classes
        return read_labelled(run.clips, root, classes, **config.manifest_options)
    check_files(config)
    found = {clip.name: clip for clip in data_source(config, None, root, classes).clips()}
    clips = []
    for row in run.rows():
        start_s, end_s = (float(row[key]) if row[key] else None for key in ("start_s", "end_s"))
        name = Clip(Path(), row["path"], "", "", "", start_s, end_s).name
        if name not in found:
            raise CheckpointError(
                f"{config.data.manifest}: no longer holds {name}, which run {run.path} used; "
                "bring the data back or train a new run"
            )
        clips.append(replace(found[name], split=row["split"], group=row["group"]))
    return clips


def own_root(config: Config) -> Path | None:
    """Where the paths of a run's own clips start."""
    if config.data.root is None and config.data.manifest is not None:
        return config.data.manifest.parent
    return config.data.root
