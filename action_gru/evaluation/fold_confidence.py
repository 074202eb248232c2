"""How far scores can be trusted on clips held out by a cross-validation, pooled over its folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from action_gru.evaluation.confidence import perfect_calibration_error, risk_coverage
from action_gru.evaluation.markdown import percent, table
from action_gru.evaluation.metrics import calibration_bins, expected_calibration_error


@dataclass(frozen=True)
class FoldConfidence:
    """The held-out clips of one fold: top scores before and after calibration, (N,) each.

    threshold: where the fold's own training clips put it; None: no answer is called unsure.
    """

    temperature: float
    threshold: float | None
    scores_before: tuple[float, ...]
    scores: tuple[float, ...]
    right_before: tuple[bool, ...]
    right: tuple[bool, ...]


@dataclass(frozen=True)
class PooledConfidence:
    """The figures of all folds of one seed. `error`: expected calibration error, 15 equal bins.

    pooled: over all clips of the seed. by_fold: the mean of the folds' own errors, which so few
    clips push up; floor and floor_by_fold: what perfectly calibrated scores would show there.
    precision: of the answers at or above their fold's threshold; None: none is kept.
    """

    temperatures: tuple[float, ...]
    error_before: float
    error: float
    floor: float
    error_by_fold_before: float
    error_by_fold: float
    floor_by_fold: float
    precision: float | None
    coverage: float | None
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
        if fold.threshold is not None
        for score, correct in zip(fold.scores, fold.right, strict=True)
        if score >= fold.threshold
    ]
    ruled = sum(len(fold.scores) for fold in folds if fold.threshold is not None)
    return PooledConfidence(
        temperatures=tuple(fold.temperature for fold in folds),
        error_before=_error(before, right_before),
        error=_error(scores, right),
        floor=perfect_calibration_error(scores, seed),
        error_by_fold_before=fmean(_error(f.scores_before, f.right_before) for f in folds),
        error_by_fold=fmean(_error(fold.scores, fold.right) for fold in folds),
        floor_by_fold=fmean(perfect_calibration_error(fold.scores, seed) for fold in folds),
        precision=fmean(kept) if kept else None,
        coverage=len(kept) / ruled if ruled else None,
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
    }
    rows = [
        [name, *(f"{fmean(getattr(one, key) for one in pooled):.3f}" for key in keys)]
        for name, keys in measures.items()
    ]
    kept = [one.precision for one in pooled if one.precision is not None]
    shares = [one.coverage for one in pooled if one.coverage is not None]
    rule = (
        f"Unsure rule, stated precision {percent(precision)}: of the {percent(fmean(shares))} of "
        f"the held-out clips that were answered, {percent(fmean(kept))} are right."
        if kept and shares
        else "Unsure rule: no held-out clip was answered, or too few clips to set a threshold."
    )
    return (
        "## Can the scores be trusted?\n\n"
        + table(["", "before", "after", "if perfectly calibrated"], rows, align="lrrr")
        + "\n\nFifteen equal bins. A fold holds few clips, so even perfect scores show an error "
        f"there: the last column. Pooled is the figure to go by.\n\n{rule}"
    )


def _error(scores: Sequence[float], right: Sequence[bool]) -> float:
    return expected_calibration_error(calibration_bins(scores, right))
