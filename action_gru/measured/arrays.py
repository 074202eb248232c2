"""Arrays by manifest to measured clips; one that cannot be read is told, not raised."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from action_gru.channels import ChannelValues
from action_gru.dataset import Clip
from action_gru.errors import DataError
from action_gru.measured.clips import MeasuredClip, cut, stretch
from action_gru.recordings import read_array


def array_windows(clip: Clip, window: float | None, stride: float | None) -> list[Clip]:
    """The windows of an array's clip, or the clip itself."""
    if window is None:
        return [clip]
    try:
        whole = _array_clip(clip)
    except (DataError, OSError):
        return [clip]  # quarantined with its reason when its values are read
    return [item.clip for item in cut(whole, window, stride)]


def read_arrays(clips: Sequence[Clip]) -> tuple[dict[str, MeasuredClip], dict[str, str]]:
    """By clip name: what could be read, and why the rest could not."""
    items: dict[str, MeasuredClip] = {}
    quarantined: dict[str, str] = {}
    first: tuple[int, ...] = ()
    for clip in clips:
        try:
            item = _array_clip(clip)
            first = first or item.rows.values.shape
            _check_width(clip, item.rows.values.shape, first)
            items[clip.name] = item
        except (DataError, OSError) as error:
            quarantined[clip.name] = str(error)
    return items, quarantined


def _check_width(clip: Clip, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    if shape[1] == first[1]:
        return
    turned = "; save array.T if time is the second axis" if shape[0] == first[0] else ""
    raise DataError(f"{clip.path}: has {shape[1]} values a row, the first array {first[1]}{turned}")


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
