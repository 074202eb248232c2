"""The report of one evaluation: report.json, report.md, HTML and plots. Opens no video."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from action_gru.core.text import counted, name_or_count
from action_gru.report import documents as md
from action_gru.report import metrics as stats
from action_gru.report import plots, segments
from action_gru.report.anytime import AnytimeReport
from action_gru.report.confidence import ConfidenceReport
from action_gru.report.early_warning import WarningReport
from action_gru.report.metrics import Interval, Metrics
from action_gru.report.order import OrderReport
from action_gru.report.segments import ScoredTimeline
from action_gru.timeline import Prediction
from action_gru.timeline.events import NOTHING, SEVERAL
from action_gru.timeline.segments import names_of

TOP_K = 5
WORST_SHOWN = 12
FRAMES_SHOWN = 6
TITLE_LENGTH, PROBLEM_LENGTH = 96, 120
ROW_IN, WIDTH_IN = 1.45, 10.0
# The sentence names a confusion of at least so many clips and such a share of the true class.
NAMED_CLIPS, NAMED_SHARE = 2, 0.25
MOST_CONFUSIONS = 2

# The plots of the sections, by their key in report.json.
SECTION_PLOTS = {key: key for key in ("warnings", "order", "anytime")}
SECTION_PLOTS["confidence"] = "risk_coverage"
Section = WarningReport | OrderReport | AnytimeReport | ConfidenceReport
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ClipPrediction:
    """The true label of one clip and the model's prediction."""

    path: str
    group: str
    label: str  # the truth
    prediction: Prediction
    start_s: float | None = None  # None: from the start
    end_s: float | None = None  # None: to the end

    @property
    def correct(self) -> bool:
        """Whether the answer is the true label; of several labels, whether it is all of them."""
        if self.prediction.active is not None:
            return set(self.prediction.active) == set(names_of(self.label))
        return self.prediction.label == self.label

    @property
    def wrong_by(self) -> float:
        """How sure a wrong answer is; of several labels, the surest of them that is wrong."""
        active, true = self.prediction.active, names_of(self.label)
        if active is None:
            return self.prediction.score
        named = self.prediction.top(len(self.prediction.labels))
        wrong = [
            score if name in active else 1 - score
            for name, score in named
            if (name in active) != (name in true)
        ]
        return max(wrong, default=0.0)

    @property
    def given(self) -> str:
        """What the model answers."""
        several = self.prediction.active is not None
        return self.prediction.display_label if several else self.prediction.label

    @property
    def true(self) -> str:
        """What the clip shows, in the words of `given`."""
        if self.prediction.active is None:
            return self.label
        return SEVERAL.join(names_of(self.label)) or NOTHING

    @property
    def name(self) -> str:
        """The path, and which stretch of it if it is not all."""
        if self.start_s is None and self.end_s is None:
            return self.path
        end = "end" if self.end_s is None else f"{self.end_s:.1f} s"
        return f"{self.path} ({self.start_s or 0:.1f} s to {end})"

    def to_json(self) -> dict[str, object]:
        best = self.prediction.top(TOP_K)
        return {
            "path": self.path,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "group": self.group,
            "true_label": self.label,
            "predicted_label": self.prediction.label,
            "score": self.prediction.score,
            "top": [{"label": label, "score": score} for label, score in best],
        } | self._several()

    def _several(self) -> dict[str, object]:
        active = self.prediction.active
        if active is None:
            return {}
        return {"true_labels": list(names_of(self.label)), "predicted_labels": list(active)}


@dataclass(frozen=True)
class Mistake:
    """A wrong answer with frames along its clip; problem: why there are none."""

    clip: ClipPrediction
    frames: tuple[tuple[float, Image], ...] = ()  # (time_s, (H, W, 3) RGB) each
    problem: str = ""


