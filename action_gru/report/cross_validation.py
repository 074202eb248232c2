"""The record of a cross-validation: every fold of every seed, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from action_gru.errors import DataError
from action_gru.report.files import json_text, replace_file
from action_gru.report.fold_confidence import (
    FoldConfidence,
    PooledConfidence,
    confidence_section,
    pool_confidence,
)
from action_gru.report.markdown import (
    NONE,
    baseline_name,
    bullets,
    class_table,
    confusions,
    data_notes,
    escape,
    percent,
    table,
)
from action_gru.report.metrics import (
    IntArray,
    Metrics,
    mean_class_accuracy,
    per_class_metrics,
)
from action_gru.report.pictures import confusion_picture, per_class_picture, save_picture
from action_gru.report.report import check_baselines, quarantine_json
from action_gru.report.uncertainty import FoldSummary, fold_summary


@dataclass(frozen=True)
class FoldResult:
    """One model, trained with one seed and tested on one fold."""

    seed: int
    fold: int
    metrics: Metrics
    baselines: Mapping[str, float | None]  # name -> top-1 on the same fold
    confidence: FoldConfidence | None = None  # None: not asked for, or not calibrated


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

    def __post_init__(self) -> None:
        cells = {(result.seed, result.fold) for result in self.results}
        if not cells or not len(cells) == len(self.results) == len(self.seeds) * len(self.folds):
            raise DataError(
                "a cross-validation needs each fold once for each seed; "
                f"got (seed, fold) {sorted((one.seed, one.fold) for one in self.results)}"
            )
        if len({result.metrics.classes for result in self.results}) > 1:
            raise DataError("all folds need the same class list; train them from one manifest")
        if len({tuple(result.baselines) for result in self.results}) > 1:
            raise DataError("all folds need the same baselines; give None where one is missing")
        for result in self.results:
            check_baselines(result.baselines, self.baseline_notes)

    @property
    def seeds(self) -> list[int]:
        return sorted({result.seed for result in self.results})

    @property
    def folds(self) -> list[int]:
        return sorted({result.fold for result in self.results})

    @property
    def classes(self) -> tuple[str, ...]:
        return self.results[0].metrics.classes

    def confusion(self, seed: int | None = None) -> IntArray:
        """Counts over the folds of one seed, or of all: (C, C), rows are true."""
        chosen = [one for one in self.results if seed is None or one.seed == seed]
        counts = np.stack([one.metrics.confusion_matrix for one in chosen])
        return np.asarray(counts.sum(axis=0), dtype=np.int64)

    def top1(self) -> FoldSummary:
        """Top-1 over the pooled folds of a seed, averaged over seeds."""
        return fold_summary([_accuracy(self.confusion(seed)) for seed in self.seeds])

    def mean_class_accuracy(self) -> FoldSummary:
        """Mean class accuracy over the pooled folds of a seed, averaged over seeds."""
        tables = [per_class_metrics(self.confusion(seed), self.classes) for seed in self.seeds]
        return fold_summary([mean_class_accuracy(rows) for rows in tables])

    def baselines(self) -> dict[str, FoldSummary | None]:
        """Each baseline's top-1, pooled and averaged alike; None if any fold lacks it."""
        return {name: self._baseline(name) for name in self.results[0].baselines}

    def confidence(self) -> list[PooledConfidence]:
        """How far scores can be trusted: one entry a seed whose folds were all calibrated."""
        by_seed = [
            [one.confidence for one in self.results if one.seed == seed and one.confidence]
            for seed in self.seeds
        ]
        return [
            pool_confidence(folds, seed)
            for seed, folds in zip(self.seeds, by_seed, strict=True)
            if len(folds) == len(self.folds)
        ]

    def _baseline(self, name: str) -> FoldSummary | None:
        pooled = [
            _pooled([one for one in self.results if one.seed == seed], name) for seed in self.seeds
        ]
        known = [value for value in pooled if value is not None]
        return fold_summary(known) if len(known) == len(pooled) else None

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps."""
        summaries: dict[str, FoldSummary | None] = {
            "top1": self.top1(),
            "mean_class_accuracy": self.mean_class_accuracy(),
            **{f"{name}_top1": summary for name, summary in self.baselines().items()},
        }
        pooled = self.confusion()
        return {
            "run": self.run_name,
            "data": self.data,
            "clips": int(self.confusion(self.seeds[0]).sum()),
            "classes": list(self.classes),
            "folds": len(self.folds),
            "seeds": self.seeds,
            **_summaries_json(summaries),
            "confidence": [asdict(one) for one in self.confidence()],
            "results": [_result_json(result) for result in self.results],
            "per_class": [asdict(row) for row in per_class_metrics(pooled, self.classes)],
            "confusion_matrix": pooled.tolist(),
            "baseline_notes": dict(self.baseline_notes),
            "leakage_allowed": self.leakage_allowed,
            "quarantined": quarantine_json(self.quarantined),
        }


def write_cv_report(report: CrossValidationReport, folder: Path | str) -> Path:
    """Write report.json, pictures and report.md, each atomically; gives report.json's path."""
    target = Path(folder)
    pooled = report.confusion()
    rows = per_class_metrics(pooled, report.classes)
    save_picture(confusion_picture(pooled, report.classes), target / "confusion_matrix.png")
    save_picture(per_class_picture(rows), target / "per_class_accuracy.png")
    replace_file(target / "report.md", _markdown(report).encode())
    replace_file(target / "report.json", json_text(report.to_json()).encode())
    return target / "report.json"


