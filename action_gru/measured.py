"""The config's `data` and `series` sections to clips and measured values: tables and arrays.

A clip is one id of a table, one case of a `.ts` file, one array, or a window of one of these; its
bounds are in the unit of the time column (rows where there is none). Knows nothing of video.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from action_gru.channels import ChannelSpec, ChannelValues
from action_gru.config import Config
from action_gru.dataset import Clip, class_list, read_manifest
from action_gru.dataset.manifest import SPLITS
from action_gru.dataset.splits import split_of_name
from action_gru.errors import DataError
from action_gru.recordings import (
    LongColumns,
    Recording,
    Recordings,
    merge,
    prepare,
    read_array,
    read_long_table,
    read_ts,
)
from action_gru.recordings.preparing import view_dims
from action_gru.recordings.recording import only

LATER, SOON = "later", "soon"
VIEWS = ("values", "velocity")
READERS: dict[str, Callable[[Path, LongColumns], Recordings]] = {
    ".csv": read_long_table,
    ".parquet": read_long_table,
    ".pq": read_long_table,
    ".ts": lambda path, columns: read_ts(path),
}


@dataclass(frozen=True)
class MeasuredClip:
    """A clip with what was measured. step_labels and remaining have one entry a row, or none."""

    clip: Clip
    rows: ChannelValues
    content: str  # SHA-256 of the whole recording's values
    step_labels: tuple[str, ...] = ()
    remaining: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Measurements:
    """All that is asked for, by clip name, and why some could not be read."""

    specs: tuple[ChannelSpec, ...]
    items: dict[str, MeasuredClip]
    views: dict[str, list[ChannelValues]]
    quarantined: dict[str, str] = field(default_factory=dict)

    def missing(self, names: Sequence[str]) -> tuple[int, int]:
        """(missing values, all values) of some clips."""
        parts = [self.items[name].rows.values for name in names if name in self.items]
        return sum(int(np.isnan(part).sum()) for part in parts), sum(part.size for part in parts)

    def empty_channels(self, names: Sequence[str]) -> list[str]:
        """The channels that have no value in any of some clips."""
        known = np.zeros(len(self.specs[0].channels), dtype=bool)
        for name in names:
            if name in self.items:
                known |= ~np.isnan(self.items[name].rows.values).all(axis=0)
        return [
            c for c, is_known in zip(self.specs[0].channels, known, strict=True) if not is_known
        ]


def read_measured_clips(
    config: Config,
    manifest: Path | None = None,
    root: Path | None = None,
    classes: Sequence[str] | None = None,
) -> list[Clip]:
    """The clips of the config's table or manifest of arrays, or of another one like it.

    Raises DataError for data that cannot be used, ConfigError never.
    """
    if config.data.kind == "arrays":
        path = manifest or config.data.manifest
        assert path is not None
        clips = read_manifest(path, root or config.data.root, classes or config.data.classes)
        return [part for clip in clips for part in _array_windows(config, clip)]
    items = _table_clips(config, manifest or config.data.manifest)
    unknown = sorted({x for i in items for x in i.clip.labels} - set(classes)) if classes else []
    if unknown:
        raise DataError(f"unknown label {', '.join(unknown[:5])}; the classes are {classes}")
    return [item.clip for item in items]


def classes_of(config: Config, clips: Sequence[Clip]) -> tuple[str, ...]:
    """The class list of clips of any kind, in order."""
    if config.series.horizon is not None:
        return class_list(clips, config.data.classes or (LATER, SOON))
    return class_list(clips, config.data.classes)


def measure(config: Config, clips: Sequence[Clip], manifest: Path | None = None) -> Measurements:
    """The values of clips that `read_measured_clips` gave."""
    if config.data.kind == "arrays":
        names: tuple[str, ...] = ()
        items, quarantined = _read_arrays(clips)
        if items:
            width = next(iter(items.values())).rows.values.shape[1]
            names = tuple(f"column_{index}" for index in range(width))
    else:
        found = {
            item.clip.name: item for item in _table_clips(config, manifest or config.data.manifest)
        }
        items = {clip.name: replace(found[clip.name], clip=clip) for clip in clips}
        names, quarantined = _read_table(config, manifest or config.data.manifest).channels, {}
    series = config.series
    views = {
        name: [
            ChannelValues(values, item.rows.times)
            for values in prepare(item.rows.values, series.points, series.velocity)
        ]
        for name, item in items.items()
    }
    return Measurements(specs_of(config, names), items, views, quarantined)


def specs_of(config: Config, channels: tuple[str, ...]) -> tuple[ChannelSpec, ...]:
    """What each view of these channels is, as the `series` section prepares them."""
    series = config.series
    dims = view_dims(len(channels), series.points, series.velocity)
    words = f"points of {series.points}" if series.points else "none"
    return tuple(
        ChannelSpec(view, channels, dim, words) for view, dim in zip(VIEWS, dims, strict=False)
    )


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
    files = sorted(p for p in path.glob("*.ts") if split_of_name(p.stem) and "_eq_" not in p.name)
    files.sort(key=lambda file: SPLITS.index(split_of_name(file.stem)))
    splits = [split_of_name(file.stem) for file in files]
    if "train" not in splits or len(set(splits)) < len(splits):
        found = ", ".join(file.name for file in files) or "none"
        raise DataError(
            f"{path}: a folder needs one file X_TRAIN.ts, and may have one X_TEST.ts, got {found}; "
            "name the file itself in data.manifest"
        )
    return files


def _read_table(config: Config, path: Path | None) -> Recordings:
    assert path is not None
    if not path.exists():
        raise DataError(f"no table at {path} (looked up as {path.absolute()})")
    files = tuple((file, file.stat().st_mtime_ns) for file in table_files(path))
    return _read_files(files, long_columns(config))


@lru_cache(maxsize=2)
def _read_files(files: tuple[tuple[Path, int], ...], columns: LongColumns) -> Recordings:
    """Several stages ask for the same files; the times of their last change are part of the key."""
    parts = []
    for file, _ in files:
        reader = READERS.get(file.suffix.lower())
        if reader is None:
            raise DataError(f"{file}: a table is one of {', '.join(READERS)}; got '{file.suffix}'")
        found = reader(file, columns)
        named = split_of_name(file.stem) if file.suffix.lower() == ".ts" else ""
        items = tuple(replace(item, split=item.split or named) for item in found.items)
        parts.append((file.name, Recordings(found.channels, items)))
    return merge(parts)


def _table_clips(config: Config, path: Path | None) -> list[MeasuredClip]:
    assert path is not None
    recordings = _read_table(config, path)
    return [
        part for item in recordings.items for part in _cut(config, _whole_clip(config, item, path))
    ]


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
        raise DataError(
            f"{path}: id '{item.id}' has no label; name the column in series.label, or say "
            "series.horizon where a column tells how long it lasts"
        )
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


def _cut(config: Config, whole: MeasuredClip) -> list[MeasuredClip]:
    """A recording's windows, or the recording itself where none are asked for."""
    series = config.series
    if series.window is None:
        return [whole]
    stride = series.stride or series.window
    bounds = window_bounds(whole.rows.times, series.window, stride)
    return [stretch(whole, start, end) for start, end in bounds]


