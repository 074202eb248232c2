"""A clip with what was measured, and the windows it is cut into. Knows no file."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from action_gru.channels import ChannelValues
from action_gru.dataset import Clip


@dataclass(frozen=True)
class MeasuredClip:
    """A clip with what was measured. step_labels and remaining have one entry a row, or none."""

    clip: Clip
    rows: ChannelValues
    content: str  # SHA-256 of the whole recording's values
    step_labels: tuple[str, ...] = ()
    remaining: NDArray[np.float64] | None = None


def cut(whole: MeasuredClip, window: float | None, stride: float | None) -> list[MeasuredClip]:
    """A recording's windows, or the recording itself where none are asked for."""
    if window is None:
        return [whole]
    bounds = window_bounds(whole.rows.times, window, stride or window)
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
