"""How far a score can be trusted: spread over repeats, interval over groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from action_gru.errors import DataError

BLOCK = 1_000_000  # drawn groups at once
RESAMPLES = 10_000


class FoldSummary(NamedTuple):
    """Mean and sample standard deviation of n repeats; spread is None for n = 1."""

    mean: float
    spread: float | None
    n: int


def fold_summary(values: Sequence[float]) -> FoldSummary:
    """Mean and spread of one figure over folds or seeds."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise DataError(f"a summary needs at least one finite value; got {list(values)}")
    spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return FoldSummary(float(numbers.mean()), spread, len(numbers))


def group_bootstrap_interval(
    correct: npt.ArrayLike,
    groups: Sequence[str],
    seed: int,
    span: tuple[float, float] = (0.0, 1.0),
) -> tuple[float, float] | None:
    """The 95% interval of a mean over groups like these; None for one group.

    Clips of one group (a source video, an actor) share their luck, so that counting single clips
    would make the interval too narrow. Half a group of the mean size stands at either end of span,
    for those not yet met: an accuracy may be 0 or 1 there. So the interval has a width
    also where all groups agree. correct (N,) bool, or any figure; groups (N,).
    """
    right = np.asarray(correct, dtype=np.float64)
    if right.ndim != 1 or len(right) != len(groups) or not len(right):
        raise DataError(
            f"a bootstrap needs one group per clip; got correct of shape {right.shape} "
            f"and {len(groups)} groups"
        )
    names, index = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    if len(names) < 2:
        return None
    sums, sizes = np.bincount(index, weights=right), np.bincount(index)
    size = len(right) / len(names)
    return ratio_interval(sums, sizes, [(end * size, size) for end in span], seed)


def ratio_interval(
    parts: npt.ArrayLike,
    wholes: npt.ArrayLike,
    unseen: Sequence[tuple[float, float]],
    seed: int,
) -> tuple[float, float]:
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
    """How often the best that one can always answer is right: the most frequent class's share.

    Of these clips, not of the training: whoever always answers one class must not look clever
    because the clips happen to have more of it.
    """
    return max(Counter(labels).values()) / len(labels)


def lies_above(interval: tuple[float, float] | None, rate: float) -> bool:
    """Whether more than luck tells a figure from a rate; False where there is no interval."""
    return interval is not None and interval[0] > rate
