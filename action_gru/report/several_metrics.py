"""The figures where a clip may show several classes at once. Knows no models or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from action_gru.report import metrics as stats
from action_gru.report.metrics import BoolArray, FloatArray, IntArray, Interval, LabelMetrics

DRAWS = 500  # of the bootstrap
DRAWN_ANSWERS = 20_000_000  # at most: of long data fewer draws


@dataclass(frozen=True, eq=False)
class ManyMetrics:
    """Every figure over N answers and C classes; averages over the classes that are shown.

    exact_match: share of the answers with all classes right. hamming: share of the N C decisions
    that are wrong. together (C, C): how many answers truly show both classes of a cell.
    """

    classes: tuple[str, ...]
    clips: int
    mean_average_precision: float | None
    macro_f1: float | None
    exact_match: float
    hamming: float
    expected_calibration_error: float  # of all decisions
    per_class: tuple[LabelMetrics, ...]
    together: IntArray

    @property
    def classes_without_clips(self) -> tuple[str, ...]:
        return tuple(row.label for row in self.per_class if row.support == 0)

    def to_json(self) -> dict[str, object]:
        """Return JSON-serialisable values: keys at the top level of report.json."""
        return asdict(self) | {
            "classes_without_clips": self.classes_without_clips,
            "together": self.together.tolist(),
        }


def compute_many(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    decided: npt.ArrayLike,
    classes: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> ManyMetrics:
    """Score N answers: truth and decided (N, C) bool, probabilities (N, C)."""
    shown, given = (np.asarray(values, dtype=np.bool_) for values in (truth, decided))
    scores = np.asarray(probabilities, dtype=np.float64)
    per_class = []
    for index, label in enumerate(classes):
        mine, theirs = shown[:, index], given[:, index]
        counts = int((mine & theirs).sum()), int(theirs.sum()), int(mine.sum())
        precision, recall, f1 = stats.precision_recall_f1(*counts)
        ranked = stats.average_precision(scores[:, index], mine)
        limit = None if thresholds is None else thresholds[index]
        per_class.append(LabelMetrics(label, counts[2], limit, ranked, precision, recall, f1))
    bins = stats.calibration_bins(scores.ravel(), shown.ravel())
    return ManyMetrics(
        classes=tuple(classes),
        clips=len(shown),
        mean_average_precision=_mean([row.average_precision for row in per_class]),
        macro_f1=_mean([row.f1 for row in per_class]),
        exact_match=float((shown == given).all(axis=1).mean()),
        hamming=float((shown != given).mean()),
        expected_calibration_error=stats.expected_calibration_error(bins),
        per_class=tuple(per_class),
        together=shown.T.astype(np.int64) @ shown.astype(np.int64),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def frequency_baseline(
    trained: npt.ArrayLike, truth: npt.ArrayLike, classes: Sequence[str]
) -> ManyMetrics:
    """The figures of giving every answer the training data's frequencies: (M, C), (N, C) bool.

    A class that more than half of the training data shows is always given, the others never.
    """
    often = np.asarray(trained, dtype=np.float64).mean(axis=0)
    scores = np.tile(often, (len(np.asarray(truth)), 1))
    return compute_many(truth, scores, scores > 0.5, classes)


def precision_interval(
    truth: BoolArray, scores: FloatArray, groups: Sequence[str], seed: int
) -> Interval | None:
    """The 95% interval of the mean average precision over groups like these; None for one group.

    A Bayesian bootstrap (Rubin 1981) with exponential weights of whole groups, because clips of
    one group are not independent, and as in `stats.ratio_interval` half a group at either end for
    those that were not seen: its clips of a class are all ranked first, or all last.
    (N, C), (N, C), (N,).
    """
    names, index = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    if len(names) < 2 or not truth.any():
        return None
    draws = max(20, min(DRAWS, DRAWN_ANSWERS // truth.size))
    rng = np.random.default_rng(seed)
    weights = rng.standard_exponential((draws, len(names)))[:, index]
    unseen = rng.standard_gamma(0.5, (2, draws))
    shown = [column for column in range(truth.shape[1]) if truth[:, column].any()]
    of_group = [truth[:, c].sum() / len(set(index[truth[:, c]])) for c in shown]
    means = np.mean(
        [
            _weighed(truth[:, c], scores[:, c], weights, size * unseen)
            for c, size in zip(shown, of_group, strict=True)
        ],
        axis=0,
    )
    observed = np.mean([stats.average_precision(scores[:, c], truth[:, c]) or 0.0 for c in shown])
    low, high = np.quantile(means, [0.025, 0.975])
    return min(float(low), float(observed)), max(float(high), float(observed))


def _weighed(
    truth: BoolArray, scores: FloatArray, weights: FloatArray, unseen: FloatArray
) -> FloatArray:
    """Average precision by weights of the answers: (N,), (N,), (B, N) -> (B,).

    unseen (2, B): how many more clips of the class have a precision of 1, and of 0.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    ranked = weights[:, order]
    kept, hits = np.cumsum(ranked, 1)[:, ends], np.cumsum(ranked * truth[order], 1)[:, ends]
    found = (hits / kept * np.diff(hits, axis=1, prepend=0.0)).sum(1) + unseen[0]
    return np.asarray(found / (hits[:, -1] + unseen.sum(0)), dtype=np.float64)
