"""The report of a cross-validation: every fold of every seed, and their summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from action_gru.report import markdown as md
from action_gru.report.confidence import CalibratedAnswers, pool_confidence, pooled_markdown
from action_gru.report.evaluation import quarantine_json
from action_gru.report.files import json_text, replace_file
from action_gru.report.metrics import IntArray, Metrics, mean_class_accuracy, per_class_metrics
from action_gru.report.plots import plot_classes, plot_confusion, save_figure
from action_gru.report.statistics import FoldSummary, fold_summary


@dataclass(frozen=True)
class FoldResult:
    """One model, trained with one seed and tested on one fold."""

    seed: int
    fold: int
    metrics: Metrics
    baselines: Mapping[str, float | None]  # name -> top-1 on the same fold
    confidence: CalibratedAnswers | None = None  # None: not asked for, or not calibrated

    def to_json(self) -> dict[str, object]:
        """Return JSON-serialisable values."""
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
    results: tuple[FoldResult, ...]
    baseline_notes: Mapping[str, str] = field(default_factory=dict)
    quarantined: Mapping[str, str] = field(default_factory=dict)  # path -> reason
    leakage_allowed: bool = False
    precision: float = 0.9  # stated for the unsure rule

    @property
    def seeds(self) -> list[int]:
        return sorted({result.seed for result in self.results})

    @property
    def folds(self) -> list[int]:
        return sorted({result.fold for result in self.results})

    @property
    def classes(self) -> tuple[str, ...]:
        return self.results[0].metrics.classes

    @property
    def clips(self) -> int:
        return int(self.confusion(self.seeds[0]).sum())

    def of_seed(self, seed: int) -> list[FoldResult]:
        return [one for one in self.results if one.seed == seed]

    def confusion(self, seed: int | None = None) -> IntArray:
        """Counts over the folds of one seed, or of all: (C, C), rows are true."""
        chosen = self.results if seed is None else self.of_seed(seed)
        counts = np.stack([one.metrics.confusion_matrix for one in chosen])
        return np.asarray(counts.sum(axis=0), dtype=np.int64)

    def summaries(self) -> dict[str, FoldSummary | None]:
        """Top-1, mean class accuracy and the baselines' top-1, by name.

        Each over the pooled folds of a seed, averaged over seeds; None if a fold lacks it.
        """
        matrices = [self.confusion(seed) for seed in self.seeds]
        tables = [per_class_metrics(matrix, self.classes) for matrix in matrices]
        return {
            "top1": fold_summary([float(matrix.trace() / matrix.sum()) for matrix in matrices]),
            "mean_class_accuracy": fold_summary([mean_class_accuracy(rows) for rows in tables]),
            **{f"{name}_top1": self._baseline(name) for name in self.results[0].baselines},
        }

    def _baseline(self, name: str) -> FoldSummary | None:
        pooled = [_pooled(self.of_seed(seed), name) for seed in self.seeds]
        known = [value for value in pooled if value is not None]
        return fold_summary(known) if len(known) == len(pooled) else None

    def confidence(self) -> list[dict[str, Any]]:
        """How far scores can be trusted: one entry a seed whose folds were all calibrated."""
        by_seed = {
            seed: [one.confidence for one in self.of_seed(seed) if one.confidence]
            for seed in self.seeds
        }
        return [
            pool_confidence(folds, self.precision, seed)
            for seed, folds in by_seed.items()
            if len(folds) == len(self.folds)
        ]

    def to_json(self) -> dict[str, object]:
        """Return JSON-serialisable values."""
        pooled = self.confusion()
        summaries: dict[str, float | None] = {}
        for name, summary in self.summaries().items():
            summaries[f"{name}_mean"] = summary.mean if summary else None
            summaries[f"{name}_spread"] = summary.spread if summary else None
        return {
            "run": self.run_name,
            "data": self.data,
            "clips": self.clips,
            "classes": list(self.classes),
            "folds": len(self.folds),
            "seeds": self.seeds,
            **summaries,
            "confidence": self.confidence(),
            "results": [result.to_json() for result in self.results],
            "per_class": [asdict(row) for row in per_class_metrics(pooled, self.classes)],
            "confusion_matrix": pooled.tolist(),
            "baseline_notes": dict(self.baseline_notes),
            "leakage_allowed": self.leakage_allowed,
            "quarantined": quarantine_json(self.quarantined),
        }


def write_cv_report(report: CrossValidationReport, folder: Path | str) -> Path:
    """Write report.json, plots and report.md, each atomically; gives report.json's path."""
    target = Path(folder)
    pooled = report.confusion()
    save_figure(plot_confusion(pooled, report.classes), target / "confusion_matrix.png")
    rows = per_class_metrics(pooled, report.classes)
    save_figure(plot_classes(rows), target / "per_class_accuracy.png")
    replace_file(target / "report.md", _markdown(report).encode())
    replace_file(target / "report.json", json_text(report.to_json()).encode())
    return target / "report.json"


