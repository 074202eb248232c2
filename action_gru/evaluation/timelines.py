"""Long videos in a report: their events against their reference timelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from action_gru.evaluation.files import replace_file
from action_gru.evaluation.markdown import escape, percent, table
from action_gru.evaluation.pictures import save_picture
from action_gru.evaluation.segments import SegmentScores, pool_segment_scores
from action_gru.evaluation.timeline_picture import timeline_picture
from action_gru.timeline import Event, Timeline, csv_document


@dataclass(frozen=True)
class ScoredTimeline:
    """What was found in one long video, what is truly there, and how well they agree."""

    path: str  # as the manifest has it
    timeline: Timeline
    reference: tuple[Event, ...]
    scores: SegmentScores


def timelines_json(scored: Sequence[ScoredTimeline]) -> dict[str, object] | None:
    """The pooled scores, and those of each video."""
    if not scored:
        return None
    return {
        **pool_segment_scores([one.scores for one in scored]).to_json(),
        "per_video": [
            {
                "path": one.path,
                **one.scores.to_json(),
                "events": [event.to_json() for event in one.timeline.events],
            }
            for one in scored
        ],
    }


def timelines_markdown(scored: Sequence[ScoredTimeline]) -> str:
    """A section of the report."""
    rows = [_row(one.path, one.scores) for one in scored]
    if len(scored) > 1:
        rows.append(_row("all", pool_segment_scores([one.scores for one in scored])))
    header = ["video", "reference segments", "F1@10", "F1@25", "F1@50", "edit", "time accuracy"]
    pictures = "\n\n".join(
        f"![{escape(one.path)}]({_name(index)}.png)" for index, one in enumerate(scored)
    )
    return (
        "## Long videos\n\n"
        + table(header, rows, align="lrrrrrr")
        + "\n\nF1@k: a found event is right if it and a reference segment of its label share k% of "
        "their joint time. Edit: how alike the two sequences of labels are. Time accuracy: the "
        f"share of time for which both say the same.\n\n{pictures}"
    )


def write_timelines(scored: Sequence[ScoredTimeline], folder: Path) -> None:
    """A picture and the events of each video: timeline_000.png, timeline_000.csv, ..."""
    for index, one in enumerate(scored):
        save_picture(timeline_picture(one.timeline, one.reference), folder / f"{_name(index)}.png")
        replace_file(folder / f"{_name(index)}.csv", csv_document(one.timeline))


def _row(name: str, scores: SegmentScores) -> list[str]:
    first = next(iter(scores.counts.values()))
    figures = [*scores.f1.values(), scores.edit, scores.time_accuracy]
    return [name, str(first.true_positives + first.false_negatives), *map(percent, figures)]


def _name(index: int) -> str:
    return f"timeline_{index:03d}"
