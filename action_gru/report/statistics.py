"""Statistics of answers: spread over repeats, intervals over groups, ranking by score.

Knows nothing of models or files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BLOCK = 1_000_000  # drawn groups at once
RESAMPLES = 10_000

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Interval = tuple[float, float]


class FoldSummary(NamedTuple):
    """Mean and sample standard deviation of n repeats; spread is None for n = 1."""

    mean: float
    spread: float | None
    n: int


def fold_summary(values: Sequence[float]) -> FoldSummary:
    """Mean and spread of one figure over folds or seeds."""
    numbers = np.asarray(values, dtype=np.float64)
    spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return FoldSummary(float(numbers.mean()), spread, len(numbers))


def group_bootstrap_interval(
    correct: npt.ArrayLike, groups: Sequence[str], seed: int, span: Interval = (0.0, 1.0)
) -> Interval | None:
    """The 95% interval of a mean over groups like these; None for one group.

    Clips of one group (a source video, an actor) are not independent: counting single clips would
    make the interval too narrow. Half a group of the mean size is added at either end of span, for
    groups not yet met, so the interval has a width also where all groups agree.
    correct (N,) bool, or any figure; groups (N,).
    """
    right = np.asarray(correct, dtype=np.float64)
    names, index = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    if len(names) < 2:
        return None
    sums, sizes = np.bincount(index, weights=right), np.bincount(index)
    size = len(right) / len(names)
    return ratio_interval(sums, sizes, [(end * size, size) for end in span], seed)


def ratio_interval(
    parts: npt.ArrayLike, wholes: npt.ArrayLike, unseen: Sequence[tuple[float, float]], seed: int
) -> Interval:
    """The 95% interval of sum(parts) / sum(wholes) over groups like these; holds that ratio.

    A Bayesian bootstrap (Rubin 1981): each group (G,) weighs as an exponential draw. Each of
    `unseen`, (part, whole), weighs as half a group. With one clip a group and unseen at 0 and 1
    this is the interval of Jeffreys (Brown, Cai and DasGupta 2001, section 3.1.3).
    """
    values = np.asarray([parts, wholes], dtype=np.float64)
    ends = np.asarray(unseen, dtype=np.float64).T
    observed = float(values[0].sum() / values[1].sum())
    rng = np.random.default_rng(seed)
    rates: list[float] = []
    while len(rates) < RESAMPLES:  # in blocks: thousands of groups would fill the memory at once
        rows = min(RESAMPLES - len(rates), max(1, BLOCK // values.shape[1]))
        weighed = values @ rng.standard_exponential((values.shape[1], rows))
        weighed += ends @ rng.standard_gamma(0.5, (len(unseen), rows))
        rates += (weighed[0] / weighed[1]).tolist()
    low, high = np.quantile(rates, [0.025, 0.975])
    return min(float(low), observed), max(float(high), observed)


def best_guess(labels: Sequence[object]) -> float:
    """The accuracy of always answering the most frequent class of these clips.

    Of these and not of the training clips: a model that always gives one answer must not look
    better than guessing because the clips happen to hold more of that class.
    """
    return max(Counter(labels).values()) / len(labels)


def lies_above(interval: Interval | None, rate: float) -> bool:
    """Whether an interval lies above a rate; False where there is no interval."""
    return interval is not None and interval[0] > rate


def area_under_roc(scores: FloatArray, truth: BoolArray) -> float | None:
    """The chance that a positive scores above a negative, ties half (Mann and Whitney 1947).

    scores, truth (N,); None without a positive or without a negative.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # of equal scores: their mean rank
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def precision_recall_curve(
    scores: FloatArray, truth: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(precision, recall, threshold) at each distinct score, the highest first; each (K,)."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return hits[ends] / (ends + 1), hits[ends] / max(int(truth.sum()), 1), ranked[ends]


def average_precision(scores: FloatArray, truth: BoolArray) -> float | None:
    """Precision, averaged over the steps of recall; None without a positive."""
    if not truth.any():
        return None
    precision, recall, _ = precision_recall_curve(scores, truth)
    return float((precision * np.diff(recall, prepend=0.0)).sum())


def precision_recall_f1(
    predicted: BoolArray, truth: BoolArray
) -> tuple[float | None, float | None, float | None]:
    """predicted, truth (N,) bool; None where a ratio has no denominator."""
    right, given, there = (int(x.sum()) for x in (predicted & truth, predicted, truth))
    return (
        right / given if given else None,
        right / there if there else None,
        2 * right / (given + there) if there else None,
    )
