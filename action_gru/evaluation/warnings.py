"""How good early warnings are: at the last row of each sequence, row by row, and how early.

Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import DataError
from action_gru.evaluation.uncertainty import ratio_interval
from action_gru.timeline import Alarm

FloatArray = NDArray[np.float64]
# Rows up to this many horizons before the end stand for a sequence that was stopped at random.
STOPPED_HORIZONS = 4


@dataclass(frozen=True)
class WarnedSequence:
    """scores (T,): the probability of the end within the horizon; remaining (T,): the truth."""

    name: str
    scores: FloatArray
    remaining: FloatArray


@dataclass(frozen=True)
class WarningScores:
    """None where a figure has no denominator. Every rate is over the sequences given."""

    horizon: float
    threshold: float
    sequences: int
    positives: int  # sequences whose last row is within the horizon
    precision: float | None  # these three at the last row of each sequence
    recall: float | None
    f1: float | None
    f1_interval: tuple[float, float] | None  # 95%, over sequences
    rows: int
    row_auroc: float | None
    row_average_precision: float | None
    row_f1: float | None
    stopped_f1: float | None  # every row of the last horizons taken as a last row
    best_threshold: float | None  # of stopped_f1: to choose with, on training data only
    best_stopped_f1: float | None
    lead_median: float | None  # of what remained when the alarm was raised that stood at the end
    false_alarms_per_1000: float | None  # alarms raised outside the horizon, per 1000 such rows
    false_rows_per_1000: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values for json.dumps."""
        return asdict(self)


def warning_scores(
    sequences: Sequence[WarnedSequence], horizon: float, threshold: float, seed: int = 0
) -> WarningScores:
    """Score warnings of the end within `horizon`, given from `threshold` on."""
    if not sequences:
        raise DataError("warnings need at least one sequence to be scored")
    scores = np.concatenate([one.scores for one in sequences])
    remaining = np.concatenate([one.remaining for one in sequences])
    soon = remaining <= horizon
    last_scores = np.array([one.scores[-1] for one in sequences])
    last_soon = np.array([one.remaining[-1] <= horizon for one in sequences])
    near = remaining <= STOPPED_HORIZONS * horizon
    best, best_f1 = best_threshold(scores[near], soon[near])
    precision, recall, f1 = precision_recall_f1(last_scores >= threshold, last_soon)
    leads = [lead for one in sequences if (lead := _lead(one, horizon, threshold)) is not None]
    outside = int((~soon).sum())
    false_alarms = sum(_false_alarms(one, horizon, threshold) for one in sequences)
    return WarningScores(
        horizon=horizon,
        threshold=threshold,
        sequences=len(sequences),
        positives=int(last_soon.sum()),
        precision=precision,
        recall=recall,
        f1=f1,
        f1_interval=_f1_interval(last_scores >= threshold, last_soon, seed),
        rows=len(scores),
        row_auroc=area_under_roc(scores, soon),
        row_average_precision=average_precision(scores, soon),
        row_f1=precision_recall_f1(scores >= threshold, soon)[2],
        stopped_f1=precision_recall_f1(scores[near] >= threshold, soon[near])[2],
        best_threshold=best,
        best_stopped_f1=best_f1,
        lead_median=float(np.median(leads)) if leads else None,
        false_alarms_per_1000=1000 * false_alarms / outside if outside else None,
        false_rows_per_1000=(
            1000 * float(((scores >= threshold) & ~soon).sum()) / outside if outside else None
        ),
    )


def precision_recall_f1(
    warned: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> tuple[float | None, float | None, float | None]:
    """warned, truth (N,) bool; None where nothing was warned of, or nothing was there."""
    right, given, there = (int(x.sum()) for x in (warned & truth, warned, truth))
    return (
        right / given if given else None,
        right / there if there else None,
        2 * right / (given + there) if there else None,
    )


def area_under_roc(scores: FloatArray, truth: NDArray[np.bool_]) -> float | None:
    """The chance that a positive scores above a negative, ties half (Mann and Whitney 1947)."""
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # of equal scores: their mean rank
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def precision_recall_curve(
    scores: FloatArray, truth: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(precision, recall, threshold) at each distinct score, the highest first; each (K,)."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return hits[ends] / (ends + 1), hits[ends] / max(int(truth.sum()), 1), ranked[ends]


def average_precision(scores: FloatArray, truth: NDArray[np.bool_]) -> float | None:
    """Precision, averaged over the steps of recall; None without a positive."""
    if not truth.any():
        return None
    precision, recall, _ = precision_recall_curve(scores, truth)
    return float((precision * np.diff(recall, prepend=0.0)).sum())


def best_threshold(
    scores: FloatArray, truth: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """The threshold with the largest F1, and that F1; None without a positive."""
    if not truth.any():
        return None, None
    precision, recall, thresholds = precision_recall_curve(scores, truth)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[f1.argmax()]), float(f1.max())


def _f1_interval(
    warned: NDArray[np.bool_], truth: NDArray[np.bool_], seed: int
) -> tuple[float, float] | None:
    """Over whole sequences, with half of a right and half of a wrong one that were not met; None
    without a positive.
    """
    if not truth.any():
        return None
    right, wrong = warned & truth, warned ^ truth
    counts = right + wrong / 2  # F1 is right / (right + wrong / 2)
    return ratio_interval(right, counts, [(1.0, 1.0), (0.0, 0.5)], seed)


def _lead(one: WarnedSequence, horizon: float, threshold: float) -> float | None:
    """What remained when the alarm was raised that stands at the end of a sequence that ends
    within the horizon; None for others, and where none stands.
    """
    alarm, raised = Alarm(threshold), None
    for score, remaining in zip(one.scores, one.remaining, strict=True):
        if alarm.push(float(score)) == "raised":
            raised = float(remaining)
    return raised if alarm.on and one.remaining[-1] <= horizon else None


def _false_alarms(one: WarnedSequence, horizon: float, threshold: float) -> int:
    alarm = Alarm(threshold)
    changes = [alarm.push(float(score)) for score in one.scores]
    return sum(
        change == "raised" and bool(remaining > horizon)
        for change, remaining in zip(changes, one.remaining, strict=True)
    )
