"""How far a score can be trusted: spread over repeats, interval over groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from action_gru.errors import DataError

BLOCK = 1_000_000  # drawn groups at once


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
    level: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float] | None:
    """Percentile interval of a mean when whole groups are drawn again; None for one group.

    Clips of one group (a source video, an actor) share their luck, so that drawing single
    clips would make the interval too narrow. correct (N,) bool, or any figure; groups (N,).
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
    rng = np.random.default_rng(seed)
    rates: list[float] = []
    while len(rates) < resamples:  # in blocks: thousands of groups would fill the memory at once
        rows = min(resamples - len(rates), max(1, BLOCK // len(names)))
        draw = rng.integers(len(names), size=(rows, len(names)))
        rates += (sums[draw].sum(1) / sizes[draw].sum(1)).tolist()
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
