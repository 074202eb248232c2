"""Confidence of scores: calibration errors, risk against coverage, rejection. Knows no models."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from action_gru.model.calibration import Calibration
from action_gru.report import metrics
from action_gru.report.documents import escape, paragraphs, percent, picture
from action_gru.report.metrics import CALIBRATION_BINS, BoolArray, CalibrationBin, FloatArray
from action_gru.report.plots import BLUE, GREY, ORANGE, add_legend, despine, new_figure

FLOOR_DRAWS = 200


class Answers(NamedTuple):
    """Top-1 scores (N,) from 0 to 1, and whether each answer was right (N,)."""

    scores: FloatArray
    right: BoolArray

    @classmethod
    def of(cls, probabilities: npt.NDArray[np.floating], labels: npt.ArrayLike) -> Answers:
        """From probabilities (N, C) and true classes (N,)."""
        # Averages of windows may exceed 1 by rounding.
        scores = np.minimum(probabilities.max(1), 1).astype(np.float64)
        return cls(scores, probabilities.argmax(1) == np.asarray(labels))

    @property
    def error(self) -> float:
        """The expected calibration error in equal bins."""
        return metrics.expected_calibration_error(metrics.calibration_bins(*self))


class CalibratedAnswers(NamedTuple):
    """The same clips before and after calibration; calibration: None where there is none."""

    before: Answers
    after: Answers
    calibration: Calibration | None


@dataclass(frozen=True)
class Rejection:
    """The effect of rejecting answers below a threshold, on these clips."""

    stated_precision: float
    applied_precision: float  # the stated one, or the most that the calibration's clips support
    threshold: float
    kept: int  # answers at or above it
    precision: float | None  # share of these that is right; None: none is kept
    coverage: float  # share of all clips that they are

    @classmethod
    def of(cls, answers: Answers, calibration: Calibration, precision: float) -> Rejection:
        threshold = calibration.threshold(precision)
        applied = calibration.applied_precision(precision)
        kept = answers.right[answers.scores >= threshold]
        right, coverage = float(kept.mean()) if len(kept) else None, len(kept) / len(answers.right)
        return cls(precision, applied, threshold, len(kept), right, coverage)


@dataclass(frozen=True)
class ConfidenceReport:
    """Scores before and after calibration, and the clips ranked by the calibrated ones.

    error_of_perfect_calibration: the calibration error that perfectly calibrated scores would show
    on so few clips. risk_coverage: (share answered, share of the answers that is wrong), surest
    first; the area is its mean risk (AURC, Geifman et al. 2019).
    """

    temperature: float | None  # None: not calibrated
    source: str
    expected_calibration_error_before: float
    expected_calibration_error: float
    error_of_perfect_calibration: float
    bins_before: tuple[CalibrationBin, ...]
    area_under_risk_coverage: float
    risk_coverage: tuple[tuple[float, float], ...]
    rejection: Rejection | None  # None: no threshold
    note: str  # why there is none, or why it is not for the stated precision

    @classmethod
    def of(
        cls, answers: CalibratedAnswers, precision: float, note: str = "", seed: int = 0
    ) -> ConfidenceReport:
        """precision: as stated in the config."""
        before, after, calibration = answers
        curve = risk_coverage(*after)
        return cls(
            temperature=calibration.temperature if calibration else None,
            source=calibration.source if calibration else "",
            expected_calibration_error_before=before.error,
            expected_calibration_error=after.error,
            error_of_perfect_calibration=perfect_calibration_error(after.scores, seed),
            bins_before=metrics.calibration_bins(*before),
            area_under_risk_coverage=float(np.mean([risk for _, risk in curve])),
            risk_coverage=tuple(curve),
            rejection=Rejection.of(after, calibration, precision) if calibration else None,
            note=note,
        )

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    def plot(self) -> Figure:
        """The share of wrong answers over the share of answers given, surest first."""
        figure = new_figure(5.0, 4.2)
        axes = figure.subplots()
        # Above the axis: without a wrong answer the curve lies on it.
        curve = 100 * np.array(self.risk_coverage).T
        axes.plot(*curve, color=BLUE, clip_on=False, zorder=3)
        if rejection := self.rejection:
            is_stated = rejection.applied_precision == rejection.stated_precision
            allowed = 100 * (1 - rejection.applied_precision)
            label = f"{'stated' if is_stated else 'supported'}: {allowed:.0f}% wrong"
            axes.axhline(allowed, color=GREY, linestyle=":", label=label)
        if rejection and rejection.precision is not None:
            axes.plot(
                [100 * rejection.coverage], [100 * (1 - rejection.precision)], color=ORANGE,
                marker="D", linestyle="none", clip_on=False, zorder=4,
                label=f"unsure below {rejection.threshold:.2f}",
            )  # fmt: skip
        add_legend(figure, axes, 2)
        axes.set(xlim=(0, 101), xlabel="answers given, % of the clips", ylabel="of these wrong, %")
        axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))
        axes.set_title(f"area under the curve {self.area_under_risk_coverage:.3f}", fontsize=10)
        despine(axes)
        return figure

    def markdown(self) -> str:
        error, note, rejection = self.expected_calibration_error, escape(self.note), self.rejection
        is_calibrated = self.temperature is not None
        return paragraphs(
            "## Can the scores be trusted?",
            f"Temperature {self.temperature:.2f}, from {escape(self.source)}. Expected calibration "
            f"error {self.expected_calibration_error_before:.3f} before, {error:.3f} after."
            if is_calibrated
            else f"Not calibrated: {note}. Expected calibration error {error:.3f}.",
            "Perfectly calibrated scores would show about "
            f"{self.error_of_perfect_calibration:.3f} on so few clips (15 equal bins). Area under "
            f"the risk-coverage curve {self.area_under_risk_coverage:.3f}.",
            f"Unsure rule: {note}." if note and is_calibrated else "",
            f"Unsure below a score of {rejection.threshold:.3f}, chosen for a precision of "
            f"{percent(rejection.applied_precision)}: here {rejection.kept} answers stay "
            f"({percent(rejection.coverage)}), of which {percent(rejection.precision)} are right."
            if rejection
            else "",
            picture("risk_coverage"),
        )


def risk_coverage(scores: npt.ArrayLike, right: npt.ArrayLike) -> list[tuple[float, float]]:
    """(share answered, share of these that is wrong), surest first (El-Yaniv and Wiener 2010).

    The errors of answers with equal scores are spread evenly. scores, right (N,) -> N points.
    """
    values, wrong = np.asarray(scores, dtype=np.float64), 1 - np.asarray(right, dtype=np.float64)
    levels, index = np.unique(-values, return_inverse=True)
    shared = np.bincount(index, weights=wrong, minlength=len(levels)) / np.bincount(index)
    errors = np.cumsum(shared[np.sort(index)])
    counts = np.arange(1, len(values) + 1)
    return list(zip((counts / len(values)).tolist(), (errors / counts).tolist(), strict=True))


def perfect_calibration_error(scores: npt.ArrayLike, seed: int) -> float:
    """The mean calibration error if each answer were right with the probability it states. (N,).

    Few clips in a bin differ from their mean by chance, so even perfect scores show an error: the
    bias that Broecker 2012 and Roelofs et al. 2022 describe, drawn here instead of derived.
    """
    values = np.asarray(scores, dtype=np.float64)
    rng = np.random.default_rng(seed)
    draws = (rng.random(len(values)) < values for _ in range(FLOOR_DRAWS))
    return float(np.mean([Answers(values, right).error for right in draws]))


def squared_calibration_error(
    scores: npt.ArrayLike, right: npt.ArrayLike, most_bins: int = CALIBRATION_BINS
) -> float:
    """The mean squared gap of equally filled bins, less what chance alone puts there.

    Kumar et al. 2019, definition 4.1: p (1 - p) / (n - 1) estimates the variance of a bin's
    accuracy p without bias, so the figure is 0 in the mean for perfect scores, however few, and
    figures of several folds may be averaged; it may be below 0. scores, right (N,); at least two
    clips a bin.
    """
    values = np.asarray(scores, dtype=np.float64)
    if len(values) < 2:
        return 0.0  # with one clip the gap and its chance cannot be separated
    order = np.argsort(values, kind="stable")
    values, hits = values[order], np.asarray(right, dtype=np.float64)[order]
    bins = min(most_bins, len(values) // 2)
    index = np.arange(len(values)) * bins // len(values)  # 5 in 2 bins -> [0, 0, 0, 1, 1]
    clips = np.bincount(index)
    accuracy = np.bincount(index, weights=hits) / clips
    gap = accuracy - np.bincount(index, weights=values) / clips
    chance = accuracy * (1 - accuracy) / (clips - 1)
    return float((clips * (gap**2 - chance)).sum() / len(values))
