"""The report of a cross-validation: every fold of every seed, and their summaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from action_gru.core.text import counted
from action_gru.report import confidence as trust
from action_gru.report import documents as md
from action_gru.report import metrics as stats
from action_gru.report import plots
from action_gru.report.confidence import Answers, CalibratedAnswers, Rejection
from action_gru.report.documents import percent
from action_gru.report.fold_events import Events, events_json, events_markdown
from action_gru.report.metrics import ClassMetrics, FoldSummary, IntArray, Metrics

SPREAD_NOTE = "The spread is over seeds alone: it says nothing of other clips or groups."
MODEL_NAMES = {
    "top1": "this model, top-1",
    "mean_class_accuracy": "this model, mean class accuracy",
    "macro_f1": "this model, macro F1",
}


@dataclass(frozen=True)
class FoldResult:
    """One model, trained with one seed and tested on one fold."""

    seed: int
    fold: int
    metrics: Metrics
    baselines: Mapping[str, float | None]  # name -> top-1 on the same fold
    confidence: CalibratedAnswers | None = None  # None: not measured, or not calibrated

    def to_json(self) -> dict[str, object]:
        return {
            "seed": self.seed,
            "fold": self.fold,
            "clips": self.metrics.clips,
            "top1": self.metrics.top1,
            "mean_class_accuracy": self.metrics.mean_class_accuracy,
            "baselines": dict(self.baselines),
        }


@dataclass(frozen=True)
class CrossValidationReport:
    """All folds of all seeds; the clips of a seed's folds are pooled before averaging."""

    run_name: str
    data: str  # one line: which data this is
    results: tuple[FoldResult, ...]  # by seed, then by fold
    baseline_notes: Mapping[str, str] = field(default_factory=dict)
    quarantined: Mapping[str, str] = field(default_factory=dict)  # path -> reason
    leakage_allowed: bool = False
    precision: float = 0.9  # stated for the unsure rule
    events: Events = field(default_factory=dict)  # of long videos; nothing of clips
    noun: str = "clip"  # what has an answer

    @property
    def seeds(self) -> list[int]:
        return sorted({result.seed for result in self.results})

    @property
    def folds(self) -> int:
        return len({result.fold for result in self.results})

    @property
    def classes(self) -> tuple[str, ...]:
        return self.results[0].metrics.classes

    @property
    def clips(self) -> int:
        return sum(one.metrics.clips for one in self.results[: self.folds])

    def confusion(self) -> IntArray:
        """Counts over all folds and seeds: (C, C), rows are true."""
        counts = self.by_seed(lambda one: one.metrics.confusion_matrix)
        return np.asarray(counts.sum((0, 1)), dtype=np.int64)

    @property
    def per_class(self) -> tuple[ClassMetrics, ...]:
        return stats.per_class_metrics(self.confusion(), self.classes)

    def by_seed(self, value: Callable[[FoldResult], Any]) -> Any:
        """A value of each fold, (seeds, folds, ...)."""
        values = np.array([value(one) for one in self.results])
        return values.reshape(len(self.seeds), self.folds, *values.shape[1:])

    def summaries(self) -> dict[str, FoldSummary | None]:
        """Top-1, mean class accuracy, macro F1 and the baselines' top-1, by name.

        Each over the pooled folds of a seed, averaged over seeds; None if a fold lacks it.
        """
        matrices = self.by_seed(lambda one: one.metrics.confusion_matrix).sum(1)
        tables = [stats.per_class_metrics(matrix, self.classes) for matrix in matrices]
        return {
            "top1": stats.fold_summary(
                [float(matrix.trace() / matrix.sum()) for matrix in matrices]
            ),
            "mean_class_accuracy": stats.fold_summary(
                [stats.mean_class_accuracy(rows) for rows in tables]
            ),
            "macro_f1": stats.fold_summary([stats.macro_f1(rows) for rows in tables]),
            **{f"{name}_top1": self._baseline(name) for name in self.results[0].baselines},
        }

    def _baseline(self, name: str) -> FoldSummary | None:
        if any(one.baselines[name] is None for one in self.results):
            return None
        scores = self.by_seed(lambda one: one.baselines[name])
        clips = self.by_seed(lambda one: one.metrics.clips)
        return stats.fold_summary(np.average(scores, axis=1, weights=clips))

    def confidence(self) -> list[dict[str, Any]]:
        """How far scores can be trusted: one entry a seed whose folds were all calibrated."""
        found = []
        for seed in self.seeds:
            known = [r.confidence for r in self.results if r.seed == seed and r.confidence]
            if len(known) == self.folds:
                found.append(pool_confidence(known, self.precision, seed))
        return found

    def to_json(self) -> dict[str, object]:
        return {
            "run": self.run_name,
            "data": self.data,
            "clips": self.clips,
            "classes": list(self.classes),
            "folds": self.folds,
            "seeds": self.seeds,
            **{
                f"{name}_{part}": getattr(summary, part, None)
                for name, summary in self.summaries().items()
                for part in ("mean", "spread")
            },
            "confidence": self.confidence(),
            **events_json(self.events),
            "results": [result.to_json() for result in self.results],
            "per_class": [asdict(row) for row in self.per_class],
            "confusion_matrix": self.confusion().tolist(),
            "baseline_notes": dict(self.baseline_notes),
            "leakage_allowed": self.leakage_allowed,
            "quarantined": [{"path": p, "reason": why} for p, why in self.quarantined.items()],
        }


