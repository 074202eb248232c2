"""Confidence of scores: calibration errors, risk against coverage, and rejection of answers.

Knows nothing of models: reads top-1 scores and whether the answers were right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from action_gru.model.calibration import Calibration
from action_gru.report.markdown import escape, percent, table
from action_gru.report.metrics import (
    CALIBRATION_BINS,
    CalibrationBin,
    calibration_bins,
    expected_calibration_error,
)
from action_gru.report.plots import BLUE, GREY, ORANGE, add_legend, despine, new_figure
from action_gru.report.statistics import BoolArray, FloatArray

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

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    @property
    def error(self) -> float:
        """The expected calibration error in equal bins."""
        return expected_calibration_error(calibration_bins(*self))


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
            bins_before=calibration_bins(*before),
            area_under_risk_coverage=float(np.mean([risk for _, risk in curve])),
            risk_coverage=tuple(curve),
            rejection=Rejection.of(after, calibration, precision) if calibration else None,
            note=note,
        )

    def to_json(self) -> dict[str, object]:
        """Return JSON-serialisable values."""
        return asdict(self)

    def plot(self) -> Figure:
        """The share of wrong answers as ever less sure ones are given."""
        figure = new_figure(5.0, 4.2)
        axes = figure.subplots()
        coverage, risk = 100 * np.array(self.risk_coverage).T
        axes.plot(coverage, risk, color=BLUE)
        rejection = self.rejection
        if rejection is not None:
            is_stated = rejection.applied_precision == rejection.stated_precision
            allowed = 100 * (1 - rejection.applied_precision)
            label = f"{'stated' if is_stated else 'supported'}: {allowed:.0f}% wrong"
            axes.axhline(allowed, color=GREY, linestyle=":", label=label)
        if rejection is not None and rejection.precision is not None:
            axes.plot(
                [100 * rejection.coverage], [100 * (1 - rejection.precision)], color=ORANGE,
                marker="D", linestyle="none", clip_on=False,
                label=f"unsure below {rejection.threshold:.2f}",
            )  # fmt: skip
        add_legend(figure, axes, 2)
        axes.set(xlim=(0, 101), xlabel="answers given, % of the clips", ylabel="of these wrong, %")
        axes.set_ylim(bottom=0)
        axes.set_title(f"area under the curve {self.area_under_risk_coverage:.3f}", fontsize=10)
        despine(axes)
        return figure

    def markdown(self) -> str:
        """Return the section of the report."""
        after = self.expected_calibration_error
        lines = [
            f"Not calibrated: {escape(self.note)}. Expected calibration error {after:.3f}."
            if self.temperature is None
            else f"Temperature {self.temperature:.2f}, from {escape(self.source)}. Expected "
            f"calibration error {self.expected_calibration_error_before:.3f} before, {after:.3f} "
            "after.",
            "Perfectly calibrated scores would show about "
            f"{self.error_of_perfect_calibration:.3f} on so few clips (15 equal bins). Area under "
            f"the risk-coverage curve {self.area_under_risk_coverage:.3f}.",
        ]
        rejection = self.rejection
        if self.note and self.temperature is not None:
            lines.append(f"Unsure rule: {escape(self.note)}.")
        if rejection is not None:
            lines.append(
                f"Unsure below a score of {rejection.threshold:.3f}, chosen for a precision of "
                f"{percent(rejection.applied_precision)}: here {rejection.kept} answers stay "
                f"({percent(rejection.coverage)}), of which {percent(rejection.precision)} are "
                "right."
            )
        text = "\n\n".join(lines)
        return f"## Can the scores be trusted?\n\n{text}\n\n![risk_coverage](risk_coverage.png)"


def risk_coverage(scores: npt.ArrayLike, right: npt.ArrayLike) -> list[tuple[float, float]]:
    """(share answered, share of these that is wrong) as ever less sure answers are let in.

    El-Yaniv and Wiener 2010. Answers of one score come in together: within them the errors are
    spread evenly. scores, right (N,) -> N points.
    """
    values, wrong = np.asarray(scores, dtype=np.float64), 1 - np.asarray(right, dtype=np.float64)
    levels, index = np.unique(-values, return_inverse=True)
    shared = np.bincount(index, weights=wrong, minlength=len(levels)) / np.bincount(index)
    errors = np.cumsum(shared[np.sort(index)])
    counts = np.arange(1, len(values) + 1)
    return list(zip((counts / len(values)).tolist(), (errors / counts).tolist(), strict=True))


def perfect_calibration_error(scores: npt.ArrayLike, seed: int, draws: int = FLOOR_DRAWS) -> float:
    """The mean calibration error if each answer were right with the probability it states. (N,).

    Few clips in a bin differ from their mean by chance, so even perfect scores show an error: the
    bias that Broecker 2012 and Roelofs et al. 2022 describe, drawn here instead of derived.
    """
    values = np.asarray(scores, dtype=np.float64)
    rng = np.random.default_rng(seed)
    errors = [Answers(values, rng.random(len(values)) < values).error for _ in range(draws)]
    return float(np.mean(errors))


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
        return 0.0  # one clip: its gap and its chance cannot be told apart
    order = np.argsort(values, kind="stable")
    values, hits = values[order], np.asarray(right, dtype=np.float64)[order]
    bins = min(most_bins, len(values) // 2)
    index = np.arange(len(values)) * bins // len(values)  # 5 in 2 bins -> [0, 0, 0, 1, 1]
    clips = np.bincount(index)
    accuracy = np.bincount(index, weights=hits) / clips
    gap = accuracy - np.bincount(index, weights=values) / clips
    chance = accuracy * (1 - accuracy) / (clips - 1)
    return float((clips * (gap**2 - chance)).sum() / len(values))


def pool_confidence(
    folds: Sequence[CalibratedAnswers], precision: float, seed: int = 0
) -> dict[str, Any]:
    """The figures of all folds of one seed, for report.json. precision: as stated in the config.

    error: expected calibration error in 15 equal bins, over all clips of the seed; error_by_fold:
    the mean of the folds' own errors, which so few clips push up; floor and floor_by_fold: what
    perfectly calibrated scores would show there. squared_by_fold: the mean of
    `squared_calibration_error`. precision: of the answers at or above the threshold that the fold's
    own training clips give; None: none is kept. unproven: in how many folds these clips do not
    prove the stated precision, so that a lower one was applied.
    """
    before = Answers.joined([fold.before for fold in folds])
    after = Answers.joined([fold.after for fold in folds])
    calibrations = [fold.calibration for fold in folds if fold.calibration]
    rejections = [
        Rejection.of(fold.after, calibration, precision)
        for fold, calibration in zip(folds, calibrations, strict=True)
    ]
    kept = sum(one.kept for one in rejections)
    right = sum(one.kept * (one.precision or 0) for one in rejections)
    return {
        "temperatures": [one.temperature for one in calibrations],
        "error_before": before.error,
        "error": after.error,
        "floor": perfect_calibration_error(after.scores, seed),
        "error_by_fold_before": fmean(fold.before.error for fold in folds),
        "error_by_fold": fmean(fold.after.error for fold in folds),
        "floor_by_fold": fmean(perfect_calibration_error(f.after.scores, seed) for f in folds),
        "squared_by_fold_before": fmean(squared_calibration_error(*fold.before) for fold in folds),
        "squared_by_fold": fmean(squared_calibration_error(*fold.after) for fold in folds),
        "precision": round(right) / kept if kept else None,
        "coverage": kept / len(after.scores),
        "unproven": sum(one.applied_precision < one.stated_precision for one in rejections),
        "area_under_risk_coverage": fmean(risk for _, risk in risk_coverage(*after)),
    }


def pooled_markdown(pooled: Sequence[Mapping[str, Any]], precision: float) -> str:
    """A section of the cross-validation's report, from `pool_confidence` of each seed."""

    def mean(key: str) -> str:
        return f"{fmean(one[key] for one in pooled):.3f}"

    def root(key: str) -> str:  # 0 where chance explains more than is seen
        return f"{max(0.0, fmean(one[key] for one in pooled)) ** 0.5:.3f}"

    rows = [
        ["calibration error, pooled", mean("error_before"), mean("error"), mean("floor")],
        ["calibration error, mean of the folds'", mean("error_by_fold_before"),
         mean("error_by_fold"), mean("floor_by_fold")],
        ["the folds', root of squared and debiased", root("squared_by_fold_before"),
         root("squared_by_fold"), "0"],
    ]  # fmt: skip
    kept = [one["precision"] for one in pooled if one["precision"] is not None]
    rule = (
        f"Unsure rule, stated precision {percent(precision)}: of the "
        f"{percent(fmean(one['coverage'] for one in pooled))} of the held-out clips that were "
        f"answered, {percent(fmean(kept))} are right."
        if kept
        else "Unsure rule: no held-out clip was answered."
    )
    if unproven := sum(one["unproven"] for one in pooled):
        folds = sum(len(one["temperatures"]) for one in pooled)
        rule += (
            f" In {unproven} of {folds} folds the training clips do not prove that precision, and "
            "the most that they support was applied."
        )
    return (
        "## Can the scores be trusted?\n\n"
        + table(["", "before", "after", "if perfectly calibrated"], rows, align="lrrr")
        + "\n\nFifteen equal bins; debiased, the part of chance taken off (Kumar et al. 2019). A "
        "fold holds few clips, so even perfect scores show an error there: the last column. Pooled "
        f"and debiased are the figures to go by.\n\n{rule}"
    )
