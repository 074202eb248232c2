"""Scores the events of long videos against reference timelines. Knows nothing of models."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from action_gru.report.documents import paragraphs, percent, picture, replace_file, table
from action_gru.report.plots import save_figure
from action_gru.report.timeline_plot import plot_timeline
from action_gru.timeline import Event, Timeline, csv_document

OVERLAPS = (0.1, 0.25, 0.5)  # intersection over union, as in the literature
EXPLANATION = (
    "F1@k: a found event is right if it and a reference segment of its label share k% of their "
    "joint time. Edit: how alike the two sequences of labels are. Time accuracy: the share of time "
    "for which both say the same."
)


class SegmentCounts(NamedTuple):
    """Counts of found, false and missed segments."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there was nothing to find or make up."""
        wrong = self.false_positives + self.false_negatives
        found = 2 * self.true_positives
        return found / (found + wrong) if found + wrong else 1.0


@dataclass(frozen=True)
class SegmentScores:
    """How well events fit the reference, for one video or several.

    counts: by least overlap (intersection over union). edit: 0 to 1, the mean over videos.
    agreed_s of duration_s: the time for which both name the same action, or none.
    """

    counts: Mapping[float, SegmentCounts]
    edit: float
    agreed_s: float
    duration_s: float
    videos: int = 1

    @property
    def f1(self) -> dict[float, float]:
        """Segmental F1 by least overlap: F1@10 is f1[0.1]."""
        return {overlap: counts.f1 for overlap, counts in self.counts.items()}

    @property
    def time_accuracy(self) -> float:
        """Frame-wise accuracy with infinitely many frames; 1 for a video that lasts no time."""
        return self.agreed_s / self.duration_s if self.duration_s else 1.0

    def to_json(self) -> dict[str, object]:
        """Return JSON-serialisable values; F1@k has the key str(100 k)."""
        return {
            "videos": self.videos,
            "f1": {f"{100 * overlap:g}": round(f1, 4) for overlap, f1 in self.f1.items()},
            "edit": round(self.edit, 4),
            "time_accuracy": round(self.time_accuracy, 4),
            "duration_s": round(self.duration_s, 3),
            "counts": {f"{100 * overlap:g}": one._asdict() for overlap, one in self.counts.items()},
        }


def segment_scores(
    predicted: Sequence[Event],
    reference: Sequence[Event],
    duration_s: float,
    background: Sequence[str] = (),
) -> SegmentScores:
    """Score the events of one video of duration_s seconds; neither side's events overlap.

    Gaps are no segments, nor are those with a label of `background`. Touching segments of one
    label are one segment, as they are where frames are labelled. Segmental F1 and edit score: Lea
    et al. 2017, "Temporal Convolutional Networks for Action Segmentation and Detection", section
    4. Only the time accuracy uses duration_s: later parts are cut off.
    """
    found, truth = _segments(predicted, background), _segments(reference, background)
    return SegmentScores(
        counts={overlap: _counts(found, truth, overlap) for overlap in OVERLAPS},
        edit=_edit_score([one.label for one in found], [one.label for one in truth]),
        agreed_s=_agreed_s(found, truth, duration_s),
        duration_s=duration_s,
    )


def within(events: Sequence[Event], known: Sequence[tuple[float, float]]) -> list[Event]:
    """The events that lie at least half in stretches that were labelled."""

    def shared_s(event: Event) -> float:
        return sum(max(0.0, min(event.end_s, b) - max(event.start_s, a)) for a, b in known)

    return [event for event in events if 2 * shared_s(event) >= event.duration_s]


def detection_delays(
    found: Sequence[Event], reference: Sequence[Event], ahead_s: float = 0.0
) -> tuple[tuple[float, ...], int, int]:
    """The delay of each reference segment that was found; how many were missed; false events.

    ahead_s: how much later than the instant that it is about an answer is known.
    """

    def meet(one: Event, other: Event) -> bool:
        overlap = min(one.end_s, other.end_s) > max(one.start_s, other.start_s)
        return one.label == other.label and overlap

    delays_s = []
    for segment in reference:
        starts_s = [event.start_s for event in found if meet(event, segment)]
        if starts_s:
            delays_s.append(max(0.0, min(starts_s) - segment.start_s) + ahead_s)
    false = sum(not any(meet(event, segment) for segment in reference) for event in found)
    return tuple(delays_s), len(reference) - len(delays_s), false


def score_segments(
    found: Sequence[Event],
    reference: Sequence[Event],
    duration_s: float,
    background: Sequence[str],
    classes: Sequence[str] = (),
) -> SegmentScores:
    """`segment_scores`; with classes, whose events may overlap, each by itself and pooled."""
    if not classes:
        return segment_scores(found, reference, duration_s, background)

    def of(events: Sequence[Event], name: str) -> list[Event]:
        return [event for event in events if event.label == name]

    named = {event.label for event in (*found, *reference)}
    scores = [
        segment_scores(of(found, name), of(reference, name), duration_s)
        for name in classes
        if name in named and name not in background
    ]
    pooled = pool_segment_scores(scores or [segment_scores([], [], duration_s)])
    return SegmentScores(pooled.counts, pooled.edit, pooled.agreed_s, pooled.duration_s)


