"""The clips of measured data, cut into windows, and their features. Knows no file format."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from action_gru.channels import ROWS, ChannelValues
from action_gru.config import Config
from action_gru.dataset import Clip
from action_gru.extraction import (
    ExtractionReport,
    ViewKey,
    check_quarantine,
    duplicates_across,
    keep_quarantine,
)
from action_gru.features import FeatureTable
from action_gru.progress import Reporter
from action_gru.series.preparation import preparer_of, specs_of
from action_gru.series.recording import Recording, window_bounds


@dataclass(frozen=True)
class MeasuredClip:
    """A clip with its rows, whose labels are the class of each row, or none."""

    clip: Clip
    rows: Recording
    content: str  # SHA-256 of the whole recording's values


@dataclass(frozen=True)
class Measured:
    """The values of clips by name, and why some could not be read.

    unit: what their times are counted in (see channels).
    """

    channels: tuple[str, ...]
    items: Mapping[str, MeasuredClip]
    quarantined: dict[str, str] = field(default_factory=dict)
    unit: str = ROWS


def measured_clip(clip: Clip, rows: Recording) -> MeasuredClip:
    """A whole recording as a clip."""
    shows = tuple(sorted(set(rows.labels)))
    content = hashlib.sha256(rows.values.tobytes()).hexdigest()
    return MeasuredClip(replace(clip, shows=shows), rows, content)


def cut(whole: MeasuredClip, window: float | None, stride: float | None) -> list[MeasuredClip]:
    """A recording's windows, or the recording itself where none are asked for."""
    if window is None:
        return [whole]
    bounds = window_bounds(whole.rows.times, window, stride or window)
    return [stretch(whole, start, end) for start, end in bounds]


def stretch(whole: MeasuredClip, start: float, end: float) -> MeasuredClip:
    """The rows with start <= time < end."""
    rows = whole.rows.between(start, end)
    clip = replace(
        whole.clip,
        start_s=start,
        end_s=end,
        label=rows.labels[-1] if rows.labels else whole.clip.label,
        shows=tuple(sorted(set(rows.labels))),
    )
    return MeasuredClip(clip, rows, whole.content)


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
    keep_quarantine(report, reporter, folder)
    allowed = config.data.max_bad_share if max_bad_share is None else max_bad_share
    check_quarantine(report, allowed, folder)
    _tell_what_is_missing(found, clips, reporter)
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
            ViewKey(spec.view): ChannelValues(view, one.times)
            for spec, view in zip(specs, views, strict=True)
        }
    return FeatureTable(
        by_clip,
        specs,
        report,
        step_labels={name: one.labels for name, one in rows.items() if one.labels},
        remaining={n: one.remaining for n, one in rows.items() if one.remaining is not None},
        missing={name: (_missing(one), one.values.size) for name, one in rows.items()},
        unit=found.unit,
    )


def _missing(rows: Recording) -> int:
    return int(np.isnan(rows.values).sum())


def _tell_what_is_missing(found: Measured, clips: Sequence[Clip], reporter: Reporter) -> None:
    rows = {c.name: found.items[c.name].rows for c in clips if c.name in found.items}
    missing, count = sum(map(_missing, rows.values())), sum(r.values.size for r in rows.values())
    if missing:
        reporter.say(f"{missing} of {count} values are missing ({missing / count:.2%})")
    training = [rows[c.name].values for c in clips if c.split == "train" and c.name in rows]
    if not training:
        return
    is_empty = np.all([np.isnan(values).all(axis=0) for values in training], axis=0)
    empty = [name for name, is_one in zip(found.channels, is_empty, strict=True) if is_one]
    if empty:
        reporter.warn(
            f"no training sequence has a value of {', '.join(empty[:5])}: the model leaves "
            f"{'it' if len(empty) == 1 else 'them'} out"
        )
