"""The report where a clip may show several classes at once, of one evaluation or of many folds.

Each class is a question of its own: how well its score ranks the clips that show it (average
precision), and what its threshold makes of them (precision, recall, F1). Knows no models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from action_gru.core import graphics
from action_gru.report import documents as md
from action_gru.report import metrics as stats
from action_gru.report import plots
from action_gru.report.cross_validation import SPREAD_NOTE
from action_gru.report.evaluation import ClipPrediction, Mistake, mistakes_markdown, plot_mistakes
from action_gru.report.fold_events import Events, events_json, events_markdown
from action_gru.report.metrics import Interval
from action_gru.report.several_metrics import ManyMetrics

NAMES = {
    "frequency": "each class as often as in training",
    "mean_pooled": md.BASELINE_NAMES["mean_pooled"],
}
LEFT_OUT = (
    "Left out, because they need one label a clip: the confusion matrix, what order costs, how "
    "early the answer is there, and the unsure rule."
)


@dataclass(frozen=True)
class ManyReport:
    """One trained run on one split; baseline_notes says why a baseline is None.

    interval: 95%, of the mean average precision, over groups.
    """

    run_name: str
    data: str  # one line: which data this is
    split: str
    metrics: ManyMetrics
    predictions: tuple[ClipPrediction, ...]
    baselines: Mapping[str, ManyMetrics | None]
    interval: Interval | None
    calibration: str  # where the thresholds come from, in a sentence
    unit: str = "clips"
    groups: int = 1
    baseline_notes: Mapping[str, str] = field(default_factory=dict)
    quarantined: Mapping[str, str] = field(default_factory=dict)  # path -> reason
    leakage_allowed: bool = False
    seen_in_training: bool = False  # some of the clips
    mistakes: tuple[Mistake, ...] = ()

    @property
    def beats_guessing(self) -> bool:
        """Whether the interval lies above the figure of the training data's frequencies."""
        chance = self.baselines["frequency"]
        rate = None if chance is None else chance.mean_average_precision
        return rate is not None and stats.lies_above(self.interval, rate)

    @cached_property
    def sentence(self) -> str:
        """Return the score as a sentence for people."""
        found, new = self.metrics, not (self.leakage_allowed or self.seen_in_training)
        known = {"train": "training ", "val": "validation "}
        unit = f"{known.get(self.split, 'new ' * new)}{self.unit}"
        exact = round(found.exact_match * found.clips)
        bounds = f"no interval: all are of one group; {len(found.classes)} classes"
        if self.interval is not None:
            low, high = math.floor(100 * self.interval[0]), math.ceil(100 * self.interval[1])
            bounds = f"{low} to {high} %; {len(found.classes)} classes"
        text = f"Mean average precision {md.percent(found.mean_average_precision)} ({bounds})"
        if not self.beats_guessing:
            text += ", which is not shown to be better than guessing by frequency"
        text += f"; all labels are right on {exact} of {found.clips} {unit}"
        if absent := found.classes_without_clips:
            text += f". None of them shows {', '.join(absent)}: the score says nothing of "
            text += "it" if len(absent) == 1 else "these"
        return f"{text}."

    @property
    def score_line(self) -> str:
        """The main figures for a person, without the sentence."""
        found = self.metrics
        return (
            f"{found.clips} {self.unit}: mAP {md.figure_text(found.mean_average_precision)}, macro "
            f"F1 {md.figure_text(found.macro_f1)}, exact match {found.exact_match:.3f} (mAP of "
            f"mean-pooled {self._baseline('mean_pooled')}, of frequency "
            f"{self._baseline('frequency')})"
        )

    def _baseline(self, name: str) -> str:
        found = self.baselines[name]
        return "-" if found is None else md.figure_text(found.mean_average_precision)

    def to_json(self) -> dict[str, object]:
        return {
            "run": self.run_name,
            "data": self.data,
            "split": self.split,
            "sentence": self.sentence,
            "better_than_guessing": self.beats_guessing,
            "labels": "many",
            **self.metrics.to_json(),
            "mean_average_precision_interval": self.interval,
            "groups": self.groups,
            "baselines": {
                name: found and {key: getattr(found, key) for key in FIGURES}
                for name, found in self.baselines.items()
            },
            "baseline_notes": dict(self.baseline_notes),
            "calibration": self.calibration,
            "leakage_allowed": self.leakage_allowed,
            "quarantined": [{"path": p, "reason": why} for p, why in self.quarantined.items()],
            "predictions": [clip.to_json() for clip in self.predictions],
        }