def worst_mistakes(predictions: Sequence[ClipPrediction], count: int) -> list[ClipPrediction]:
    """Return the wrong answers with the highest scores, highest first."""
    wrong = [clip for clip in predictions if not clip.correct]
    return sorted(wrong, key=lambda clip: -clip.wrong_by)[:count]


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
        return stats.group_bootstrap_interval(correct, groups, self.seed)

    @property
    def groups(self) -> int:
        return len({clip.group for clip in self.predictions})

    @property
    def beats_guessing(self) -> bool:
        """Whether the interval is above the share of the most frequent class."""
        return stats.lies_above(
            self.top1_interval, stats.best_guess([clip.label for clip in self.predictions])
        )

    @property
    def sentence(self) -> str:
        """Return the score as a sentence for people."""
        new = "clips" if self.leakage_allowed or self.seen_in_training else "new clips"
        clips = {"train": "training clips", "val": "validation clips"}.get(self.split, new)
        told = f"{self.warnings.sentence} " if self.warnings else ""
        return told + closing_sentence(self.metrics, self.top1_interval, self.beats_guessing, clips)

    @property
    def sections(self) -> dict[str, Section]:
        """The sections that were measured, by their key in report.json."""
        return {key: found for key in SECTION_PLOTS if (found := getattr(self, key)) is not None}

    def to_json(self) -> dict[str, object]:
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
            "quarantined": [{"path": p, "reason": why} for p, why in self.quarantined.items()],
            **dict.fromkeys(SECTION_PLOTS),
            **{key: section.to_json() for key, section in self.sections.items()},
            "timelines": segments.timelines_json(self.timelines),
            "predictions": [clip.to_json() for clip in self.predictions],
        }


def closing_sentence(
    metrics: Metrics, interval: Interval | None, beats_guessing: bool, clips: str
) -> str:
    """'Right on 5 of 7 new clips (37 to 94 %); punch looks like kick (2 of 3).'

    clips: the noun, such as 'new clips'. Classes without a scored clip are named at the end.
    """
    right = int(metrics.confusion_matrix.trace())
    bounds = "no interval: all are of one group"
    if interval is not None:  # rounded outwards: the words promise no more than the figures
        bounds = f"{math.floor(100 * interval[0])} to {math.ceil(100 * interval[1])} %"
    text = f"Right on {right} of {metrics.clips} {clips} ({bounds})"
    if not beats_guessing:
        text += ", which is not shown to be better than guessing"
    for count, row, column in stats.largest_confusions(metrics.confusion_matrix)[:MOST_CONFUSIONS]:
        true, support = metrics.classes[row], metrics.per_class[row].support
        if count >= NAMED_CLIPS and count >= NAMED_SHARE * support:
            text += f"; {true} looks like {metrics.classes[column]} ({count} of {support})"
    if absent := metrics.classes_without_clips:
        names = name_or_count(absent, len(metrics.classes))
        text += f". There is no clip of {names} among them: the score says nothing of "
        text += "it" if len(absent) == 1 else "these"
    return f"{text}."


def write_report(report: EvaluationReport, folder: Path | str) -> Path:
    """Write report.json, plots, report.md and report.html, each atomically; report.json's path."""
    target, metrics, trust = Path(folder), report.metrics, report.confidence
    before = trust.bins_before if trust and trust.temperature is not None else None
    figures = {
        "confusion_matrix": plots.plot_confusion(metrics.confusion_matrix, metrics.classes),
        "per_class_accuracy": plots.plot_classes(metrics.per_class),
        "reliability": plots.plot_reliability(metrics.calibration, before),
        **{SECTION_PLOTS[key]: section.plot() for key, section in report.sections.items()},
    }
    if any(mistake.frames for mistake in report.mistakes):
        figures["mistakes"] = plot_mistakes(report.mistakes)
    segments.write_timelines(report.timelines, target)
    title, text = f"{report.run_name}: {report.split}", _markdown(report)
    return plots.write_documents(target, "report", report.to_json(), text, figures, title)


def plot_mistakes(mistakes: Sequence[Mistake]) -> Figure:
    """A row a mistake: the true and the predicted class, and frames along time."""
    figure = plots.new_figure(WIDTH_IN, ROW_IN * len(mistakes))
    rows = figure.subfigures(len(mistakes), 1, squeeze=False)[:, 0]
    for row, mistake in zip(rows, mistakes, strict=True):
        clip = mistake.clip
        title = f"{clip.true}, taken for {clip.given} ({md.percent(clip.wrong_by)}): {clip.name}"
        title = _one_line(title, TITLE_LENGTH)
        row.suptitle(title, x=0.01, ha="left", fontsize=9, parse_math=False)
        all_axes = row.subplots(1, FRAMES_SHOWN)
        for axes in all_axes:
            axes.set_axis_off()
        for axes, (time_s, image) in zip(all_axes, mistake.frames, strict=False):
            axes.imshow(image)
            axes.set_title(f"{time_s:.2f} s", fontsize=7, color=plots.GREY, pad=2)
        if not mistake.frames:
            text = _one_line(f"no frames: {mistake.problem}", PROBLEM_LENGTH)
            row.text(0.01, 0.4, text, fontsize=8, color=plots.GREY, parse_math=False)
    return figure