def write_cv_report(report: CrossValidationReport, folder: Path | str) -> Path:
    """Write report.json, plots and report.md, each atomically; gives report.json's path."""
    figures = {
        "confusion_matrix": plots.plot_confusion(report.confusion(), report.classes),
        "per_class_accuracy": plots.plot_classes(report.per_class),
    }
    text = _markdown(report)
    return plots.write_documents(Path(folder), "report", report.to_json(), text, figures)


def _markdown(report: CrossValidationReport) -> str:
    notes = md.data_notes(
        report.per_class, report.clips, report.quarantined, report.leakage_allowed
    )
    text = md.paragraphs(
        f"# {md.escape(report.run_name)}: cross-validation",
        md.LEAKAGE_HINT if report.leakage_allowed else "",
        md.escape(report.data),
        f"{counted(report.clips, report.noun)}, {len(report.classes)} classes; "
        f"{report.folds} folds, {counted(len(report.seeds), 'seed')}.",
        _score_table(report),
        events_markdown(report.events),
        "## Top-1 by fold and seed",
        _fold_table(report, "top1"),
        "## Mean class accuracy by fold and seed",
        _fold_table(report, "mean_class_accuracy"),
        *md.class_sections(report.confusion(), report.classes, ", over all seeds", report.noun),
        pooled_markdown(report.confidence(), report.precision),
        "## Pictures",
        md.picture("confusion_matrix", "confusion matrix"),
        md.picture("per_class_accuracy", "per-class accuracy"),
        "## Notes",
        md.bullets([SPREAD_NOTE, *notes]),
    )
    return f"{text}\n"


def _score_table(report: CrossValidationReport) -> str:
    rows = []
    for key, summary in report.summaries().items():
        baseline = key.removesuffix("_top1")
        mean, spread = summary or (None, None)
        # Seeds that agree to the clip are no certainty, and no deviation of nothing either.
        width = "all alike" if spread == 0 else f"±{percent(spread)}" if spread else md.NONE
        name = MODEL_NAMES.get(key) or f"{md.BASELINE_NAMES.get(baseline, baseline)}, top-1"
        rows.append([name, percent(mean), width, report.baseline_notes.get(baseline, "")])
    return md.table(["", "mean over seeds", "spread over seeds", "note"], rows, align="lrrl")


def _fold_table(report: CrossValidationReport, figure: str) -> str:
    values = report.by_seed(lambda one: percent(getattr(one.metrics, figure))).T
    rows = [[f"fold {number}", *row] for number, row in enumerate(values, 1)]
    return md.table(["", *(f"seed {seed}" for seed in report.seeds)], rows)


