"""Accuracy, F1, calibration, intervals over groups, ranking by score. Knows no models or files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from action_gru.core.errors import DataError
from action_gru.timeline import SUM_TOLERANCE

CALIBRATION_BINS = 15
BLOCK = 1_000_000  # drawn groups at once
RESAMPLES = 10_000

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Interval = tuple[float, float]


@dataclass(frozen=True)
class ClassMetrics:
    """One row of the per-class table; None where the ratio has no denominator."""

    label: str
    support: int  # clips whose true class this is
    precision: float | None  # None: never predicted
    recall: float | None  # None: no clip
    f1: float | None  # None: no clip


@dataclass(frozen=True)
class LabelMetrics:
    """The same where several classes may be shown at once."""

    label: str
    support: int  # answers that truly show it
    threshold: float | None  # from which it counts as shown; None: it differs from fold to fold
    average_precision: float | None  # None: nothing shows it
    precision: float | None  # None: never given
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class CalibrationBin:
    """Clips whose top-1 score fell into one of the equal bins of (0, 1]."""

    clips: int
    confidence: float | None  # mean top-1 score; None: empty bin
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class Metrics:
    """Every figure over N clips and C classes. `confusion_matrix` (C, C): rows are true."""

    classes: tuple[str, ...]
    clips: int
    top1: float
    top5: float  # top-C when C < 5, hence 1
    mean_class_accuracy: float  # over the classes that have a clip
    macro_f1: float  # over the classes that have a clip
    expected_calibration_error: float
    per_class: tuple[ClassMetrics, ...]
    confusion_matrix: IntArray
    calibration: tuple[CalibrationBin, ...]

    @property
    def classes_without_clips(self) -> tuple[str, ...]:
        return tuple(row.label for row in self.per_class if row.support == 0)

    def to_json(self) -> dict[str, object]:
        """Return JSON-serialisable values: keys at the top level of report.json."""
        return asdict(self) | {
            "classes_without_clips": self.classes_without_clips,
            "confusion_matrix": self.confusion_matrix.tolist(),
        }


def compute_metrics(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, classes: Sequence[str]
) -> Metrics:
    """Score softmax output against the truth. Of equal scores, the class listed first wins.

    labels (N,) int in [0, C), probabilities (N, C), C >= 2. Raises DataError for rows that are no
    distribution.
    """
    truth = np.asarray(labels, dtype=np.int64)
    scores = np.asarray(probabilities, dtype=np.float64)
    _check_probabilities(scores)
    ranked = np.argsort(-scores, axis=1, kind="stable")
    hits = ranked == truth[:, None]  # (N, C), one True a row
    count = len(classes)
    cells = np.bincount(truth * count + ranked[:, 0], minlength=count**2)
    confusion = cells.reshape(count, count)
    per_class = per_class_metrics(confusion, classes)
    bins = calibration_bins(scores.max(axis=1), hits[:, 0])
    return Metrics(
        classes=tuple(classes),
        clips=len(truth),
        top1=float(hits[:, 0].mean()),
        top5=float(hits[:, :5].any(axis=1).mean()),
        mean_class_accuracy=mean_class_accuracy(per_class),
        macro_f1=macro_f1(per_class),
        expected_calibration_error=expected_calibration_error(bins),
        per_class=per_class,
        confusion_matrix=confusion,
        calibration=bins,
    )


def _check_probabilities(scores: FloatArray) -> None:
    fits = (scores >= 0) & (scores <= 1)  # also false for NaN
    rows = fits.all(axis=1) & (np.abs(scores.sum(axis=1) - 1) <= SUM_TOLERANCE)
    if not rows.all():
        bad = int(np.argmin(rows))
        raise DataError(
            f"probabilities must lie in 0 to 1 and sum to 1 per clip; clip {bad} has "
            f"[{', '.join(f'{score:.3g}' for score in scores[bad][:8])}]: apply softmax first, "
            "and look for NaN in the features"
        )


def per_class_metrics(confusion: IntArray, classes: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """Read the per-class table off the counts. confusion (C, C), rows are true."""
    counts = zip(confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1), strict=True)
    return tuple(
        ClassMetrics(label, int(support), *precision_recall_f1(right, predicted, support))
        for label, (right, predicted, support) in zip(classes, counts, strict=True)
    )


def macro_f1(per_class: Sequence[ClassMetrics]) -> float:
    """The mean F1 of the classes that were shown or named."""
    return float(np.mean([row.f1 for row in per_class if row.f1 is not None]))


def precision_recall_f1(
    right: float, predicted: float, actual: float
) -> tuple[float | None, float | None, float | None]:
    """From counts; None where a ratio has no denominator, F1 also where nothing is actual."""
    f1 = _ratio(2 * right, predicted + actual) if actual else None
    return _ratio(right, predicted), _ratio(right, actual), f1


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def mean_class_accuracy(per_class: Sequence[ClassMetrics]) -> float:
    """Average the recall of the classes that have a clip."""
    return float(np.mean([row.recall for row in per_class if row.recall is not None]))


def largest_confusions(confusion: IntArray) -> list[tuple[int, int, int]]:
    """(clips, true class, predicted class) of each kind of mistake, the most frequent first."""
    wrong = confusion * ~np.eye(len(confusion), dtype=bool)
    cells = [(int(wrong[row, column]), row, column) for row, column in np.argwhere(wrong).tolist()]
    return sorted(cells, key=lambda cell: -cell[0])


def calibration_bins(
    confidences: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[CalibrationBin, ...]:
    """Sort clips by top-1 score into the M equal bins ((m-1)/M, m/M]. confidences, correct (N,).

    Guo et al. 2017, section 2.
    """
    scores, right = (np.asarray(values, dtype=np.float64) for values in (confidences, correct))
    index = np.ceil(scores * CALIBRATION_BINS).astype(np.int64) - 1
    index = np.clip(index, 0, CALIBRATION_BINS - 1)
    counts, score_sums, right_sums = (
        np.bincount(index, weights=weights, minlength=CALIBRATION_BINS)
        for weights in (None, scores, right)
    )
    return tuple(
        CalibrationBin(int(count), _ratio(score_sum, count), _ratio(right_sum, count))
        for count, score_sum, right_sum in zip(counts, score_sums, right_sums, strict=True)
    )


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Average |accuracy - confidence| over bins, weighted by clips. Guo et al. 2017, eq. 3."""
    gaps = (one.clips * abs((one.accuracy or 0) - (one.confidence or 0)) for one in bins)
    return float(sum(gaps) / sum(one.clips for one in bins))


