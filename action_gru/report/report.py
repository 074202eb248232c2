"""The record of one evaluation: report.json for programs, report.md and pictures for people.

Knows nothing of how the predictions came about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from action_gru.errors import DataError
from action_gru.report.anytime import AnytimeReport
from action_gru.report.anytime_picture import anytime_picture
from action_gru.report.confidence import ConfidenceReport
from action_gru.report.confidence_picture import risk_coverage_picture
from action_gru.report.files import json_text, replace_file
from action_gru.report.gallery import (
    Mistake,
    mistakes_markdown,
    mistakes_picture,
    worst_mistakes,
)
from action_gru.report.markdown import (
    bullets,
    class_table,
    confusions,
    data_notes,
    escape,
    percent,
    score_table,
)
from action_gru.report.metrics import Metrics
from action_gru.report.order import OrderReport
from action_gru.report.order_picture import order_picture
from action_gru.report.page import html_page
from action_gru.report.pictures import metric_pictures, save_picture
from action_gru.report.predictions import TOP_K, ClipPrediction
from action_gru.report.sections import anytime_markdown, confidence_markdown, order_markdown
from action_gru.report.sentence import closing_sentence
from action_gru.report.timelines import (
    ScoredTimeline,
    timelines_json,
    timelines_markdown,
    write_timelines,
)
from action_gru.report.uncertainty import best_guess, group_bootstrap_interval, lies_above
from action_gru.report.warnings import WarnedSequence, WarningScores, warning_scores
from action_gru.report.warnings_report import warnings_markdown, warnings_picture

WORST_SHOWN = 12
METRIC_PICTURES = ("confusion_matrix", "per_class_accuracy", "reliability")


@dataclass(frozen=True)
class EvaluationReport:
    """One trained run on one split. A baseline of None needs its reason in baseline_notes."""

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
    warned: tuple[WarnedSequence, ...] = ()  # of sequences that have an end
    warn_of: tuple[float, float] = (0.0, 0.5)  # horizon, threshold
    seed: int = 0  # of the bootstrap
    order: OrderReport | None = None
    anytime: AnytimeReport | None = None
    confidence: ConfidenceReport | None = None
    mistakes: tuple[Mistake, ...] = ()  # with frames; without any the surest are listed

    def __post_init__(self) -> None:
        if len(self.predictions) != self.metrics.clips:
            raise DataError(
                f"a report lists each scored clip once; got {len(self.predictions)} "
                f"predictions and metrics over {self.metrics.clips} clips"
            )
        check_baselines(self.baselines, self.baseline_notes)

    @cached_property
    def top1_interval(self) -> tuple[float, float] | None:
        """The 95% interval over groups; None when there is one group only."""
        correct = [clip.correct for clip in self.predictions]
        return group_bootstrap_interval(
            correct, [clip.group for clip in self.predictions], self.seed
        )

    @property
    def beats_guessing(self) -> bool:
        """Whether the interval lies above what always naming the most frequent class would give."""
        return lies_above(self.top1_interval, best_guess([clip.label for clip in self.predictions]))

    @property
    def sentence(self) -> str:
        """What the score is, for people."""
        is_new = not (self.leakage_allowed or self.seen_in_training)
        known = {"train": "training clips", "val": "validation clips"}
        clips = known.get(self.split, "new clips" if is_new else "clips")
        return closing_sentence(self.metrics, self.top1_interval, self.beats_guessing, clips)

    @cached_property
    def warnings(self) -> WarningScores | None:
        """How good the warnings are; None where no end is warned of."""
        return warning_scores(self.warned, *self.warn_of, self.seed) if self.warned else None

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps."""
        interval = self.top1_interval
        return {
            "run": self.run_name,
            "data": self.data,
            "split": self.split,
            "sentence": self.sentence,
            "better_than_guessing": self.beats_guessing,
            **metrics_json(self.metrics),
            "top1_interval": list(interval) if interval else None,
            "groups": len({clip.group for clip in self.predictions}),
            "baselines": dict(self.baselines),
            "baseline_notes": dict(self.baseline_notes),
            "leakage_allowed": self.leakage_allowed,
            "quarantined": quarantine_json(self.quarantined),
            "order": self.order.to_json() if self.order else None,
            "anytime": self.anytime.to_json() if self.anytime else None,
            "confidence": self.confidence.to_json() if self.confidence else None,
            "timelines": timelines_json(self.timelines),
            "warnings": self.warnings.to_json() if self.warnings else None,
            "predictions": [clip.to_json() for clip in self.predictions],
        }


def write_report(report: EvaluationReport, folder: Path | str) -> Path:
    """Write report.json, pictures, report.md and report.html, each atomically; report.json's path.

    report.html holds all pictures and needs nothing else.
    """
    target = Path(folder)
    pictures = _pictures(report)
    for name, figure in pictures.items():
        save_picture(figure, target / name)
    write_timelines(report.timelines, target)
    if report.warned:
        save_picture(warnings_picture(report.warned, *report.warn_of), target / "warnings.png")
    text = _markdown(report)
    replace_file(target / "report.md", text.encode())
    page = html_page(text, f"{report.run_name}: {report.split}", target)
    replace_file(target / "report.html", page.encode())
    replace_file(target / "report.json", json_text(report.to_json()).encode())
    return target / "report.json"