def _one_line(text: str, length: int) -> str:
    """On one line, printable, cut in its middle."""
    line = "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))
    return plots.cut_middle(line, length)


def _markdown(report: EvaluationReport) -> str:
    metrics = report.metrics
    top5 = f"top-5 {md.percent(metrics.top5)}, " if len(metrics.classes) > TOP_K else ""
    text = md.paragraphs(
        f"# {md.escape(report.run_name)}: {md.escape(report.split)}",
        f"**{md.escape(report.sentence)}**",
        md.LEAKAGE_HINT if report.leakage_allowed else "",
        md.escape(report.data),
        f"{counted(metrics.clips, 'clip')}, {len(metrics.classes)} classes, "
        f"{counted(report.groups, 'group')}.",
        *_score_table(report),
        f"Also: {top5}mean class accuracy {md.percent(metrics.mean_class_accuracy)}, "
        f"macro F1 {md.percent(metrics.macro_f1)}, "
        f"expected calibration error {metrics.expected_calibration_error:.3f}.",
        *md.class_sections(metrics.confusion_matrix, metrics.classes),
        segments.timelines_markdown(report.timelines),
        *(section.markdown() for section in report.sections.values()),
        "## Worst mistakes",
        *mistakes_markdown(report.predictions, report.mistakes),
        "## Pictures",
        *map(md.picture, ("confusion_matrix", "per_class_accuracy", "reliability")),
        "## Notes",
        md.bullets(_notes(report)),
    )
    return f"{text}\n"


def _score_table(report: EvaluationReport) -> list[str]:
    """The score, its interval and its baselines, and what the comparison says."""
    top1, interval, verdicts = report.metrics.top1, report.top1_interval, []
    bounds = " to ".join(map(md.percent, interval)) if interval else md.NONE
    rows = [["this model", md.percent(top1), bounds, ""]]
    for key, score in report.baselines.items():
        name = md.BASELINE_NAMES.get(key, key)
        rows.append([name, md.percent(score), "", report.baseline_notes.get(key, "")])
        if score is not None and top1 <= score:
            verdicts.append(f"**No better than the baseline** “{name}”.")
        elif score is not None and interval and interval[0] <= score:
            verdicts.append(f"The lead over “{name}” is within the interval: it may be chance.")
    return [md.table(["", "top-1", "95% interval", "note"], rows, align="lrrl"), *verdicts]


def mistakes_markdown(predictions: Sequence[ClipPrediction], shown: Sequence[Mistake]) -> list[str]:
    """The surest wrong answers; shown: those with frames."""
    wrong = sum(not clip.correct for clip in predictions)
    if not wrong:
        return ["None: every clip is right."]
    mistakes = shown or [Mistake(clip) for clip in worst_mistakes(predictions, WORST_SHOWN)]
    rows = [
        [one.name, one.true, one.given, md.percent(one.wrong_by)]
        for one in (mistake.clip for mistake in mistakes)
    ]
    return [
        f"The surest of the wrong answers, {len(rows)} of {wrong}.",
        md.table(["clip", "true", "predicted", "score"], rows, align="lll"),
        *(
            f"No frames of {md.escape(one.clip.name)}: {md.escape(one.problem)}."
            for one in mistakes
            if one.problem
        ),
        md.picture("mistakes") if any(one.frames for one in mistakes) else "",
    ]


def _notes(report: EvaluationReport) -> list[str]:
    notes = md.data_notes(
        report.metrics.per_class, report.metrics.clips, report.quarantined, report.leakage_allowed
    )
    if report.top1_interval is None:
        notes.append("No interval: all clips belong to one group.")
    elif report.groups < 10:
        notes.append(f"The interval rests on {counted(report.groups, 'group')} only: a hint.")
    if len(report.metrics.classes) <= TOP_K:
        notes.append("Top-5 is left out above: with five classes or fewer it is always 100%.")
    return notes