def majority_baseline(train_labels: npt.ArrayLike, test_labels: npt.ArrayLike) -> float:
    """Accuracy of always answering the most frequent training class. (N,), (M,) int."""
    return float(np.mean(np.asarray(test_labels) == np.bincount(train_labels).argmax()))


def best_guess(labels: Sequence[object]) -> float:
    """The accuracy of always answering the most frequent class of these clips.

    Of these and not of the training clips: a model that always gives one answer must not look
    better than guessing because the clips happen to hold more of that class.
    """
    return max(Counter(labels).values()) / len(labels)


class FoldSummary(NamedTuple):
    """Mean and sample standard deviation of repeats; spread is None for one."""

    mean: float
    spread: float | None


def fold_summary(values: npt.ArrayLike) -> FoldSummary:
    """Mean and spread of one figure over folds or seeds."""
    numbers = np.asarray(values, dtype=np.float64)
    spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return FoldSummary(float(numbers.mean()), spread)


def group_bootstrap_interval(
    correct: npt.ArrayLike, groups: Sequence[str], seed: int, span: Interval = (0.0, 1.0)
) -> Interval | None:
    """The 95% interval of a mean over groups like these; None for one group.

    Clips of one group (a source video, an actor) are not independent: counting single clips would
    make the interval too narrow. Half a group of the mean size is added at either end of span, for
    unseen groups, so the interval has a width also where all groups agree.
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

    A Bayesian bootstrap (Rubin 1981) with exponential weights of groups (G,) and half weights of
    `unseen` (part, whole). With one clip a group and unseen at 0 and 1 this is the interval of
    Jeffreys (Brown, Cai and DasGupta 2001, section 3.1.3).
    """
    values = np.asarray([parts, wholes], dtype=np.float64)
    ends, observed = np.asarray(unseen, np.float64).T, float(values[0].sum() / values[1].sum())
    rng = np.random.default_rng(seed)
    rates: list[float] = []
    while len(rates) < RESAMPLES:  # in blocks: thousands of groups would fill the memory at once
        rows = min(RESAMPLES - len(rates), max(1, BLOCK // values.shape[1]))
        weighed = values @ rng.standard_exponential((values.shape[1], rows))
        weighed += ends @ rng.standard_gamma(0.5, (len(unseen), rows))
        rates += (weighed[0] / weighed[1]).tolist()
    low, high = np.quantile(rates, [0.025, 0.975])
    return min(float(low), observed), max(float(high), observed)


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