FIGURES = {
    "mean_average_precision": "mAP",
    "macro_f1": "macro F1",
    "exact_match": "exact match",
    "hamming": "Hamming loss",
}


def write_many_report(report: ManyReport, folder: Path | str) -> Path:
    """Write report.json, plots, report.md and report.html, each atomically; report.json's path."""
    figures = {"average_precision": plot_average_precision(report.metrics)}
    if any(mistake.frames for mistake in report.mistakes):
        figures["mistakes"] = plot_mistakes(report.mistakes)
    title, text = f"{report.run_name}: {report.split}", _markdown(report)
    return plots.write_documents(Path(folder), "report", report.to_json(), text, figures, title)


def _markdown(report: ManyReport) -> str:
    found = report.metrics
    text = md.paragraphs(
        f"# {md.escape(report.run_name)}: {md.escape(report.split)}",
        f"**{md.escape(report.sentence)}**",
        md.LEAKAGE_HINT if report.leakage_allowed else "",
        md.escape(report.data),
        f"{found.clips} {report.unit}, {len(found.classes)} classes, {report.groups} groups. Each "
        "may show several classes, or none.",
        _score_table(report),
        *_verdicts(report),
        f"Expected calibration error of all decisions {found.expected_calibration_error:.3f}. "
        f"{md.escape(report.calibration)}",
        *class_tables(found, report.unit),
        "## Worst mistakes",
        *mistakes_markdown(report.predictions, report.mistakes),
        "## Pictures",
        md.picture("average_precision", "average precision"),
        "## Notes",
        md.bullets([*_notes(report), LEFT_OUT]),
    )
    return f"{text}\n"


def _score_table(report: ManyReport) -> str:
    bounds = " to ".join(map(md.percent, report.interval)) if report.interval else md.NONE
    rows = [["this model", *_figures(report.metrics), bounds, ""]]
    for name, found in report.baselines.items():
        note = report.baseline_notes.get(name, "")
        rows.append([NAMES[name], *_figures(found), "", note])
    return md.table(["", *FIGURES.values(), "95% interval of mAP", "note"], rows, align="lrrrrrl")


def _verdicts(report: ManyReport) -> list[str]:
    """What the comparison with the baselines says."""
    mean, verdicts = report.metrics.mean_average_precision or 0.0, []
    for name, found in report.baselines.items():
        if found is None or found.mean_average_precision is None:
            continue
        if mean <= found.mean_average_precision:
            verdicts.append(f"**No better than the baseline** “{NAMES[name]}”.")
        elif report.interval and report.interval[0] <= found.mean_average_precision:
            verdicts.append(
                f"The lead over “{NAMES[name]}” is within the interval: it may be chance."
            )
    return verdicts


def _figures(found: ManyMetrics | None) -> list[str]:
    return [md.percent(getattr(found, key, None)) for key in FIGURES]


def class_tables(found: ManyMetrics, unit: str, over: str = "") -> tuple[str, str]:
    """The table of the classes, and which of them are shown together."""
    rows = [
        [row.label, row.support, md.percent(row.average_precision), md.percent(row.precision),
         md.percent(row.recall), md.percent(row.f1), md.figure_text(row.threshold, 2)]
        for row in found.per_class
    ]  # fmt: skip
    header = ["class", unit, "AP", "precision", "recall", "F1", "threshold"]
    pairs = [
        [name, *("" if row == column else int(count) for column, count in enumerate(counts))]
        for row, (name, counts) in enumerate(zip(found.classes, found.together, strict=True))
    ]
    together = "" if len(found.classes) > plots.MANY else md.table(["", *found.classes], pairs)
    return (
        f"## Classes{over}\n\n{md.table(header, rows)}",
        together and f"## Shown together{over}\n\nHow many truly show both.\n\n{together}",
    )