def pool_confidence(
    folds: Sequence[CalibratedAnswers], precision: float, seed: int = 0
) -> dict[str, Any]:
    """The figures of all folds of one seed, for report.json. precision: as stated in the config.

    error: expected calibration error in 15 equal bins, over all clips of the seed; error_by_fold:
    the mean of the folds' own errors, which so few clips push up; floor and floor_by_fold: what
    perfectly calibrated scores would show there. squared_by_fold: the mean of
    `squared_calibration_error`. precision: of the answers at or above the threshold that the fold's
    own training clips give; None: none is kept. unproven: in how many folds these clips do not
    prove the stated precision, so that a lower one was applied.
    """
    before, after = (
        Answers(*map(np.concatenate, zip(*parts, strict=True)))
        for parts in ([fold.before for fold in folds], [fold.after for fold in folds])
    )
    calibrated = [(fold.after, fold.calibration) for fold in folds if fold.calibration]
    rejections = [Rejection.of(*one, precision) for one in calibrated]
    kept = sum(one.kept for one in rejections)
    right = sum(one.kept * (one.precision or 0) for one in rejections)
    return {
        "temperatures": [calibration.temperature for _, calibration in calibrated],
        "error_before": before.error,
        "error": after.error,
        "floor": trust.perfect_calibration_error(after.scores, seed),
        "error_by_fold_before": fmean(fold.before.error for fold in folds),
        "error_by_fold": fmean(fold.after.error for fold in folds),
        "floor_by_fold": fmean(
            trust.perfect_calibration_error(f.after.scores, seed) for f in folds
        ),
        "squared_by_fold_before": fmean(
            trust.squared_calibration_error(*fold.before) for fold in folds
        ),
        "squared_by_fold": fmean(trust.squared_calibration_error(*fold.after) for fold in folds),
        "precision": round(right) / kept if kept else None,
        "coverage": kept / len(after.scores),
        "unproven": sum(one.applied_precision < one.stated_precision for one in rejections),
        "area_under_risk_coverage": fmean(risk for _, risk in trust.risk_coverage(*after)),
    }


def pooled_markdown(pooled: Sequence[Mapping[str, Any]], precision: float) -> str:
    """A section of the report, from `pool_confidence` of each seed; '' without a seed."""
    if not pooled:
        return ""

    def mean(key: str) -> str:
        return f"{fmean(one[key] for one in pooled):.3f}"

    def root(key: str) -> str:  # 0 where chance explains more than is seen
        return f"{max(0.0, fmean(one[key] for one in pooled)) ** 0.5:.3f}"

    rows = [
        ["calibration error, pooled", *map(mean, ("error_before", "error", "floor"))],
        ["calibration error, mean of the folds'",
         *map(mean, ("error_by_fold_before", "error_by_fold", "floor_by_fold"))],
        ["the folds', root of squared and debiased",
         *map(root, ("squared_by_fold_before", "squared_by_fold")), "0"],
    ]  # fmt: skip
    kept = [one["precision"] for one in pooled if one["precision"] is not None]
    rule = "Unsure rule: no held-out clip was answered."
    if kept:
        rule = (
            f"Unsure rule, stated precision {percent(precision)}: of the "
            f"{percent(fmean(one['coverage'] for one in pooled))} of the held-out clips that were "
            f"answered, {percent(fmean(kept))} are right."
        )
    if unproven := sum(one["unproven"] for one in pooled):
        folds = sum(len(one["temperatures"]) for one in pooled)
        rule += (
            f" In {unproven} of {folds} folds the training clips do not prove that precision, and "
            "the most that they support was applied."
        )
    return md.paragraphs(
        "## Can the scores be trusted?",
        md.table(["", "before", "after", "if perfectly calibrated"], rows),
        "Fifteen equal bins; debiased, the part of chance taken off (Kumar et al. 2019). A fold "
        "holds few clips, so even perfect scores show an error there: the last column. Pooled and "
        "debiased are the figures to go by.",
        rule,
    )
