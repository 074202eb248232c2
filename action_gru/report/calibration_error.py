"""Calibration errors that few clips mislead less than equal bins do. Knows nothing of models.

Both sort clips into bins of equally many, by score (Roelofs et al. 2022 find those less biased).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt

from action_gru.report.metrics import CALIBRATION_BINS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def sweep_calibration_error(scores: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """Average |accuracy - score| over as many bins as leave accuracy rising with the score.

    ECE_sweep, Roelofs et al. 2022, algorithm 1. scores, right (N,); 0 and up.
    """
    values, hits = _ranked(scores, right)
    index = np.zeros(len(values), dtype=np.int64)
    for bins in range(2, len(values) + 1):
        finer = _equal_mass(len(values), bins)
        accuracies = np.bincount(finer, weights=hits) / np.bincount(finer)
        if (np.diff(accuracies) < 0).any():
            break
        index = finer
    gaps = np.bincount(index, weights=hits - values)
    return float(np.abs(gaps).sum() / len(values))


def squared_calibration_error(
    scores: npt.ArrayLike, right: npt.ArrayLike, most_bins: int = CALIBRATION_BINS
) -> float:
    """The mean squared gap of the bins, less what chance alone puts there; may be below 0.

    Kumar et al. 2019, definition 4.1: p (1 - p) / (n - 1) estimates the variance of a bin's
    accuracy p without bias, so the figure is 0 in the mean for perfect scores, however few, and
    figures of several folds may be averaged. Its root is no smaller than the expected calibration
    error over the same bins. scores, right (N,); at least two clips a bin.
    """
    values, hits = _ranked(scores, right)
    if len(values) < 2:
        return 0.0  # one clip: its gap and its chance cannot be told apart
    index = _equal_mass(len(values), min(most_bins, len(values) // 2))
    clips = np.bincount(index)
    accuracy = np.bincount(index, weights=hits) / clips
    gap = accuracy - np.bincount(index, weights=values) / clips
    chance = accuracy * (1 - accuracy) / (clips - 1)
    return float((clips * (gap**2 - chance)).sum() / len(values))


def root_of_mean(squares: Sequence[float]) -> float:
    """One error from squared ones; 0 where chance explains more than is seen."""
    return float(np.sqrt(max(0.0, fmean(squares))))


def _ranked(scores: npt.ArrayLike, right: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    values = np.asarray(scores, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    return values[order], np.asarray(right, dtype=np.float64)[order]


def _equal_mass(count: int, bins: int) -> IntArray:
    """The bin of each of `count` ranked clips: 5 in 2 bins -> [0, 0, 0, 1, 1]."""
    return np.arange(count) * bins // count
