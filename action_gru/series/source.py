"""Measured data as clips: their windows and features, and the tables that they are read from.

A clip of a table is one id, one case of a `.ts` file, or a window of one of these; its bounds are
in the unit of the time column (rows where there is none).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from action_gru.config import Config
from action_gru.config.inputs import LATER, SOON, SeriesSection
from action_gru.core.errors import DataError
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.dataset.cells import split_name
from action_gru.dataset.channels import ROWS, STAMPS, ChannelValues
from action_gru.dataset.manifest import LABEL_SEPARATOR, SPLITS
from action_gru.features import (
    ExtractionReport,
    ViewKey,
    check_quarantine,
    duplicates_across,
)
from action_gru.features.sequences import FeatureTable
from action_gru.series.long_table import read_long_table
from action_gru.series.recording import (
    Recording,
    Recordings,
    only,
    preparer_of,
    specs_of,
    window_bounds,
)
from action_gru.series.ts import read_ts
from action_gru.timeline.segments import names_of

READERS: dict[str, Callable[[Path, SeriesSection], Recordings]] = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq"), read_long_table),
    ".ts": lambda path, series: read_ts(path),
}
_LABEL_TS = (
    "the header needs '@classLabel true' with the names of the classes, and each case its class "
    "after the last ':'"
)
_LABEL_TABLE = (
    "name the column in series.label, or set series.horizon where a column says how long it lasts"
)


@dataclass(frozen=True)
class MeasuredClip:
    """A clip with its rows, whose labels are the class of each row, or none.

    content: SHA-256 of the values of the whole recording.
    """

    clip: Clip
    rows: Recording
    content: str

    @classmethod
    def whole(cls, clip: Clip, rows: Recording) -> MeasuredClip:
        """A whole recording as a clip."""
        shows = tuple(sorted(set(rows.labels))) or clip.shows
        content = hashlib.sha256(rows.values.tobytes()).hexdigest()
        return cls(replace(clip, shows=shows), rows, content)

    def stretch(self, start: float, end: float) -> MeasuredClip:
        """The rows with start <= time < end."""
        rows = self.rows.between(start, end)
        label = rows.labels[-1] if rows.labels else self.clip.label
        shows = tuple(sorted(set(rows.labels))) or self.clip.shows
        clip = replace(self.clip, start_s=start, end_s=end, label=label, shows=shows)
        return MeasuredClip(clip, rows, self.content)

    def windows(self, series: SeriesSection) -> list[MeasuredClip]:
        """The windows of a recording, or the recording itself without series.window."""
        if series.window is None:
            return [self]
        bounds = window_bounds(self.rows.times, series.window, series.stride or series.window)
        return [self.stretch(start, end) for start, end in bounds]


@dataclass(frozen=True)
class Measured:
    """The values of clips by name, and why some could not be read.

    unit: what their times are counted in (see channels).
    """

    channels: tuple[str, ...]
    items: Mapping[str, MeasuredClip]
    quarantined: dict[str, str] = field(default_factory=dict)
    unit: str = ROWS


@dataclass(frozen=True)
class SeriesSource(ABC):
    """A kind of measured data: `clips` finds its sequences, `measure` reads their values."""

    config: Config
    manifest: Path | None = None
    root: Path | None = None
    classes: Sequence[str] | None = None

    @property
    def path(self) -> Path:
        """The manifest or table that is read."""
        path = self.manifest or self.config.data.manifest
        assert path is not None
        return path

    @abstractmethod
    def clips(self) -> list[Clip]:
        """Every sequence, or its windows."""

    @abstractmethod
    def measure(self, clips: Sequence[Clip]) -> Measured:
        """The values of clips that `clips` gave."""

    def features(
        self,
        clips: Sequence[Clip],
        reporter: Reporter,
        folder: Path | None = None,
        max_bad_share: float | None = None,
    ) -> FeatureTable:
        """The rows of the clips as the config's `series` section prepares them.

        Equal sequences on two sides of the split are a warning, not an error: sensors that stand
        still look alike, and the published splits of archives are what they are.
        """
        found = self.measure(clips)
        content = {name: item.content for name, item in found.items.items()}
        report = ExtractionReport(len(clips), quarantined=found.quarantined, content=content)
        report.read = len(clips) - len(found.quarantined)
        report.frames = sum(len(item.rows.times) for item in found.items.values())
        allowed = self.config.data.max_bad_share if max_bad_share is None else max_bad_share
        check_quarantine(report, reporter, folder, allowed)
        if copies := duplicates_across(clips, content):
            first, second = copies[0]
            reporter.warn(
                f"{len(copies)} pairs of equal sequences are on two sides of the split, such as "
                f"{first.name} ({first.split}) and {second.name} ({second.split}): a score on "
                "them is too good"
            )
        table = _feature_table(found, self.config.series, report)
        data = self.config.data
        table = replace(table, many=data.labels == "many", dense=data.task == "frames")
        missing, count = table.missing_values(clips)
        if missing:
            reporter.info(f"{missing} of {count} values are missing ({missing / count:.2%})")
        if empty := _empty_channels(found, clips):
            reporter.warn(
                f"no training sequence has a value of {', '.join(empty[:5])}: the model leaves "
                f"{'it' if len(empty) == 1 else 'them'} out"
            )
        return table


def _feature_table(
    found: Measured, series: SeriesSection, report: ExtractionReport
) -> FeatureTable:
    specs = specs_of(series, found.channels)
    rows = {name: item.rows for name, item in found.items.items()}
    by_clip = {}
    for name, one in rows.items():
        views = preparer_of(series, found.channels).views(one.values, one.times)
        by_clip[name] = {
            ViewKey(spec.view): ChannelValues(view, one.times - one.times[0])
            for spec, view in zip(specs, views, strict=True)
        }
    return FeatureTable(
        by_clip,
        specs,
        report,
        step_labels={n: [(x,) for x in one.labels] for n, one in rows.items() if one.labels},
        remaining={n: one.remaining for n, one in rows.items() if one.remaining is not None},
        missing={n: (int(np.isnan(one.values).sum()), one.values.size) for n, one in rows.items()},
        unit=found.unit,
    )


def _empty_channels(found: Measured, clips: Sequence[Clip]) -> list[str]:
    """The channels without a value in any training clip; none where there are no such clips."""
    train = [clip.name for clip in clips if clip.split == "train" and clip.name in found.items]
    gaps = np.array([np.isnan(found.items[name].rows.values).all(axis=0) for name in train])
    return [name for name, gap in zip(found.channels, gaps.T, strict=False) if gap.all()]


class TableSource(SeriesSource):
    """Measured rows in tables."""

    def clips(self) -> list[Clip]:
        """Every id of the table, or its windows."""
        clips = [item.clip for item in self._items()]
        labels = {label for clip in clips for label in clip.labels}
        if unknown := sorted(labels - set(self.classes or labels)):
            raise DataError(
                f"unknown label {', '.join(unknown[:5])}; the classes are "
                f"{', '.join(self.classes or ())}"
            )
        return clips

    def measure(self, clips: Sequence[Clip]) -> Measured:
        """The values of clips that `clips` gave."""
        items = {item.clip.name: item for item in self._items()}
        table = self._table()
        named = {clip.name: replace(items[clip.name], clip=clip) for clip in clips}
        return Measured(table.channels, named, unit=table.unit)

    def _items(self) -> list[MeasuredClip]:
        series, path, many = self.config.series, self.path, self.config.data.labels == "many"
        wholes = [_whole_clip(series, item, path, many) for item in self._table().items]
        return [part for whole in wholes for part in whole.windows(series)]

    def _table(self) -> Recordings:
        if not self.path.exists():
            raise DataError(f"no table at {self.path} (looked up as {self.path.absolute()})")
        files = tuple((file, file.stat().st_mtime_ns) for file in _table_files(self.path))
        return _read_files(files, self.config.series)


def _split_of_name(file: Path) -> str:
    """The split that the name of a `.ts` file ends in: X_TRAIN.ts -> train; '' for none."""
    ending = file.stem.rpartition("_")[2].lower()
    return ending if ending in SPLITS and file.suffix.lower() == ".ts" else ""


def _table_files(path: Path) -> list[Path]:
    """The files of a table: itself, or a folder's X_TRAIN.ts and X_TEST.ts, but not the padded
    variants of the archive, `_eq_`. Raises DataError.
    """
    if not path.is_dir():
        return [path]
    found = [file for file in sorted(path.iterdir()) if "_eq_" not in file.name]
    files = sorted(filter(_split_of_name, found), key=lambda f: SPLITS.index(_split_of_name(f)))
    splits = [_split_of_name(file) for file in files]
    if "train" not in splits or len(set(splits)) < len(splits):
        names = ", ".join(file.name for file in files) or "none"
        raise DataError(
            f"{path}: a folder needs one file X_TRAIN.ts, and may have one X_TEST.ts, got {names}; "
            "name the file itself in data.manifest"
        )
    return files


@lru_cache(maxsize=2)
def _read_files(files: tuple[tuple[Path, int], ...], series: SeriesSection) -> Recordings:
    """Several files as one data set. The times of their last change are part of the cache's key.

    Raises DataError where their channels differ.
    """
    items: list[Recording] = []
    parts: list[Recordings] = []
    for file, _ in files:
        reader = READERS.get(file.suffix.lower())
        if reader is None:
            raise DataError(
                f"{file}: a table is one of {', '.join(READERS)}; got '{file.suffix}': save it as "
                "CSV"
            )
        parts.append(reader(file, series))
        if parts[-1].channels != parts[0].channels:
            raise DataError(
                f"{file.name}: has the channels {', '.join(parts[-1].channels)}, "
                f"{files[0][0].name} has {', '.join(parts[0].channels)}; files of one data set "
                "need the same, in this order"
            )
        named = _split_of_name(file)
        items += [replace(item, split=item.split or named) for item in parts[-1].items]
    units = {part.unit for part in parts}
    return Recordings(parts[0].channels, tuple(items), units.pop() if len(units) == 1 else STAMPS)


def _whole_clip(
    series: SeriesSection, item: Recording, path: Path, many: bool = False
) -> MeasuredClip:
    where = f"{path}: id '{item.id}'"
    labels = _row_labels(series, item, path)
    several = "has several labels (set series.step_labels=true if each row has its own)"
    label = labels[-1] if labels else only(item.labels, f"{where} {several}")
    shows = names_of(label) if many else ()
    if not label and not many:
        is_ts = path.is_dir() or path.suffix.lower() == ".ts"
        raise DataError(f"{where} has no label; {_LABEL_TS if is_ts else _LABEL_TABLE}")
    try:
        split = split_name(item.split)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    label = LABEL_SEPARATOR.join(shows) if many else label
    clip = Clip(path / item.id, item.id, label, item.group or item.id, split, shows=shows)
    return MeasuredClip.whole(clip, replace(item, labels=labels))


def _row_labels(series: SeriesSection, item: Recording, path: Path) -> tuple[str, ...]:
    """The class of each row; nothing where a sequence has one class."""
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
