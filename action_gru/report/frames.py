"""The report on long videos whose instants have labels: frames, segments, delay. Knows no models.

Scores rest on labelled instants alone, and events on stretches that were labelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from action_gru.core.text import counted
from action_gru.report import documents as md
from action_gru.report import metrics as stats
from action_gru.report import plots, segments
from action_gru.report.metrics import BoolArray, FloatArray, IntArray, Interval
from action_gru.report.segments import ScoredTimeline, SegmentScores, pool_segment_scores

FEW_GROUPS = 5  # below so many no interval is read as a verdict
LATE = 0.9  # the quantile of the delay beside its median
EVENTS_EXPLAINED = (
    "Delay: from the start of a reference segment to the start of the first event of its label "
    "that overlaps it, at least 0, and what model.lookahead waits; segments without such an event "
    "are missed. False events overlap "
    "no segment of their label. Events that lie for the most part in unlabelled time are not "
    "counted."
)
EXPLANATION = (
    "Frame figures rest on the labelled instants. Frame accuracy: the share of them at which "
    "exactly the labels that are shown were given. AP: average precision of a class over them; "
    "mAP: its mean over the classes that occur, without background. " + EVENTS_EXPLAINED
)


@dataclass(frozen=True)
class ScoredVideo:
    """One video: its labelled instants, and its events.

    scores (M, C), truth (M, C) bool: of the labelled instants. labelled_s: their time.
    delays_s: of each reference segment that was found; missed: how many were not.
    """

    group: str
    scores: FloatArray
    truth: BoolArray
    timeline: ScoredTimeline
    labelled_s: float
    delays_s: tuple[float, ...]
    missed: int
    false_events: int


@dataclass(frozen=True)
class FramesReport:
    """One trained run on some long videos.

    background: classes that are no events. thresholds (C,): from which a class counts as shown,
    where an instant may have several labels; None where it has one. alone: the frame accuracy of
    the model without memory; None where none was trained.
    """

    run_name: str
    data: str  # one line: which data this is
    split: str
    classes: tuple[str, ...]
    videos: tuple[ScoredVideo, ...]
    background: tuple[str, ...] = ()
    thresholds: tuple[float, ...] | None = None
    alone: float | None = None
    quarantined: Mapping[str, str] = field(default_factory=dict)
    leakage_allowed: bool = False
    seen_in_training: bool = False
    seed: int = 0
    noun: str = "video"

    @cached_property
    def scores(self) -> FloatArray:
        return np.concatenate([video.scores for video in self.videos])

    @cached_property
    def truth(self) -> BoolArray:
        return np.concatenate([video.truth for video in self.videos])

    @cached_property
    def answers(self) -> BoolArray:
        """What is said to be shown at each instant, (M, C)."""
        return frame_answers(self.scores, self.thresholds)

    @cached_property
    def right(self) -> BoolArray:
        """Whether exactly what is shown was said, (M,)."""
        return np.asarray((self.answers == self.truth).all(1), np.bool_)

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @cached_property
    def interval(self) -> Interval | None:
        """The 95% interval of the frame accuracy over groups; None for one group."""
        names = [video.group for video in self.videos for _ in range(len(video.truth))]
        return stats.group_bootstrap_interval(self.right, names, self.seed)

    @property
    def groups(self) -> int:
        return len({video.group for video in self.videos})

    @property
    def guess(self) -> float:
        """The accuracy of always giving the most frequent answer of these instants."""
        _, counts = np.unique(self.truth, axis=0, return_counts=True)
        return float(counts.max() / len(self.truth))

    @property
    def beats_guessing(self) -> bool:
        enough = self.groups >= FEW_GROUPS
        return enough and stats.lies_above(self.interval, self.guess)

    @cached_property
    def per_class(self) -> list[dict[str, Any]]:
        """Of each class its instants, precision, recall, F1 and AP; None where undefined."""
        rows = []
        for number, name in enumerate(self.classes):
            said, shown = self.answers[:, number], self.truth[:, number]
            right = int((said & shown).sum())
            figures = stats.precision_recall_f1(right, int(said.sum()), int(shown.sum()))
            ap = stats.average_precision(self.scores[:, number], shown)
            values = dict(zip(("precision", "recall", "f1"), figures, strict=True))
            rows.append({"label": name, "instants": int(shown.sum()), **values, "ap": ap})
        return rows

    @property
    def macro_f1(self) -> float | None:
        """Over the classes that occur."""
        return _mean([row["f1"] for row in self.per_class])

    @property
    def mean_ap(self) -> float | None:
        """Over the classes that occur, without background."""
        return _mean([row["ap"] for row in self.per_class if row["label"] not in self.background])

    @cached_property
    def confusion(self) -> IntArray | None:
        """(C, C), rows are true; None where an instant may have several labels."""
        if self.thresholds is not None:
            return None
        count = len(self.classes)
        cells = self.truth.argmax(1) * count + self.answers.argmax(1)
        return np.bincount(cells, minlength=count**2).reshape(count, count).astype(np.int64)

    @cached_property
    def segments(self) -> SegmentScores:
        return pool_segment_scores([video.timeline.scores for video in self.videos])

    @property
    def delays_s(self) -> dict[str, float | None]:
        """Median and late quantile of the delay of the segments that were found."""
        delays_s = [delay_s for video in self.videos for delay_s in video.delays_s]
        if not delays_s:
            return {"median": None, "late": None}
        low, high = np.quantile(delays_s, [0.5, LATE]).tolist()
        return {"median": low, "late": high}

    @property
    def missed(self) -> tuple[int, int]:
        """How many reference segments no event met, of how many."""
        missed = sum(video.missed for video in self.videos)
        return missed, missed + sum(len(video.delays_s) for video in self.videos)

    @property
    def labelled_s(self) -> float:
        return sum(video.labelled_s for video in self.videos)

    @property
    def false_an_hour(self) -> float:
        return 3600 * sum(video.false_events for video in self.videos) / self.labelled_s

    @property
    def false_events(self) -> str:
        """In words: the count and the time come first, since a few minutes are no hour."""
        count = sum(video.false_events for video in self.videos)
        return (
            f"{count} false events in {self.labelled_s / 60:.1f} labelled minutes "
            f"({self.false_an_hour:.1f} an hour)"
        )

    @property
    def sentence(self) -> str:
        """The result in words; with few groups it says that it is no verdict."""
        count, missed = len(self.videos), self.missed
        is_new = not (self.leakage_allowed or self.seen_in_training)
        kinds = {"train": "training ", "val": "validation "}
        kind = kinds.get(self.split, "new " if is_new else "")
        text = (
            f"Right at {md.percent(self.accuracy)} of {len(self.truth)} labelled instants of "
            f"{count} {kind}{counted(count, self.noun).partition(' ')[2]} ({self._bounds()})"
        )
        if self.accuracy <= self.guess:
            text += f", no more than the most frequent answer alone ({md.percent(self.guess)})"
        if missed[1]:
            median_s = self.delays_s["median"]
            delay = "" if median_s is None else f", half of them within {median_s:.2f} s"
            text += f"; {missed[1] - missed[0]} of {missed[1]} segments were found{delay}"
        if self.groups < FEW_GROUPS:
            return text + f". {counted(self.groups, 'group')}: too few to speak of others."
        if not self.beats_guessing:
            text += "; not shown to be better than guessing"
        return f"{text}."

    def _bounds(self) -> str:
        if self.interval is None:
            return "no interval: all are of one group"
        return f"{int(100 * self.interval[0])} to {int(np.ceil(100 * self.interval[1]))} %"

    @property
    def summary(self) -> dict[str, Any]:
        """The main figures, as the command prints them with --json."""
        return {
            "videos": len(self.videos),
            "instants": len(self.truth),
            "sentence": self.sentence,
            "better_than_guessing": self.beats_guessing,
            "frame_accuracy": self.accuracy,
            "frame_accuracy_interval": self.interval,
            "macro_f1": self.macro_f1,
            "mean_ap": self.mean_ap,
            "f1": {f"{100 * overlap:g}": value for overlap, value in self.segments.f1.items()},
            "edit": self.segments.edit,
            "delay_s": self.delays_s,
            "segments_missed": self.missed[0],
            "segments": self.missed[1],
            "labelled_s": self.labelled_s,
            "false_events_an_hour": self.false_an_hour,
            "baselines": {"most_frequent": self.guess, "alone": self.alone},
        }

    @property
    def score_line(self) -> str:
        """The main figures in lines for a person."""
        f1, delays_s = self.segments.f1, self.delays_s
        found = [f"F1@{100 * overlap:g} {value:.3f}" for overlap, value in f1.items()]
        return (
            f"{counted(len(self.videos), self.noun)}, {len(self.truth)} instants: frame accuracy "
            f"{self.accuracy:.3f}, macro F1 {md.figure_text(self.macro_f1)}, mAP "
            f"{md.figure_text(self.mean_ap)} (each frame alone {md.figure_text(self.alone)}, "
            f"most frequent answer {self.guess:.3f})\n"
            f"{', '.join(found)}, edit {self.segments.edit:.3f}, delay "
            f"{_seconds(delays_s['median'])} (90 %: {_seconds(delays_s['late'])}), "
            f"{self.false_events}"
        )

    def to_json(self) -> dict[str, object]:
        return {
            "run": self.run_name,
            "data": self.data,
            "split": self.split,
            **self.summary,
            "classes": self.classes,
            "groups": self.groups,
            "per_class": self.per_class,
            "confusion_matrix": None if self.confusion is None else self.confusion.tolist(),
            "leakage_allowed": self.leakage_allowed,
            "quarantined": [{"path": p, "reason": why} for p, why in self.quarantined.items()],
            "timelines": segments.timelines_json([video.timeline for video in self.videos]),
        }


def frame_answers(scores: FloatArray, thresholds: Sequence[float] | None) -> BoolArray:
    """What (M, C) scores say is shown: the best class, or each from its threshold on."""
    if thresholds is not None:
        return np.asarray(scores >= np.asarray(thresholds), dtype=np.bool_)
    said = np.zeros(scores.shape, dtype=np.bool_)
    said[np.arange(len(scores)), scores.argmax(1)] = True
    return said


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _seconds(value: float | None) -> str:
    return md.NONE if value is None else f"{value:.2f} s"


def write_frames_report(report: FramesReport, folder: Path) -> Path:
    """Write report.json, pictures, report.md and report.html, each atomically."""
    figures = {}
    if report.confusion is not None:
        figures["confusion_matrix"] = plots.plot_confusion(report.confusion, report.classes)
    segments.write_timelines([video.timeline for video in report.videos], folder)
    title = f"{report.run_name}: {report.split}"
    text = _markdown(report, title)
    return plots.write_documents(folder, "report", report.to_json(), text, figures, title)


def _markdown(report: FramesReport, title: str) -> str:
    bounds = " to ".join(map(md.percent, report.interval)) if report.interval else md.NONE
    rows = [
        ["this model", md.percent(report.accuracy), bounds],
        ["each frame alone, no memory", md.percent(report.alone), ""],
        ["the most frequent answer of these instants", md.percent(report.guess), ""],
    ]
    delays_s, (missed, of) = report.delays_s, report.missed
    figures = ("precision", "recall", "f1", "ap")
    classes = [
        [row["label"], row["instants"], *(md.percent(row[key]) for key in figures)]
        for row in report.per_class
    ]
    text = md.paragraphs(
        f"# {md.escape(title)}",
        f"**{md.escape(report.sentence)}**",
        md.LEAKAGE_HINT if report.leakage_allowed else "",
        md.escape(report.data),
        f"{counted(len(report.videos), report.noun)} of {counted(report.groups, 'group')}. "
        f"Labelled instants: {len(report.truth)}. Classes: {len(report.classes)}.",
        md.table(["", "frame accuracy", "95% interval"], rows),
        f"Macro F1 {md.percent(report.macro_f1)}, mAP {md.percent(report.mean_ap)}.",
        f"Delay: median {_seconds(delays_s['median'])}, 90 % within "
        f"{_seconds(delays_s['late'])}; {missed} of {of} segments missed; "
        f"{report.false_events}.",
        EXPLANATION,
        "## Classes",
        md.table(["class", "instants", "precision", "recall", "F1", "AP"], classes),
        segments.timelines_markdown([v.timeline for v in report.videos], report.noun),
        md.picture("confusion_matrix") if report.confusion is not None else "",
        "## Notes",
        md.bullets(_notes(report)),
    )
    return f"{text}\n"


def _notes(report: FramesReport) -> list[str]:
    notes = [md.LEAKAGE_NOTE] if report.leakage_allowed else []
    if report.interval is None:
        notes.append(f"No interval: all {report.noun}s belong to one group.")
    elif report.groups < 10:
        notes.append(f"The interval rests on {report.groups} groups only: take it as a hint.")
    absent = [row["label"] for row in report.per_class if not row["instants"]]
    if absent:
        notes.append(
            f"Not shown in these {report.noun}s, so not scored: {md.escape(', '.join(absent))}."
        )
    reasons = (f"{md.escape(p)}: {md.escape(why)}" for p, why in report.quarantined.items())
    return [*notes, *(f"Left out: {reason}." for reason in reasons)]
