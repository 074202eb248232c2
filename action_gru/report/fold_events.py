"""Segments, delay and false events of a cross-validation on long videos, pooled by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from action_gru.report import documents as md
from action_gru.report import metrics as stats
from action_gru.report.frames import EVENTS_EXPLAINED, FramesReport
from action_gru.report.metrics import FoldSummary

Events = Mapping[str, FoldSummary | None]

SHARES = {
    "f1_10": "F1@10",
    "f1_25": "F1@25",
    "f1_50": "F1@50",
    "edit": "edit score",
    "found": "segments found",
}
OTHERS = {
    "delay_median_s": "median delay, s",
    "delay_late_s": "delay, 90 % within, s",
    "false_events_an_hour": "false events an hour",
}


def fold_events(seeds: Sequence[FramesReport]) -> Events:
    """Mean and spread over seeds, of each the videos of all folds; None where a seed lacks it.

    Nothing without a seed.
    """
    if not seeds:
        return {}
    found = [_figures(report) for report in seeds]
    known = {
        key: [value for one in found if (value := one[key]) is not None] for key in SHARES | OTHERS
    }
    return {
        key: stats.fold_summary(values) if len(values) == len(found) else None
        for key, values in known.items()
    }


def _figures(report: FramesReport) -> dict[str, float | None]:
    missed, of = report.missed
    f1, delays_s = report.segments.f1, report.delays_s
    return {
        **{f"f1_{100 * overlap:g}": value for overlap, value in f1.items()},
        "edit": report.segments.edit,
        "found": 1 - missed / of if of else None,
        "delay_median_s": delays_s["median"],
        "delay_late_s": delays_s["late"],
        "false_events_an_hour": report.false_an_hour,
    }


def events_json(events: Events) -> dict[str, object]:
    """For report.json; nothing of clips."""
    values = {key: one._asdict() if one else None for key, one in events.items()}
    return {"events": values} if events else {}


def events_line(events: Mapping[str, Mapping[str, float | None] | None]) -> str:
    """The main figures for a person, from `events` of report.json."""
    keys = ("f1_50", "edit", "delay_median_s", "false_events_an_hour")
    means = [md.figure_text((events[key] or {}).get("mean")) for key in keys]
    return "F1@50 {}, edit {}, median delay {} s, false events an hour {}".format(*means)


def events_markdown(events: Events) -> str:
    """A section of the report; '' of clips."""
    if not events:
        return ""
    rows = []
    for key, name in (SHARES | OTHERS).items():
        texts = [md.NONE, md.NONE]
        if (summary := events[key]) is not None:
            form = md.percent if key in SHARES else md.figure_text
            texts = [form(one) for one in summary]
        rows.append([name, *texts])
    return md.paragraphs(
        "## Events",
        md.table(["", "mean over seeds", "spread over seeds"], rows),
        "The videos of all folds of a seed together. " + EVENTS_EXPLAINED,
    )
