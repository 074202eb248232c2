"""The config's `data` and `series` sections to clips and their values, of either kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from action_gru.channels import ROWS, ChannelSpec, ChannelValues
from action_gru.config import Config
from action_gru.config.inputs import SeriesSection
from action_gru.dataset import Clip, class_list, read_manifest
from action_gru.errors import DataError
from action_gru.measured.arrays import array_windows, read_arrays
from action_gru.measured.clips import MeasuredClip
from action_gru.measured.tables import LATER, SOON, read_table, table_clips
from action_gru.recordings import RowPreparer, prepare

VIEWS = ("values", "velocity")


@dataclass(frozen=True)
class Measurements:
    """All that is asked for, by clip name, and why some could not be read.

    unit: what their times are counted in (see channels).
    """

    specs: tuple[ChannelSpec, ...]
    items: dict[str, MeasuredClip]
    views: dict[str, list[ChannelValues]]
    quarantined: dict[str, str] = field(default_factory=dict)
    unit: str = ROWS

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
    series = config.series
    if config.data.kind == "arrays":
        path = manifest or config.data.manifest
        assert path is not None
        clips = read_manifest(path, root or config.data.root, classes or config.data.classes)
        return [
            part for clip in clips for part in array_windows(clip, series.window, series.stride)
        ]
    items = table_clips(config, manifest or config.data.manifest)
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
    names: tuple[str, ...] = ()
    unit = ROWS
    if config.data.kind == "arrays":
        items, quarantined = read_arrays(clips)
        if items:
            width = next(iter(items.values())).rows.values.shape[1]
            names = tuple(f"column_{index}" for index in range(width))
    else:
        found = {
            item.clip.name: item for item in table_clips(config, manifest or config.data.manifest)
        }
        items = {clip.name: replace(found[clip.name], clip=clip) for clip in clips}
        table = read_table(config, manifest or config.data.manifest)
        names, unit, quarantined = table.channels, table.unit, {}
    series = config.series
    views = {
        name: [ChannelValues(values, item.rows.times) for values in prepare_clip(series, item.rows)]
        for name, item in items.items()
    }
    return Measurements(specs_of(config, names), items, views, quarantined, unit)


def prepare_clip(series: SeriesSection, rows: ChannelValues) -> list[NDArray[np.float32]]:
    """The views of one sequence, as the `series` section prepares them."""
    elapsed = rows.times - rows.times[0] if series.elapsed else None
    return prepare(rows.values, series.points, series.velocity, series.averages, elapsed)


def row_preparer(series: SeriesSection, width: int) -> RowPreparer:
    """The same for rows of `width` channels that arrive one by one."""
    return RowPreparer(width, series.points, series.velocity, series.averages, series.elapsed)


def specs_of(config: Config, channels: tuple[str, ...]) -> tuple[ChannelSpec, ...]:
    """What each view of these channels is, as the `series` section prepares them."""
    series = config.series
    dims = row_preparer(series, len(channels)).dims
    asked = {
        f"points of {series.points}": series.points,
        f"averages over {', '.join(f'{span:g}' for span in series.averages)}": series.averages,
        "elapsed": series.elapsed,
    }
    words = "; ".join(word for word, is_asked in asked.items() if is_asked) or "none"
    return tuple(
        ChannelSpec(view, channels, dim, words) for view, dim in zip(VIEWS, dims, strict=False)
    )