def _pictures(report: EvaluationReport) -> dict[str, Figure]:
    """By file name."""
    trust = report.confidence
    calibrated = trust is not None and trust.temperature is not None
    pictures = metric_pictures(report.metrics, trust.before if trust and calibrated else None)
    if report.order is not None:
        pictures["order.png"] = order_picture(report.order)
    if report.anytime is not None:
        pictures["anytime.png"] = anytime_picture(report.anytime)
    if report.confidence is not None:
        pictures["risk_coverage.png"] = risk_coverage_picture(report.confidence)
    if any(mistake.frames for mistake in report.mistakes):
        pictures["mistakes.png"] = mistakes_picture(report.mistakes)
    return pictures


def metrics_json(metrics: Metrics) -> dict[str, object]:
    """The keys that every report.json has at its top level."""
    return {
        "clips": metrics.clips,
        "classes": list(metrics.classes),
        "classes_without_clips": list(metrics.classes_without_clips),
        "top1": metrics.top1,
        "top5": metrics.top5,
        "mean_class_accuracy": metrics.mean_class_accuracy,
        "macro_f1": metrics.macro_f1,
        "expected_calibration_error": metrics.expected_calibration_error,
        "per_class": [asdict(row) for row in metrics.per_class],
        "confusion_matrix": metrics.confusion_matrix.tolist(),
        "calibration": [one._asdict() for one in metrics.calibration],
    }


def quarantine_json(quarantined: Mapping[str, str]) -> list[dict[str, str]]:
    """One record a clip that could not be used."""
    return [{"path": path, "reason": reason} for path, reason in quarantined.items()]


def check_baselines(baselines: Mapping[str, float | None], notes: Mapping[str, str]) -> None:
    """Raise DataError unless each baseline has a score or the reason why it has none."""
    silent = [name for name, score in baselines.items() if score is None and name not in notes]
    if silent:
        raise DataError(f"baseline without a score: {', '.join(silent)}; say why in baseline_notes")


def _markdown(report: EvaluationReport) -> str:
    metrics = report.metrics
    wrong = sum(not clip.correct for clip in report.predictions)
    worst = [Mistake(clip) for clip in worst_mistakes(report.predictions, WORST_SHOWN)]
    groups = len({clip.group for clip in report.predictions})
    parts = [
        f"# {escape(report.run_name)}: {escape(report.split)}",
        f"**{escape(report.sentence)}**",
        *(["**Leakage was allowed: see the notes.**"] if report.leakage_allowed else []),
        f"{escape(report.data)}\n\n{metrics.clips} clips, {len(metrics.classes)} classes, "
        f"{groups} groups.",
        score_table(metrics.top1, report.top1_interval, report.baselines, report.baseline_notes),
        _other_scores(metrics),
        "## Classes\n\n" + class_table(metrics.per_class),
        "## Most frequent confusions\n\n" + confusions(metrics.confusion_matrix, metrics.classes),
        *([timelines_markdown(report.timelines)] if report.timelines else []),
        *([warnings_markdown(report.warnings, "warnings.png")] if report.warnings else []),
        *([order_markdown(report.order)] if report.order else []),
        *([anytime_markdown(report.anytime)] if report.anytime else []),
        *([confidence_markdown(report.confidence)] if report.confidence else []),
        "## Worst mistakes\n\n" + mistakes_markdown(report.mistakes or worst, wrong),
        "## Pictures\n\n" + "\n\n".join(f"![{name}]({name}.png)" for name in METRIC_PICTURES),
        "## Notes\n\n" + bullets(_notes(report, groups)),
    ]
    return "\n\n".join(parts) + "\n"


def _other_scores(metrics: Metrics) -> str:
    top5 = f"top-5 {percent(metrics.top5)}, " if len(metrics.classes) > TOP_K else ""
    return (
        f"Also: {top5}mean class accuracy {percent(metrics.mean_class_accuracy)}, "
        f"macro F1 {percent(metrics.macro_f1)}, "
        f"expected calibration error {metrics.expected_calibration_error:.3f}."
    )


def _notes(report: EvaluationReport, groups: int) -> list[str]:
    interval = report.top1_interval
    notes = data_notes(
        report.metrics.per_class, report.metrics.clips, report.quarantined, report.leakage_allowed
    )
    if interval is None:
        notes.append("No interval: all clips belong to one group.")
    elif groups < 10:
        notes.append(f"The interval rests on {groups} groups only: take it as a hint.")
    if len(report.metrics.classes) <= TOP_K:
        notes.append("Top-5 is left out above: with five classes or fewer it is always 100%.")
    return notes
