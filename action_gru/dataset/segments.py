"""Long videos and what each of their instants shows, from a manifest whose rows are stretches.

A row without a label says that its stretch was watched in full: where no other row lies in it,
there is nothing. Knows nothing of features or models.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import DataError
from action_gru.dataset.manifest import Clip, read_manifest
from action_gru.timeline import Event

TOUCHING_S = 1e-3  # segments that share less than this touch: their edges were rounded

StepLabels = list[tuple[str, ...] | None]


def read_labelled(
    manifest: Path,
    root: Path | None = None,
    classes: Sequence[str] | None = None,
    many: bool = False,
    nothing: str | None = None,
    **options: Any,
) -> list[Clip]:
    """The clips of a manifest; with `nothing`, the class of watched instants without a label, its
    long videos. options: further ones of `read_manifest`. Raises DataError as it and
    `join_stretches` do.
    """
    if nothing is None:
        return read_manifest(manifest, root, classes, many, **options)
    rows = read_manifest(manifest, root, classes, many, **options, stretches=True)
    return join_stretches(rows, many, nothing, classes)


def join_stretches(
    rows: Sequence[Clip], many: bool, nothing: str, classes: Sequence[str] | None = None
) -> list[Clip]:
    """One clip a video, with its rows as `stretches`; in the order of their first rows.

    many: an instant may have several labels. Otherwise watched instants without one are of the
    class `nothing`, which must then be among classes, where these are given. Raises DataError for
    segments that overlap, or rows of one video that differ in group or split.
    """
    by_path: dict[str, list[Clip]] = defaultdict(list)
    for row in rows:
        by_path[row.relative].append(row)
    videos = [_video(stretches, many, nothing) for stretches in by_path.values()]
    named = nothing in (classes or [nothing])
    if not many and not named and any(nothing in video.shows for video in videos):
        raise DataError(
            f"data.classes: lacks '{nothing}', the class of watched stretches without a label; "
            "add it, or name another class first in events.background"
        )
    return videos


def _video(rows: Sequence[Clip], many: bool, nothing: str) -> Clip:
    ordered = sorted(rows, key=bounds_s)
    for name in ("group", "split", "frame_rate"):
        if len(found := sorted({getattr(row, name) for row in rows}, key=repr)) > 1:
            raise DataError(
                f"{rows[0].relative}: its rows have the {name}s {', '.join(map(repr, found))}; "
                "with data.task=frames the rows of one video are one clip: give all the same"
            )
    if not many:
        _check_overlaps([row for row in ordered if row.label])
    lasts_s: dict[str, float] = defaultdict(float)
    for row in ordered:
        for label in row.labels:
            lasts_s[label] += np.diff(bounds_s(row))[0]
    if not many and (not lasts_s or _is_watched_beside_segments(ordered)):
        lasts_s[nothing] += 0.0
    shows = tuple(sorted(lasts_s))
    label = "; ".join(shows) if many else max(shows, key=lambda name: lasts_s[name])
    video = replace(ordered[0], start_s=None, end_s=None, label=label, shows=shows)
    return replace(video, stretches=tuple(ordered))


def bounds_s(row: Clip) -> tuple[float, float]:
    """From where to where a row reaches; the end of a file is infinity."""
    return row.start_s or 0.0, np.inf if row.end_s is None else row.end_s


def _check_overlaps(ordered: Sequence[Clip]) -> None:
    for before, row in pairwise(ordered):
        shared_s = bounds_s(before)[1] - bounds_s(row)[0]
        if shared_s >= TOUCHING_S:
            raise DataError(
                f"{row.name} ('{row.label}') begins before {before.name} ('{before.label}') ends; "
                "set data.labels=many where an instant may have several labels"
            )


def _is_watched_beside_segments(ordered: Sequence[Clip]) -> bool:
    """Whether some watched time lies under no segment. The end of a file counts as far away."""
    segments: list[tuple[float, float]] = []  # those that touch are one
    for start_s, stop_s in (bounds_s(row) for row in ordered if row.label):
        if segments and start_s <= segments[-1][1] + TOUCHING_S:
            start_s, reached_s = segments.pop()
            stop_s = max(stop_s, reached_s)
        segments.append((start_s, stop_s))
    for start_s, stop_s in (bounds_s(row) for row in ordered if not row.label):
        index = bisect_right(segments, (start_s + TOUCHING_S, np.inf)) - 1
        reached_s = max(start_s, segments[index][1] if index >= 0 else start_s)
        if reached_s + TOUCHING_S < stop_s:
            return True
    return False


def labelled_stretches(video: Clip, end_s: float) -> list[tuple[float, float]]:
    """The stretches of [0, end_s) that its rows cover, in order, without overlaps."""
    found: list[tuple[float, float]] = []
    for start_s, stop_s in map(bounds_s, video.stretches):
        stop_s = min(stop_s, end_s)
        if found and start_s <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop_s))
        elif start_s < stop_s:
            found.append((start_s, stop_s))
    return found


def reference_events(video: Clip, end_s: float, background: Sequence[str] = ()) -> list[Event]:
    """The segments of a video up to end_s, as events; not those of background."""
    return [
        Event(label, start_s, min(stop_s, end_s))
        for row in video.stretches
        for start_s, stop_s in [bounds_s(row)]
        for label in row.labels
        if start_s < end_s and label not in background
    ]


def rows_past(times_s: NDArray[np.float64], video: Clip) -> list[str]:
    """The names of the rows that begin after the last instant (T,), and so label none."""
    last_s = times_s[-1] if len(times_s) else -1.0
    return [row.name for row in video.stretches if bounds_s(row)[0] > last_s]


def labels_at(times_s: NDArray[np.float64], video: Clip, many: bool, nothing: str) -> StepLabels:
    """The classes of each instant (T,) of a video of `join_stretches`; None where unlabelled."""
    labels: StepLabels = [None] * len(times_s)
    for row in video.stretches:
        low, high = np.searchsorted(times_s, bounds_s(row))
        for index in range(low, high):
            others = labels[index] or ()
            # Of segments that touch, the later one holds where rounding let them overlap.
            kept = tuple(dict.fromkeys((*others, *row.labels))) if many else row.labels or others
            labels[index] = kept
    if many:
        return labels
    return [(nothing,) if found == () else found for found in labels]