def _notes(report: ManyReport) -> list[str]:
    notes = md.data_notes(
        report.metrics.per_class,
        report.metrics.clips,
        report.quarantined,
        report.leakage_allowed,
        "exact match",
    )
    if report.interval is None:
        notes.append("No interval: all clips belong to one group.")
    elif report.groups < 10:
        notes.append(f"The interval rests on {report.groups} groups only: take it as a hint.")
    return notes


def plot_average_precision(found: ManyMetrics) -> Figure:
    """One bar a class, best on top: its average precision, with what guessing would reach."""
    rows = [row for row in found.per_class if row.average_precision is not None]
    rows = sorted(rows, key=lambda row: row.average_precision or 0)[: plots.MOST_CLASSES]
    colours = graphics.class_colours(found.classes)
    names = plots.short_names([row.label for row in rows] or ["none"])
    figure = plots.new_figure(5.0 + plots.text_width_in(names, 9), 1.2 + 0.28 * max(4, len(rows)))
    axes = figure.subplots()
    precisions = [row.average_precision or 0.0 for row in rows]
    axes.barh(range(len(rows)), precisions, color=[colours[r.label] for r in rows], height=0.7)
    for position, row in enumerate(rows):
        share = row.support / found.clips
        axes.plot([share, share], [position - 0.35, position + 0.35], color="black")
        text = f"{row.support} of {found.clips}"
        axes.text(1.02, position, text, fontsize=9, va="center", color=plots.GREY)
    mean = md.percent(found.mean_average_precision)
    axes.set_title(f"mean over classes: {mean} (black: guessing)", fontsize=10)
    axes.set(xlim=(0, 1), xlabel="average precision")
    plots.name_rows(axes, names[: len(rows)], 9)
    plots.despine(axes)
    return figure


def write_many_folds(
    seeds: Sequence[Mapping[str, ManyMetrics]],
    whole: ManyMetrics,
    folder: Path | str,
    about: Mapping[str, object],
    quarantined: Mapping[str, str],
    events: Events,
) -> Path:
    """Write report.json, a plot and report.md of a cross-validation; report.json's path.

    seeds: of each the figures of the model and of its baselines, the folds pooled. whole: of all
    seeds pooled. about: run, data, folds, seeds and leakage_allowed. events: of long videos.
    """
    values: dict[str, object] = {**about, "labels": "many", **whole.to_json()}
    rows = []
    for name in seeds[0]:
        cells = []
        for key in FIGURES:
            found = [value for one in seeds if (value := getattr(one[name], key)) is not None]
            mean, spread = stats.fold_summary(found) if found else (None, None)
            stem = key if name == "model" else f"{name}_{key}"
            values |= {f"{stem}_mean": mean, f"{stem}_spread": spread}
            cells.append(md.percent(mean) + (f" ± {md.percent(spread)}" if spread else ""))
        rows.append([NAMES.get(name, "this model"), *cells])
    values["quarantined"] = [{"path": path, "reason": why} for path, why in quarantined.items()]
    values |= events_json(events)
    leaked = bool(about["leakage_allowed"])
    notes = md.data_notes(
        whole.per_class, seeds[0]["model"].clips, quarantined, leaked, FIGURES["exact_match"]
    )
    text = md.paragraphs(
        f"# {md.escape(str(about['run']))}: cross-validation",
        md.LEAKAGE_HINT if leaked else "",
        md.escape(str(about["data"])),
        "The folds of a seed are pooled; mean over seeds ± spread. " + SPREAD_NOTE,
        md.table(["", *FIGURES.values()], rows),
        events_markdown(events),
        *class_tables(whole, "answers", ", over all seeds"),
        "## Pictures",
        md.picture("average_precision", "average precision"),
        "## Notes",
        md.bullets([*notes, LEFT_OUT]),
    )
    figures = {"average_precision": plot_average_precision(whole)}
    return plots.write_documents(Path(folder), "report", values, f"{text}\n", figures)
