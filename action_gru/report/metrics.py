"""Metrics of classification: accuracy, F1, confusions, calibration. Knows no models, no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from action_gru.core.errors import DataError
from action_gru.timeline import SUM_TOLERANCE

CALIBRATION_BINS = 15

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassMetrics:
    """One row of the per-class table; None where the ratio has no denominator."""

    label: str
    support: int  # clips whose true class this is
    precision: float | None  # None: never predicted
    recall: float | None  # None: no clip
    f1: float | None  # None: no clip


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
        """The classes of which no clip was scored."""
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
    cells = np.bincount(truth * count + ranked[:, 0], minlength=count * count)
    confusion = cells.reshape(count, count)
    per_class = per_class_metrics(confusion, classes)
    bins = calibration_bins(scores.max(axis=1), hits[:, 0])
    return Metrics(
        classes=tuple(classes),
        clips=len(truth),
        top1=float(hits[:, 0].mean()),
        top5=float(hits[:, :5].any(axis=1).mean()),
        mean_class_accuracy=mean_class_accuracy(per_class),
        macro_f1=float(np.mean([row.f1 for row in per_class if row.f1 is not None])),
        expected_calibration_error=expected_calibration_error(bins),
        per_class=per_class,
        confusion_matrix=confusion,
        calibration=bins,
    )


def per_class_metrics(confusion: IntArray, classes: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """Read the per-class table off the counts. confusion (C, C), rows are true."""
    rows = zip(
        classes, confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0), strict=True
    )
    return tuple(
        ClassMetrics(
            label=label,
            support=int(support),
            precision=_ratio(right, predicted),
            recall=_ratio(right, support),
            f1=_ratio(2 * right, support + predicted) if support else None,
        )
        for label, right, support, predicted in rows
    )


def mean_class_accuracy(per_class: Sequence[ClassMetrics]) -> float:
    """Average the recall of the classes that have a clip."""
    return float(np.mean([row.recall for row in per_class if row.recall is not None]))


def largest_confusions(confusion: IntArray) -> list[tuple[int, int, int]]:
    """(clips, true class, predicted class) of each kind of mistake, the most frequent first."""
    wrong = confusion * ~np.eye(len(confusion), dtype=bool)
    cells = [(int(wrong[row, column]), row, column) for row, column in np.argwhere(wrong).tolist()]
    return sorted(cells, key=lambda cell: -cell[0])


def calibration_bins(
    confidences: npt.ArrayLike, correct: npt.ArrayLike, bins: int = CALIBRATION_BINS
) -> tuple[CalibrationBin, ...]:
    """Sort clips by top-1 score into the equal bins ((m-1)/M, m/M]. confidences, correct (N,).

    Guo et al. 2017, section 2.
    """
    scores = np.asarray(confidences, dtype=np.float64)
    right = np.asarray(correct, dtype=np.float64)
    index = np.clip(np.ceil(scores * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    score_sums = np.bincount(index, weights=scores, minlength=bins)
    right_sums = np.bincount(index, weights=right, minlength=bins)
    return tuple(
        CalibrationBin(int(count), _ratio(score_sum, count), _ratio(right_sum, count))
        for count, score_sum, right_sum in zip(counts, score_sums, right_sums, strict=True)
    )


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Average |accuracy - confidence| over bins, weighted by clips. Guo et al. 2017, eq. 3."""
    total = sum(one.clips for one in bins)
    gaps = (
        one.clips * abs(one.accuracy - one.confidence)
        for one in bins
        if one.accuracy is not None and one.confidence is not None
    )
    return float(sum(gaps) / total)


def majority_baseline(train_labels: npt.ArrayLike, test_labels: npt.ArrayLike) -> float:
    """Accuracy of always answering the most frequent training class. (N,), (M,) int."""
    return float(np.mean(np.asarray(test_labels) == np.bincount(train_labels).argmax()))


def _check_probabilities(scores: FloatArray) -> None:
    """(N, C). Raises DataError where a row is no distribution, as with NaN in the features."""
    fits = (scores >= 0) & (scores <= 1)  # also false for NaN
    rows = fits.all(axis=1) & (np.abs(scores.sum(axis=1) - 1) <= SUM_TOLERANCE)
    if not rows.all():
        bad = int(np.argmin(rows))
        raise DataError(
            f"probabilities must lie in 0 to 1 and sum to 1 per clip; clip {bad} has "
            f"[{', '.join(f'{score:.3g}' for score in scores[bad][:8])}]: apply softmax first, "
            "and look for NaN in the features"
        )


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