def _accuracy(confusion: IntArray) -> float:
    return float(confusion.trace() / confusion.sum())


def _pooled(results: Sequence[FoldResult], name: str) -> float | None:
    """Weigh a baseline's folds by their clips; None if one lacks it."""
    right = 0.0
    for result in results:
        score = result.baselines[name]
        if score is None:
            return None
        right += score * result.metrics.clips
    return right / sum(result.metrics.clips for result in results)


def _summaries_json(summaries: Mapping[str, FoldSummary | None]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name, summary in summaries.items():
        values[f"{name}_mean"] = summary.mean if summary else None
        values[f"{name}_spread"] = summary.spread if summary else None
    return values


def _result_json(result: FoldResult) -> dict[str, object]:
    return {
        "seed": result.seed,
        "fold": result.fold,
        "clips": result.metrics.clips,
        "top1": result.metrics.top1,
        "mean_class_accuracy": result.metrics.mean_class_accuracy,
        "baselines": dict(result.baselines),
    }


def _markdown(report: CrossValidationReport) -> str:
    pooled = report.confusion()
    rows = per_class_metrics(pooled, report.classes)
    clips = int(report.confusion(report.seeds[0]).sum())
    size = f"{clips} clips, {len(report.classes)} classes"
    repeats = f"{len(report.folds)} folds, {len(report.seeds)} seeds"
    notes = data_notes(rows, clips, report.quarantined, report.leakage_allowed)
    notes.insert(0, "The spread is over seeds alone: it says nothing of other clips or groups.")
    trusted = report.confidence()
    parts = [
        f"# {escape(report.run_name)}: cross-validation",
        *(["**Leakage was allowed: see the notes.**"] if report.leakage_allowed else []),
        f"{escape(report.data)}\n\n{size}; {repeats}.",
        _score_table(report),
        "## Top-1 by fold and seed\n\n" + _fold_table(report, lambda one: one.top1),
        "## Mean class accuracy by fold and seed\n\n"
        + _fold_table(report, lambda one: one.mean_class_accuracy),
        "## Classes, over all seeds\n\n" + class_table(rows),
        "## Most frequent confusions, over all seeds\n\n" + confusions(pooled, report.classes),
        *([confidence_section(trusted, report.precision)] if trusted else []),
        "## Pictures\n\n![confusion matrix](confusion_matrix.png)\n\n"
        "![per-class accuracy](per_class_accuracy.png)",
        "## Notes\n\n" + bullets(notes),
    ]
    return "\n\n".join(parts) + "\n"


def _score_table(report: CrossValidationReport) -> str:
    rows = [_summary_row("this model, top-1", report.top1(), "")]
    rows.append(_summary_row("this model, mean class accuracy", report.mean_class_accuracy(), ""))
    for name, summary in report.baselines().items():
        note = report.baseline_notes.get(name, "")
        rows.append(_summary_row(f"{baseline_name(name)}, top-1", summary, note))
    return table(["", "mean over seeds", "spread over seeds", "note"], rows, align="lrrl")


def _summary_row(name: str, summary: FoldSummary | None, note: str) -> list[str]:
    mean, spread = (summary.mean, summary.spread) if summary else (None, None)
    # Seeds that agree to the clip are no certainty, and no deviation of nothing either.
    width = "all alike" if spread == 0 else NONE if spread is None else f"±{percent(spread)}"
    return [name, percent(mean), width, note]


def _fold_table(report: CrossValidationReport, figure: Callable[[Metrics], float]) -> str:
    values = {(one.seed, one.fold): percent(figure(one.metrics)) for one in report.results}
    rows = [
        [f"fold {fold}", *(values[seed, fold] for seed in report.seeds)] for fold in report.folds
    ]
    return table(
        ["", *(f"seed {seed}" for seed in report.seeds)], rows, align="l" + "r" * len(report.seeds)
    )