def window_bounds(
    times: NDArray[np.float64], window: float, stride: float
) -> list[tuple[float, float]]:
    """[start, end) of the windows of a sequence: one each stride, the last one up to its end.

    times (T,) growing. A sequence shorter than a window gives one. Windows without a row, in a gap,
    are left out. times 0 to 9, window 4, stride 4 -> (0, 4), (4, 8), (6, 10).
    """
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    first, end = float(times[0]), float(times[-1]) + usual
    starts = list(np.arange(first, max(end - window, first) + 1e-9, stride))
    if starts[-1] + window < end - 1e-9:
        starts.append(end - window)
    bounds = [(float(start), float(start + window)) for start in starts]
    return [b for b in bounds if ((times >= b[0]) & (times < b[1])).any()]


def stretch(whole: MeasuredClip, start: float, end: float) -> MeasuredClip:
    """The rows with start <= time < end."""
    inside = (whole.rows.times >= start) & (whole.rows.times < end)
    labels = tuple(x for x, keep in zip(whole.step_labels, inside, strict=False) if keep)
    clip = replace(
        whole.clip,
        start_s=start,
        end_s=end,
        label=labels[-1] if labels else whole.clip.label,
        shows=tuple(sorted(set(labels))),
    )
    rows = ChannelValues(whole.rows.values[inside], whole.rows.times[inside])
    remaining = None if whole.remaining is None else whole.remaining[inside]
    return MeasuredClip(clip, rows, whole.content, labels, remaining)


def _array_windows(config: Config, clip: Clip) -> list[Clip]:
    if config.series.window is None:
        return [clip]
    try:
        whole = _array_clip(clip)
    except (DataError, OSError):
        return [clip]  # quarantined with its reason when its values are read
    return [item.clip for item in _cut(config, whole)]


def _read_arrays(clips: Sequence[Clip]) -> tuple[dict[str, MeasuredClip], dict[str, str]]:
    """By clip name: what could be read, and why the rest could not."""
    items: dict[str, MeasuredClip] = {}
    quarantined: dict[str, str] = {}
    width = 0
    for clip in clips:
        try:
            item = _array_clip(clip)
            columns = item.rows.values.shape[1]
            width = width or columns
            if columns != width:
                raise DataError(f"{clip.path}: has {columns} values a row, the first array {width}")
            items[clip.name] = item
        except (DataError, OSError) as error:
            quarantined[clip.name] = str(error)
    return items, quarantined


def _array_clip(clip: Clip) -> MeasuredClip:
    """One array, or the rows between its clip's bounds."""
    if not clip.path.is_file():
        raise DataError(f"{clip.path}: no such file")
    values = read_array(clip.path)
    content = hashlib.sha256(values.tobytes()).hexdigest()
    rows = ChannelValues(values, np.arange(len(values), dtype=np.float64))
    whole = MeasuredClip(clip, rows, content)
    if clip.start_s is None and clip.end_s is None:
        return whole
    start, end = clip.start_s or 0.0, len(values) if clip.end_s is None else clip.end_s
    if start >= len(values):
        raise DataError(f"{clip.path}: has {len(values)} rows, the clip starts at row {start:g}")
    return stretch(whole, start, end)
