"""The config's table to measured clips: files, labels, a class for each row. Knows no arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from action_gru.channels import ChannelValues
from action_gru.config import Config
from action_gru.dataset import Clip
from action_gru.dataset.manifest import SPLITS
from action_gru.dataset.splits import split_of_name
from action_gru.errors import DataError
from action_gru.measured.clips import MeasuredClip, cut
from action_gru.recordings import (
    LongColumns,
    Recording,
    Recordings,
    merge,
    read_long_table,
    read_ts,
)
from action_gru.recordings.recording import only

LATER, SOON = "later", "soon"
READERS: dict[str, Callable[[Path, LongColumns], Recordings]] = {
    ".csv": read_long_table,
    ".tsv": read_long_table,
    ".tab": read_long_table,
    ".txt": read_long_table,
    ".parquet": read_long_table,
    ".pq": read_long_table,
    ".ts": lambda path, columns: read_ts(path),
}


def table_clips(config: Config, path: Path | None) -> list[MeasuredClip]:
    """Every id of a table, or its windows."""
    assert path is not None
    window, stride = config.series.window, config.series.stride
    wholes = [_whole_clip(config, item, path) for item in read_table(config, path).items]
    return [part for whole in wholes for part in cut(whole, window, stride)]


def read_table(config: Config, path: Path | None) -> Recordings:
    """What the files of a table hold."""
    assert path is not None
    if not path.exists():
        raise DataError(f"no table at {path} (looked up as {path.absolute()})")
    files = tuple((file, file.stat().st_mtime_ns) for file in table_files(path))
    return _read_files(files, long_columns(config))


def long_columns(config: Config) -> LongColumns:
    """How the columns of the config's tables are called."""
    s = config.series
    return LongColumns(s.id, s.time, s.label, s.group, s.split, s.remaining, s.channels)


def table_files(path: Path) -> list[Path]:
    """The files of a table: itself, or a folder's X_TRAIN.ts and X_TEST.ts.

    The archive's padded variants, `_eq_`, are left aside. Raises DataError.
    """
    if not path.is_dir():
        return [path]
    files = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() == ".ts" and split_of_name(file.stem) and "_eq_" not in file.name
    )
    files.sort(key=lambda file: SPLITS.index(split_of_name(file.stem)))
    splits = [split_of_name(file.stem) for file in files]
    if "train" not in splits or len(set(splits)) < len(splits):
        found = ", ".join(file.name for file in files) or "none"
        raise DataError(
            f"{path}: a folder needs one file X_TRAIN.ts, and may have one X_TEST.ts, got {found}; "
            "name the file itself in data.manifest"
        )
    return files


@lru_cache(maxsize=2)
def _read_files(files: tuple[tuple[Path, int], ...], columns: LongColumns) -> Recordings:
    """Several stages ask for the same files; the times of their last change are part of the key."""
    parts = []
    for file, _ in files:
        reader = READERS.get(file.suffix.lower())
        if reader is None:
            raise DataError(
                f"{file}: a table is one of {', '.join(READERS)}; got '{file.suffix}': save it as "
                "CSV"
            )
        found = reader(file, columns)
        named = split_of_name(file.stem) if file.suffix.lower() == ".ts" else ""
        items = tuple(replace(item, split=item.split or named) for item in found.items)
        parts.append((file.name, replace(found, items=items)))
    return merge(parts)


def _whole_clip(config: Config, item: Recording, path: Path) -> MeasuredClip:
    step_labels = _step_labels(config, item, path)
    if step_labels:
        label = step_labels[-1]
    else:
        label = only(
            item.labels,
            f"{path}: id '{item.id}' has several labels (set series.step_labels=true if each row "
            "has its own)",
        )
    if not label:
        raise DataError(f"{path}: id '{item.id}' has no label; {_how_to_label(path)}")
    split = _known_split(item, path)
    clip = Clip(path / item.id, item.id, label, item.group or item.id, split)
    content = hashlib.sha256(item.values.tobytes()).hexdigest()
    rows = ChannelValues(item.values, item.times)
    return MeasuredClip(
        replace(clip, shows=tuple(sorted(set(step_labels)))),
        rows,
        content,
        step_labels,
        item.remaining,
    )


def _how_to_label(path: Path) -> str:
    if path.is_dir() or path.suffix.lower() == ".ts":
        return (
            "the header needs '@classLabel true' with the names of the classes, and each case its "
            "class after the last ':'"
        )
    return (
        "name the column in series.label, or say series.horizon where a column tells how long it "
        "lasts"
    )


def _known_split(item: Recording, path: Path) -> str:
    split = {"valid": "val", "validation": "val"}.get(item.split.lower(), item.split.lower())
    if split not in ("", "train", "val", "test"):
        raise DataError(
            f"{path}: id '{item.id}': split is train, val, test or empty, got '{item.split}'"
        )
    return split


def _step_labels(config: Config, item: Recording, path: Path) -> tuple[str, ...]:
    series = config.series
    if series.horizon is not None:
        if item.remaining is None:
            raise DataError(
                f"{path}: no column '{series.remaining}' (series.remaining), which says how long "
                "each id still lasts after the row; series.horizon needs it"
            )
        return tuple(SOON if left <= series.horizon else LATER for left in item.remaining)
    if not series.step_labels:
        return ()
    labels = item.labels if len(item.labels) == len(item.times) else item.labels * len(item.times)
    if not labels or not all(labels):
        raise DataError(f"{path}: id '{item.id}': a row has no label (series.step_labels)")
    return labels
