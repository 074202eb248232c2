"""The clips of measured data, cut into windows, and their features. Knows no file format."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from action_gru.config import Config
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.dataset.channels import ROWS, ChannelValues
from action_gru.features import (
    ExtractionReport,
    ViewKey,
    check_quarantine,
    duplicates_across,
)
from action_gru.features.sequences import FeatureTable
from action_gru.series.preparation import preparer_of, specs_of
from action_gru.series.recording import Recording, window_bounds


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
        content = hashlib.sha256(rows.values.tobytes()).hexdigest()
        return cls(replace(clip, shows=tuple(sorted(set(rows.labels)))), rows, content)

    def stretch(self, start: float, end: float) -> MeasuredClip:
        """The rows with start <= time < end."""
        rows = self.rows.between(start, end)
        label = rows.labels[-1] if rows.labels else self.clip.label
        shows = tuple(sorted(set(rows.labels)))
        clip = replace(self.clip, start_s=start, end_s=end, label=label, shows=shows)
        return MeasuredClip(clip, rows, self.content)

    def windows(self, window: float | None, stride: float | None) -> list[MeasuredClip]:
        """The windows of a recording, or the recording itself where none are asked for."""
        if window is None:
            return [self]
        bounds = window_bounds(self.rows.times, window, stride or window)
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


def features_of(
    found: Measured,
    config: Config,
    clips: Sequence[Clip],
    reporter: Reporter,
    folder: Path | None = None,
    max_bad_share: float | None = None,
) -> FeatureTable:
    """The table of measured clips. Equal sequences on two sides are told, not refused: sensors that
    stand still look alike, and the published splits of archives are what they are.
    """
    content = {name: item.content for name, item in found.items.items()}
    report = ExtractionReport(len(clips), quarantined=found.quarantined, content=content)
    report.read = len(clips) - len(found.quarantined)
    report.frames = sum(len(item.rows.times) for item in found.items.values())
    allowed = config.data.max_bad_share if max_bad_share is None else max_bad_share
    check_quarantine(report, reporter, folder, allowed)
    copies = duplicates_across(clips, content)
    if copies:
        first, second = copies[0]
        reporter.warn(
            f"{len(copies)} pairs of equal sequences stand on two sides of the split, such as "
            f"{first.name} ({first.split}) and {second.name} ({second.split}): a score on them "
            "is too good"
        )
    specs = specs_of(config.series, found.channels)
    rows = {name: item.rows for name, item in found.items.items()}
    by_clip = {}
    for name, one in rows.items():
        views = preparer_of(config.series, len(found.channels)).views(one.values, one.times)
        by_clip[name] = {
            ViewKey(spec.view): ChannelValues(view, one.times - one.times[0])
            for spec, view in zip(specs, views, strict=True)
        }
    table = FeatureTable(
        by_clip,
        specs,
        report,
        step_labels={name: one.labels for name, one in rows.items() if one.labels},
        remaining={n: one.remaining for n, one in rows.items() if one.remaining is not None},
        missing={n: (int(np.isnan(one.values).sum()), one.values.size) for n, one in rows.items()},
        unit=found.unit,
    )
    missing, count = table.missing_values(clips)
    if missing:
        reporter.say(f"{missing} of {count} values are missing ({missing / count:.2%})")
    empty = _empty_channels(found, [clip for clip in clips if clip.split == "train"])
    if empty:
        reporter.warn(
            f"no training sequence has a value of {', '.join(empty[:5])}: the model leaves "
            f"{'it' if len(empty) == 1 else 'them'} out"
        )
    return table


def _empty_channels(found: Measured, clips: Sequence[Clip]) -> list[str]:
    """The channels that have no value in any of some clips; none where there are no clips."""
    parts = [found.items[clip.name].rows.values for clip in clips if clip.name in found.items]
    if not parts:
        return []
    is_empty = np.atleast_1d(np.isnan(np.concatenate(parts)).all(axis=0))
    return [name for name, is_one in zip(found.channels, is_empty, strict=True) if is_one]
