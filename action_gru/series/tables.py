"""Tables of measured rows to clips: files, labels, a class for each row. Knows no arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from action_gru.config import Config
from action_gru.config.inputs import LATER, SOON, SeriesSection
from action_gru.core.errors import DataError
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.dataset.manifest import SPLITS, split_name
from action_gru.dataset.splits import split_of_name
from action_gru.features.sequences import FeatureTable
from action_gru.series.long_table import LongColumns, long_columns, read_long_table
from action_gru.series.recording import Recording, Recordings, merge, only
from action_gru.series.source import Measured, MeasuredClip, features_of
from action_gru.series.ts import read_ts

READERS: dict[str, Callable[[Path, LongColumns], Recordings]] = {
    ".csv": read_long_table,
    ".tsv": read_long_table,
    ".tab": read_long_table,
    ".txt": read_long_table,
    ".parquet": read_long_table,
    ".pq": read_long_table,
    ".ts": lambda path, columns: read_ts(path),
}


@dataclass(frozen=True)
class TableSource:
    """Measured rows in tables. A clip is one id of a table, one case of a `.ts` file, or a window
    of one of these; its bounds are in the unit of the time column (rows where there is none).
    """

    config: Config
    manifest: Path | None = None
    root: Path | None = None
    classes: Sequence[str] | None = None

    def clips(self) -> list[Clip]:
        """Every id of the table, or its windows."""
        clips = [item.clip for item in self._items()]
        labels = {label for clip in clips for label in clip.labels}
        unknown = sorted(labels - set(self.classes or labels))
        if unknown:
            raise DataError(
                f"unknown label {', '.join(unknown[:5])}; the classes are {self.classes}"
            )
        return clips

    def features(
        self,
        clips: Sequence[Clip],
        reporter: Reporter,
        folder: Path | None = None,
        max_bad_share: float | None = None,
    ) -> FeatureTable:
        """The rows of the clips as the config's `series` section prepares them."""
        found = self.measure(clips)
        return features_of(found, self.config, clips, reporter, folder, max_bad_share)

    def measure(self, clips: Sequence[Clip]) -> Measured:
        """The values of clips that `clips` gave."""
        items = {item.clip.name: item for item in self._items()}
        table = self._table()
        named = {clip.name: replace(items[clip.name], clip=clip) for clip in clips}
        return Measured(table.channels, named, unit=table.unit)

    @property
    def _path(self) -> Path:
        path = self.manifest or self.config.data.manifest
        assert path is not None
        return path

    def _items(self) -> list[MeasuredClip]:
        series, path = self.config.series, self._path
        wholes = [_whole_clip(series, item, path) for item in self._table().items]
        return [part for whole in wholes for part in whole.windows(series.window, series.stride)]

    def _table(self) -> Recordings:
        path = self._path
        if not path.exists():
            raise DataError(f"no table at {path} (looked up as {path.absolute()})")
        files = tuple((file, file.stat().st_mtime_ns) for file in table_files(path))
        return _read_files(files, long_columns(self.config.series))


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


def _whole_clip(series: SeriesSection, item: Recording, path: Path) -> MeasuredClip:
    labels = _step_labels(series, item, path)
    if labels:
        label = labels[-1]
    else:
        label = only(
            item.labels,
            f"{path}: id '{item.id}' has several labels (set series.step_labels=true if each row "
            "has its own)",
        )
    if not label:
        raise DataError(f"{path}: id '{item.id}' has no label; {_how_to_label(path)}")
    clip = Clip(path / item.id, item.id, label, item.group or item.id, _known_split(item, path))
    return MeasuredClip.whole(clip, replace(item, labels=labels))


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
    try:
        return split_name(item.split)
    except ValueError as error:
        raise DataError(f"{path}: id '{item.id}': {error}") from error


def _step_labels(series: SeriesSection, item: Recording, path: Path) -> tuple[str, ...]:
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
