"""Makes a score mean how often such answers are right. Knows nothing of models or files.

Both the temperature and the threshold are found on clips that the model has not trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

EVEN = 0.5  # the threshold of a class without a calibration
TEMPERATURES = tuple(10 ** (step / 200 - 1) for step in range(401))


@dataclass(frozen=True)
class Calibration:
    """What clips outside the training show about the scores.

    source: which clips. scores, right (N,): their calibrated top scores, and whether they were
    right. thresholds: by class, from which it counts as shown; where a clip may show several.
    """

    temperature: float
    source: str
    scores: tuple[float, ...]
    right: tuple[bool, ...]
    thresholds: dict[str, float] = field(default_factory=dict)

    def applied_precision(self, precision: float) -> float:
        """The precision that answers are held to: the stated one, or the most that the clips
        support, rounded down to a hundredth.
        """
        reach = reachable_precision(self.scores, self.right)
        return precision if precision <= reach else math.floor(100 * reach) / 100

    def threshold(self, precision: float) -> float:
        """The lowest score from which at least the applied precision of the answers is right."""
        return precision_threshold(self.scores, self.right, self.applied_precision(precision))

    def shortfall(self, precision: float) -> str | None:
        """Why another precision than the stated one is applied, in words; None where it is not."""
        applied = self.applied_precision(precision)
        if applied == precision:
            return None
        return (
            f"{self.source} ({sum(self.right)} of {len(self.right)} right) do not prove a "
            f"precision of {100 * precision:g} %, so {100 * applied:g} % is used, the most that "
            "they prove. Less sure answers are called unsure. More clips may prove more "
            "(calibration.precision)"
        )


def average_windows(clips: Tensor, probabilities: Tensor, count: int) -> Tensor:
    """Probabilities of `count` clips, their windows' averaged: (M,), (M, C) -> (count, C) float32.

    clips (M,): which clip a window is of; each has at least one.
    """
    import torch  # here, for a checkpoint's calibration is read without it

    total = torch.zeros(count, probabilities.shape[1]).index_add_(0, clips, probabilities)
    windows = torch.zeros(count, 1).index_add_(0, clips, torch.ones(len(clips), 1))
    return total / windows


def calibrate(clips: Tensor, logits: Tensor, labels: Tensor, source: str) -> Calibration:
    """Temperature and calibrated answers of clips left out: (M,), (M, C), labels (N,)."""
    temperature = fit_temperature(clips, logits, labels)
    probabilities = (logits / temperature).softmax(-1)
    scores, given = average_windows(clips, probabilities, len(labels)).max(1)
    right = (given == labels).tolist()
    return Calibration(temperature, source, tuple(scores.clamp_max(1).tolist()), tuple(right))


def fit_temperature(clips: Tensor, logits: Tensor, labels: Tensor) -> float:
    """The temperature that makes the true classes most likely. clips (M,), logits (M, C), labels
    (N,) -> above 0.

    Guo et al. 2017, section 4.2, on the probabilities averaged over windows. A label of N counts
    as (N + 1) / (N + 2) and the rest is shared out among the other classes (Platt 1999, section
    2.2): else a model that is always right on few clips would end up with scores of 1.
    """
    import torch

    classes = logits.shape[1]
    doubt = 1 / (len(labels) + 2)
    targets = torch.full((len(labels), classes), doubt / max(1, classes - 1))
    targets[torch.arange(len(labels)), labels] = 1 - doubt
    losses = [
        -(targets * found.clamp_min(1e-12).log()).sum()
        for t in TEMPERATURES
        for found in [average_windows(clips, (logits / t).softmax(-1), len(labels))]
    ]
    return TEMPERATURES[int(torch.stack(losses).argmin())]


def reachable_precision(scores: Sequence[float], right: Sequence[bool]) -> float:
    """The largest precision that some score proves; 0 without any."""
    return max((share for _, share in _precisions(scores, right)), default=0.0)


def precision_threshold(scores: Sequence[float], right: Sequence[bool], precision: float) -> float:
    """The lowest score at and above which `precision` of the answers are right; 1 if none is.

    k right of n count as (k + 1) / (n + 2), Laplace's rule of succession: a handful of right
    answers proves no precision. 0.9 takes at least 8.
    """
    good = [score for score, share in _precisions(scores, right) if share >= precision]
    return good[-1] if good else 1.0


def _precisions(scores: Sequence[float], right: Sequence[bool]) -> list[tuple[float, float]]:
    """(score, the precision of the answers at and above it) of each distinct score, falling."""
    found, hits = [], 0
    ranked = sorted(zip(scores, right, strict=True), key=lambda pair: -pair[0])
    for kept, (score, correct) in enumerate(ranked, 1):
        hits += correct
        is_last_of_its_score = kept == len(ranked) or ranked[kept][0] < score
        if is_last_of_its_score:
            found.append((score, (hits + 1) / (kept + 2)))
    return found