def _pooled(results: Sequence[FoldResult], name: str) -> float | None:
    """Weigh a baseline's folds by their clips; None if one lacks it."""
    scores = [(one.baselines[name], one.metrics.clips) for one in results]
    known = [(score * clips, clips) for score, clips in scores if score is not None]
    if len(known) < len(scores):
        return None
    right, clips = map(sum, zip(*known, strict=True))
    return right / clips


def _markdown(report: CrossValidationReport) -> str:
    pooled = report.confusion()
    rows = per_class_metrics(pooled, report.classes)
    notes = md.data_notes(rows, report.clips, report.quarantined, report.leakage_allowed)
    notes.insert(0, "The spread is over seeds alone: it says nothing of other clips or groups.")
    trusted = report.confidence()
    parts = [
        f"# {md.escape(report.run_name)}: cross-validation",
        "**Leakage was allowed: see the notes.**" if report.leakage_allowed else "",
        md.escape(report.data),
        f"{report.clips} clips, {len(report.classes)} classes; "
        f"{len(report.folds)} folds, {len(report.seeds)} seeds.",
        _score_table(report),
        "## Top-1 by fold and seed\n\n" + _fold_table(report, "top1"),
        "## Mean class accuracy by fold and seed\n\n" + _fold_table(report, "mean_class_accuracy"),
        "## Classes, over all seeds\n\n" + md.class_table(rows),
        "## Most frequent confusions, over all seeds\n\n" + md.confusions(pooled, report.classes),
        pooled_markdown(trusted, report.precision) if trusted else "",
        "## Pictures\n\n![confusion matrix](confusion_matrix.png)\n\n"
        "![per-class accuracy](per_class_accuracy.png)",
        "## Notes\n\n" + md.bullets(notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _score_table(report: CrossValidationReport) -> str:
    names = {"top1": "this model, top-1", "mean_class_accuracy": "this model, mean class accuracy"}
    rows = []
    for key, summary in report.summaries().items():
        baseline = key.removesuffix("_top1")
        mean, spread = (summary.mean, summary.spread) if summary else (None, None)
        # Seeds that agree to the clip are no certainty, and no deviation of nothing either.
        width = (
            "all alike" if spread == 0 else md.NONE if spread is None else f"±{md.percent(spread)}"
        )
        name = names.get(key) or f"{md.baseline_name(baseline)}, top-1"
        rows.append([name, md.percent(mean), width, report.baseline_notes.get(baseline, "")])
    return md.table(["", "mean over seeds", "spread over seeds", "note"], rows, align="lrrl")


def _fold_table(report: CrossValidationReport, figure: str) -> str:
    values = {
        (one.seed, one.fold): md.percent(getattr(one.metrics, figure)) for one in report.results
    }
    rows = [
        [f"fold {fold}", *(values[seed, fold] for seed in report.seeds)] for fold in report.folds
    ]
    header = ["", *(f"seed {seed}" for seed in report.seeds)]
    return md.table(header, rows, align="l" + "r" * len(report.seeds))