def pool_segment_scores(scores: Sequence[SegmentScores]) -> SegmentScores:
    """The scores of several videos as one.

    Counts and times are summed, as Farha and Gall 2019 (MS-TCN) evaluate, so that a long video
    weighs more; the edit score is the mean over videos.
    """
    videos = sum(one.videos for one in scores)
    return SegmentScores(
        counts={
            overlap: SegmentCounts(
                *map(sum, zip(*(one.counts[overlap] for one in scores), strict=True))
            )
            for overlap in OVERLAPS
        },
        edit=math.fsum(one.edit * one.videos for one in scores) / videos,
        agreed_s=math.fsum(one.agreed_s for one in scores),
        duration_s=math.fsum(one.duration_s for one in scores),
        videos=videos,
    )


def _segments(events: Sequence[Event], background: Sequence[str]) -> list[Event]:
    """In order of time, without background, touching ones of one label joined."""
    joined: list[Event] = []
    for event in sorted(events, key=lambda event: (event.start_s, event.end_s)):
        if event.label in background:
            continue
        before = joined[-1] if joined else None
        if before and before.label == event.label and event.start_s == before.end_s:
            joined[-1] = Event(event.label, before.start_s, event.end_s)
        else:
            joined.append(event)
    return joined


def _counts(found: Sequence[Event], truth: Sequence[Event], overlap: float) -> SegmentCounts:
    """Each found segment, in order, claims the reference segment of its label that it fits best.

    It is right if it overlaps enough and comes first. A second one is wrong, also where a less
    fitting reference segment would still be free: so the published figures are computed.
    """
    claimed: set[int] = set()
    for one in found:
        fits = [_overlap(one, other) for other in truth]
        if max(fits, default=0) >= overlap:
            claimed.add(fits.index(max(fits)))
    right = len(claimed)
    return SegmentCounts(right, len(found) - right, len(truth) - right)


def _overlap(one: Event, other: Event) -> float:
    """Intersection over union, 0 to 1; 0 for another label."""
    shared_s = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    if one.label != other.label or shared_s <= 0:
        return 0.0
    return shared_s / (max(one.end_s, other.end_s) - min(one.start_s, other.start_s))


def _edit_score(found: Sequence[str], truth: Sequence[str]) -> float:
    """1 - the Levenshtein distance of the labels in order / the longer count; 1 if both are empty.

    0 to 1, where the literature says 0 to 100.
    """
    distances = list(range(len(truth) + 1))
    for row, label in enumerate(found, 1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(truth, 1):
            changed = diagonal + (label != other)
            diagonal = distances[column]
            distances[column] = min(changed, diagonal + 1, distances[column - 1] + 1)
    longer = max(len(found), len(truth))
    return 1 - distances[-1] / longer if longer else 1.0


def _agreed_s(found: Sequence[Event], truth: Sequence[Event], duration_s: float) -> float:
    """Seconds of [0, duration_s] for which both name the same label, or none."""
    edges = {0.0, duration_s, *(s for e in (*found, *truth) for s in (e.start_s, e.end_s))}
    return math.fsum(
        end_s - start_s
        for start_s, end_s in pairwise(sorted(s for s in edges if 0 <= s <= duration_s))
        if _label_at(found, start_s) == _label_at(truth, start_s)
    )


def _label_at(segments: Sequence[Event], time_s: float) -> str | None:
    """The label over [time_s, next edge)."""
    index = bisect_right(segments, time_s, key=lambda one: one.start_s) - 1
    return segments[index].label if index >= 0 and time_s < segments[index].end_s else None


@dataclass(frozen=True)
class ScoredTimeline:
    """The timeline found in one long video, its reference, and their scores."""

    path: str  # as the manifest has it
    timeline: Timeline
    reference: tuple[Event, ...]
    scores: SegmentScores


def timelines_json(scored: Sequence[ScoredTimeline]) -> dict[str, Any] | None:
    """The pooled scores, and those of each video; None without any."""
    if not scored:
        return None
    per_video = [
        {"path": one.path, **one.scores.to_json()}
        | {"events": [event.to_json() for event in one.timeline.events]}
        for one in scored
    ]
    return {**pool_segment_scores([one.scores for one in scored]).to_json(), "per_video": per_video}


def timelines_markdown(scored: Sequence[ScoredTimeline], noun: str = "video") -> str:
    """Return the section on long videos; '' without any."""
    if not scored:
        return ""
    named = [(one.path, one.scores) for one in scored]
    if len(scored) > 1:
        named.append(("all", pool_segment_scores([one.scores for one in scored])))
    rows = []
    for name, scores in named:
        first = scores.counts[OVERLAPS[0]]
        figures = map(percent, (*scores.f1.values(), scores.edit, scores.time_accuracy))
        rows.append([name, first.true_positives + first.false_negatives, *figures])
    header = [noun, "reference segments", "F1@10", "F1@25", "F1@50", "edit", "time accuracy"]
    pictures = (picture(f"timeline_{n:03d}", one.path) for n, one in enumerate(scored))
    return paragraphs(f"## Long {noun}s", table(header, rows), EXPLANATION, *pictures)


def write_timelines(scored: Sequence[ScoredTimeline], folder: Path) -> None:
    """A picture and the events of each video: timeline_000.png, timeline_000.csv, ..."""
    for index, one in enumerate(scored):
        stem = folder / f"timeline_{index:03d}"
        save_figure(plot_timeline(one.timeline, one.reference), stem.with_suffix(".png"))
        replace_file(stem.with_suffix(".csv"), csv_document(one.timeline))
