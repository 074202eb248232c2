"""How far scores can be trusted on clips held out by a cross-validation, pooled over its folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from action_gru.report.calibration_error import (
    root_of_mean,
    squared_calibration_error,
    sweep_calibration_error,
)
from action_gru.report.confidence import (
    equal_bins_error,
    perfect_calibration_error,
    risk_coverage,
)
from action_gru.report.markdown import percent, table


@dataclass(frozen=True)
class FoldConfidence:
    """The held-out clips of one fold: top scores before and after calibration, (N,) each.

    threshold: where the fold's own training clips put it. is_proven: whether it is that of the
    stated precision, and not of the most that these clips support.
    """

    temperature: float
    threshold: float
    scores_before: tuple[float, ...]
    scores: tuple[float, ...]
    right_before: tuple[bool, ...]
    right: tuple[bool, ...]
    is_proven: bool = True


@dataclass(frozen=True)
class PooledConfidence:
    """The figures of all folds of one seed. `error`: expected calibration error, 15 equal bins.

    pooled: over all clips of the seed. by_fold: the mean of the folds' own errors, which so few
    clips push up; floor and floor_by_fold: what perfectly calibrated scores would show there.
    sweep_by_fold, squared_by_fold: two other estimates in the mean over folds, which chance pushes
    up less and, in the second, not at all (`calibration_error`).
    precision: of the answers at or above their fold's threshold; None: none is kept. unproven: in
    how many folds the stated precision was not the one applied.
    """

    temperatures: tuple[float, ...]
    error_before: float
    error: float
    floor: float
    error_by_fold_before: float
    error_by_fold: float
    floor_by_fold: float
    sweep_by_fold_before: float
    sweep_by_fold: float
    sweep_floor_by_fold: float
    squared_by_fold_before: float
    squared_by_fold: float
    precision: float | None
    coverage: float
    unproven: int
    area_under_risk_coverage: float


def pool_confidence(folds: Sequence[FoldConfidence], seed: int = 0) -> PooledConfidence:
    """Pool the clips of a seed's folds."""
    before = [score for fold in folds for score in fold.scores_before]
    scores = [score for fold in folds for score in fold.scores]
    right = [one for fold in folds for one in fold.right]
    right_before = [one for fold in folds for one in fold.right_before]
    kept = [
        correct
        for fold in folds
        for score, correct in zip(fold.scores, fold.right, strict=True)
        if score >= fold.threshold
    ]
    return PooledConfidence(
        temperatures=tuple(fold.temperature for fold in folds),
        error_before=equal_bins_error(before, right_before),
        error=equal_bins_error(scores, right),
        floor=perfect_calibration_error(scores, seed),
        error_by_fold_before=fmean(
            equal_bins_error(f.scores_before, f.right_before) for f in folds
        ),
        error_by_fold=fmean(equal_bins_error(fold.scores, fold.right) for fold in folds),
        floor_by_fold=fmean(perfect_calibration_error(fold.scores, seed) for fold in folds),
        sweep_by_fold_before=fmean(
            sweep_calibration_error(f.scores_before, f.right_before) for f in folds
        ),
        sweep_by_fold=fmean(sweep_calibration_error(f.scores, f.right) for f in folds),
        sweep_floor_by_fold=fmean(
            perfect_calibration_error(fold.scores, seed, measure=sweep_calibration_error)
            for fold in folds
        ),
        squared_by_fold_before=fmean(
            squared_calibration_error(f.scores_before, f.right_before) for f in folds
        ),
        squared_by_fold=fmean(squared_calibration_error(f.scores, f.right) for f in folds),
        precision=fmean(kept) if kept else None,
        coverage=len(kept) / len(scores),
        unproven=sum(not fold.is_proven for fold in folds),
        area_under_risk_coverage=fmean(risk for _, risk in risk_coverage(scores, right)),
    )


def confidence_section(pooled: Sequence[PooledConfidence], precision: float) -> str:
    """A section of the report; one entry a seed."""
    measures = {
        "calibration error, pooled": ("error_before", "error", "floor"),
        "calibration error, mean of the folds'": (
            "error_by_fold_before",
            "error_by_fold",
            "floor_by_fold",
        ),
        "the folds', bins by sweep": (
            "sweep_by_fold_before",
            "sweep_by_fold",
            "sweep_floor_by_fold",
        ),
    }
    rows = [
        [name, *(f"{fmean(getattr(one, key) for one in pooled):.3f}" for key in keys)]
        for name, keys in measures.items()
    ]
    roots = (
        root_of_mean([getattr(one, key) for one in pooled])
        for key in ("squared_by_fold_before", "squared_by_fold")
    )
    rows.append(["the folds', root of squared and debiased", *(f"{r:.3f}" for r in roots), "0"])
    kept = [one.precision for one in pooled if one.precision is not None]
    shares = [one.coverage for one in pooled]
    rule = (
        f"Unsure rule, stated precision {percent(precision)}: of the {percent(fmean(shares))} of "
        f"the held-out clips that were answered, {percent(fmean(kept))} are right."
        if kept
        else "Unsure rule: no held-out clip was answered."
    )
    if unproven := sum(one.unproven for one in pooled):
        folds = sum(len(one.temperatures) for one in pooled)
        rule += (
            f" In {unproven} of {folds} folds the training clips do not prove that precision, and "
            "the most that they support was applied."
        )
    return (
        "## Can the scores be trusted?\n\n"
        + table(["", "before", "after", "if perfectly calibrated"], rows, align="lrrr")
        + "\n\nFifteen equal bins; by sweep, as many equally filled ones as leave accuracy rising "
        "(Roelofs et al. 2022); debiased, the part of chance taken off (Kumar et al. 2019). A fold "
        "holds few clips, so even perfect scores show an error there: the last column. Pooled and "
        f"debiased are the figures to go by.\n\n{rule}"
    )
