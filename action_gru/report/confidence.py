"""How far scores can be trusted: calibration, and what is gained by not answering.

Knows nothing of models: reads top scores and whether they were right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import binary_auroc

from action_gru.errors import DataError
from action_gru.report.metrics import (
    CalibrationBin,
    calibration_bins,
    expected_calibration_error,
)

FLOOR_DRAWS = 200

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rejection:
    """What calling answers unsure below a threshold gives on these clips."""

    stated_precision: float
    applied_precision: float  # the stated one, or the most that the calibration's clips support
    threshold: float
    kept: int  # answers at or above it
    precision: float | None  # share of these that is right; None: none is kept
    coverage: float  # share of all clips that they are


@dataclass(frozen=True)
class ConfidenceReport:
    """Scores before and after calibration, and the clips ranked by the calibrated ones.

    floor: the calibration error that perfectly calibrated scores would show on so few clips.
    risk_coverage: (share answered, share of the answers that is wrong), surest first; area: its
    mean risk (AURC, Geifman et al. 2019).
    """

    temperature: float | None  # None: not calibrated
    source: str
    before: tuple[CalibrationBin, ...]
    after: tuple[CalibrationBin, ...]
    floor: float
    risk_coverage: tuple[tuple[float, float], ...]
    area: float
    rejection: Rejection | None  # None: no threshold
    note: str = ""  # why there is none, or why it is not for the stated precision

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps."""
        return {
            "temperature": self.temperature,
            "source": self.source,
            "expected_calibration_error_before": expected_calibration_error(self.before),
            "expected_calibration_error": expected_calibration_error(self.after),
            "error_of_perfect_calibration": self.floor,
            "bins_before": [one._asdict() for one in self.before],
            "area_under_risk_coverage": self.area,
            "risk_coverage": [list(point) for point in self.risk_coverage],
            "rejection": asdict(self.rejection) if self.rejection else None,
            "note": self.note,
        }


def confidence_report(
    scores_before: npt.ArrayLike,
    scores: npt.ArrayLike,
    right: npt.ArrayLike,
    temperature: float | None = None,
    source: str = "",
    threshold: float | None = None,
    precision: float = 0.9,
    applied: float | None = None,
    note: str = "",
    right_before: npt.ArrayLike | None = None,
    seed: int = 0,
) -> ConfidenceReport:
    """From the top scores (N,) before and after calibration and whether they were right (N,).

    precision: as stated; applied: that of the threshold, if it is another. right_before: where
    averaging over windows let calibration change an answer.
    """
    ranked, hits = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    uncalibrated = np.asarray(scores_before, dtype=np.float64)
    if not len(ranked) or not ranked.shape == hits.shape == uncalibrated.shape:
        raise DataError(
            "a confidence report needs one score before, one after and one truth a clip; got "
            f"{uncalibrated.shape}, {ranked.shape} and {hits.shape}"
        )
    curve = risk_coverage(ranked, hits)
    return ConfidenceReport(
        temperature=temperature,
        source=source,
        before=calibration_bins(uncalibrated, hits if right_before is None else right_before),
        after=calibration_bins(ranked, hits),
        floor=perfect_calibration_error(ranked, seed),
        risk_coverage=tuple(curve),
        area=float(np.mean([risk for _, risk in curve])),
        rejection=None
        if threshold is None
        else reject(ranked, hits, threshold, precision, precision if applied is None else applied),
        note=note,
    )


def reject(
    scores: FloatArray, right: npt.ArrayLike, threshold: float, stated: float, applied: float
) -> Rejection:
    """What a threshold gives. scores, right (N,)."""
    kept = np.asarray(right, dtype=bool)[scores >= threshold]
    precision = float(kept.mean()) if len(kept) else None
    return Rejection(stated, applied, threshold, len(kept), precision, len(kept) / len(scores))


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


def equal_bins_error(scores: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """The expected calibration error in equal bins. scores, right (N,)."""
    return expected_calibration_error(calibration_bins(scores, right))


def perfect_calibration_error(
    scores: npt.ArrayLike,
    seed: int,
    draws: int = FLOOR_DRAWS,
    measure: Callable[[npt.ArrayLike, npt.ArrayLike], float] = equal_bins_error,
) -> float:
    """The mean calibration error if each answer were right with the probability it states. (N,).

    Few clips in a bin differ from their mean by chance, so even perfect scores show an error: the
    bias that Broecker 2012 and Roelofs et al. 2022 describe, drawn here instead of derived.
    """
    values = np.asarray(scores, dtype=np.float64)
    rng = np.random.default_rng(seed)
    errors = [measure(values, rng.random(len(values)) < values) for _ in range(draws)]
    return float(np.mean(errors))


def known_unknown_auroc(known: Sequence[float], unknown: Sequence[float]) -> float | None:
    """How often a clip of a known class scores above one of an unknown class; ties count half.

    Hendrycks and Gimpel 2017, by the top score. None if either is empty.
    """
    if not len(known) or not len(unknown):
        return None
    scores = torch.tensor([*known, *unknown], dtype=torch.float64)
    truth = torch.tensor([1] * len(known) + [0] * len(unknown))
    return float(binary_auroc(scores, truth))
