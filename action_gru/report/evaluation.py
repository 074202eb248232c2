"""The report of one evaluation: report.json for programs, report.md, HTML and plots for people.

Knows nothing of how the predictions came about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from action_gru.core.text import name_or_count
from action_gru.report import markdown as md
from action_gru.report.anytime import AnytimeReport
from action_gru.report.confidence import ConfidenceReport
from action_gru.report.early_warning import WarningReport
from action_gru.report.files import json_text, replace_file
from action_gru.report.metrics import Metrics, largest_confusions
from action_gru.report.mistakes import (
    TOP_K,
    ClipPrediction,
    Mistake,
    mistakes_markdown,
    plot_mistakes,
    worst_mistakes,
)
from action_gru.report.order import OrderReport
from action_gru.report.plots import plot_classes, plot_confusion, plot_reliability, save_figure
from action_gru.report.segments import (
    ScoredTimeline,
    timelines_json,
    timelines_markdown,
    write_timelines,
)
from action_gru.report.statistics import Interval, best_guess, group_bootstrap_interval, lies_above

WORST_SHOWN = 12
METRIC_PLOTS = ("confusion_matrix", "per_class_accuracy", "reliability")
# A confusion is named if it is no slip: so many clips, and so large a share of the true class's.
NAMED_CLIPS, NAMED_SHARE = 2, 0.25
MOST_CONFUSIONS = 2

# The sections that tell, draw and store themselves, by their key in report.json.
SECTION_PLOTS = {
    "warnings": "warnings.png",
    "order": "order.png",
    "anytime": "anytime.png",
    "confidence": "risk_coverage.png",
}
Section = WarningReport | OrderReport | AnytimeReport | ConfidenceReport


@dataclass(frozen=True)
class EvaluationReport:
    """One trained run on one split; baseline_notes says why a baseline is None."""

    run_name: str
    data: str  # one line: which data this is
    split: str
    metrics: Metrics
    predictions: tuple[ClipPrediction, ...]
    baselines: Mapping[str, float | None]  # name -> top-1
    baseline_notes: Mapping[str, str] = field(default_factory=dict)
    quarantined: Mapping[str, str] = field(default_factory=dict)  # path -> reason
    leakage_allowed: bool = False
    seen_in_training: bool = False  # some of the clips
    timelines: tuple[ScoredTimeline, ...] = ()  # of long videos
    seed: int = 0  # of the bootstrap
    warnings: WarningReport | None = None  # of the end of sequences
    order: OrderReport | None = None
    anytime: AnytimeReport | None = None
    confidence: ConfidenceReport | None = None
    mistakes: tuple[Mistake, ...] = ()  # with frames; without any the surest are listed

    @cached_property
    def top1_interval(self) -> Interval | None:
        """The 95% interval over groups; None when there is one group only."""
        correct = [clip.correct for clip in self.predictions]
        groups = [clip.group for clip in self.predictions]
        return group_bootstrap_interval(correct, groups, self.seed)

    @property
    def groups(self) -> int:
        return len({clip.group for clip in self.predictions})

    @property
    def beats_guessing(self) -> bool:
        """Whether the interval lies above what always naming the most frequent class would give."""
        return lies_above(self.top1_interval, best_guess([clip.label for clip in self.predictions]))

    @property
    def sentence(self) -> str:
        """Return the score as a sentence for people."""
        is_new = not (self.leakage_allowed or self.seen_in_training)
        known = {"train": "training clips", "val": "validation clips"}
        clips = known.get(self.split, "new clips" if is_new else "clips")
        return closing_sentence(self.metrics, self.top1_interval, self.beats_guessing, clips)

    @property
    def sections(self) -> dict[str, Section]:
        """Those that were asked for, by their key in report.json."""
        return {key: found for key in SECTION_PLOTS if (found := getattr(self, key)) is not None}

    def to_json(self) -> dict[str, object]:
        """Return JSON-serialisable values."""
        return {
            "run": self.run_name,
            "data": self.data,
            "split": self.split,
            "sentence": self.sentence,
            "better_than_guessing": self.beats_guessing,
            **self.metrics.to_json(),
            "top1_interval": self.top1_interval,
            "groups": self.groups,
            "baselines": dict(self.baselines),
            "baseline_notes": dict(self.baseline_notes),
            "leakage_allowed": self.leakage_allowed,
            "quarantined": quarantine_json(self.quarantined),
            **dict.fromkeys(SECTION_PLOTS),
            **{key: section.to_json() for key, section in self.sections.items()},
            "timelines": timelines_json(self.timelines),
            "predictions": [clip.to_json() for clip in self.predictions],
        }


def quarantine_json(quarantined: Mapping[str, str]) -> list[dict[str, str]]:
    """One record a clip that could not be used."""
    return [{"path": path, "reason": reason} for path, reason in quarantined.items()]


def closing_sentence(
    metrics: Metrics, interval: Interval | None, beats_guessing: bool, clips: str
) -> str:
    """'Right on 5 of 7 new clips (37 to 94 %); punch looks like kick (2 of 3).'

    clips: what they are called, such as 'new clips'. Classes of which no clip was scored follow.
    """
    right = int(metrics.confusion_matrix.trace())
    bounds = "no interval: all are of one group"
    if interval is not None:  # rounded outwards: the words promise no more than the figures
        bounds = f"{math.floor(100 * interval[0])} to {math.ceil(100 * interval[1])} %"
    text = f"Right on {right} of {metrics.clips} {clips} ({bounds})"
    if not beats_guessing:
        text += ", which is not shown to be better than guessing"
    for count, row, column in largest_confusions(metrics.confusion_matrix)[:MOST_CONFUSIONS]:
        true, support = metrics.classes[row], metrics.per_class[row].support
        if count >= NAMED_CLIPS and count >= NAMED_SHARE * support:
            text += f"; {true} looks like {metrics.classes[column]} ({count} of {support})"
    text += "."
    absent = metrics.classes_without_clips
    if absent:
        whom = name_or_count(absent, len(metrics.classes))
        text += f" There is no clip of {whom} among them: the score says nothing of "
        text += "it." if len(absent) == 1 else "these."
    return text


def write_report(report: EvaluationReport, folder: Path | str) -> Path:
    """Write report.json, plots, report.md and report.html, each atomically; report.json's path.

    report.html holds all plots and needs nothing else.
    """
    target = Path(folder)
    for name, figure in _plots(report).items():
        save_figure(figure, target / name)
    write_timelines(report.timelines, target)
    text = _markdown(report)
    replace_file(target / "report.md", text.encode())
    page = md.html_page(text, f"{report.run_name}: {report.split}", target)
    replace_file(target / "report.html", page.encode())
    replace_file(target / "report.json", json_text(report.to_json()).encode())
    return target / "report.json"


def _plots(report: EvaluationReport) -> dict[str, Figure]:
    """By file name."""
    metrics, trust = report.metrics, report.confidence
    before = trust.bins_before if trust and trust.temperature is not None else None
    plots = {
        "confusion_matrix.png": plot_confusion(metrics.confusion_matrix, metrics.classes),
        "per_class_accuracy.png": plot_classes(metrics.per_class),
        "reliability.png": plot_reliability(metrics.calibration, before),
    }
    for key, section in report.sections.items():
        plots[SECTION_PLOTS[key]] = section.plot()
    if any(mistake.frames for mistake in report.mistakes):
        plots["mistakes.png"] = plot_mistakes(report.mistakes)
    return plots


def _markdown(report: EvaluationReport) -> str:
    metrics = report.metrics
    wrong = sum(not clip.correct for clip in report.predictions)
    worst = [Mistake(clip) for clip in worst_mistakes(report.predictions, WORST_SHOWN)]
    top5 = f"top-5 {md.percent(metrics.top5)}, " if len(metrics.classes) > TOP_K else ""
    parts = [
        f"# {md.escape(report.run_name)}: {md.escape(report.split)}",
        f"**{md.escape(report.sentence)}**",
        "**Leakage was allowed: see the notes.**" if report.leakage_allowed else "",
        md.escape(report.data),
        f"{metrics.clips} clips, {len(metrics.classes)} classes, {report.groups} groups.",
        md.score_table(metrics.top1, report.top1_interval, report.baselines, report.baseline_notes),
        f"Also: {top5}mean class accuracy {md.percent(metrics.mean_class_accuracy)}, "
        f"macro F1 {md.percent(metrics.macro_f1)}, "
        f"expected calibration error {metrics.expected_calibration_error:.3f}.",
        "## Classes\n\n" + md.class_table(metrics.per_class),
        "## Most frequent confusions\n\n"
        + md.confusions(metrics.confusion_matrix, metrics.classes),
        timelines_markdown(report.timelines) if report.timelines else "",
        *(section.markdown() for section in report.sections.values()),
        "## Worst mistakes\n\n" + mistakes_markdown(report.mistakes or worst, wrong),
        "## Pictures\n\n" + "\n\n".join(f"![{name}]({name}.png)" for name in METRIC_PLOTS),
        "## Notes\n\n" + md.bullets(_notes(report)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _notes(report: EvaluationReport) -> list[str]:
    notes = md.data_notes(
        report.metrics.per_class, report.metrics.clips, report.quarantined, report.leakage_allowed
    )
    if report.top1_interval is None:
        notes.append("No interval: all clips belong to one group.")
    elif report.groups < 10:
        notes.append(f"The interval rests on {report.groups} groups only: take it as a hint.")
    if len(report.metrics.classes) <= TOP_K:
        notes.append("Top-5 is left out above: with five classes or fewer it is always 100%.")
    return notes
