"""Makes a score mean how often such answers are right. Knows nothing of models or files.

The temperature and every threshold are found on clips that the model has not trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

EVEN = 0.5  # the threshold of a class without a calibration
LEAST_POSITIVES = 5  # clips that show a class; a threshold of fewer is chance
TEMPERATURES = tuple(10 ** (step / 200 - 1) for step in range(401))


@dataclass(frozen=True)
class Calibration:
    """What clips outside the training show about the scores.

    source: which clips. scores, right (N,): their calibrated top scores, and whether they were
    right. Where a clip may show several classes there are thresholds instead: by class, from which
    score on it counts as shown. note: which of them rest on little, in a sentence.
    """

    temperature: float
    source: str
    scores: tuple[float, ...]
    right: tuple[bool, ...]
    thresholds: dict[str, float] = field(default_factory=dict)
    note: str = ""

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
        if self.thresholds:
            return self.note or None
        applied = self.applied_precision(precision)
        if applied == precision:
            return None
        return (
            f"{self.source} ({sum(self.right)} of {len(self.right)} right) do not prove a "
            f"precision of {100 * precision:g} %, so {100 * applied:g} % is used, the most that "
            "they prove. Less sure answers are called unsure. More clips may prove more "
            "(calibration.precision)"
        )

    def brief_shortfall(self, precision: float) -> str | None:
        """`shortfall` in at most 100 characters, for who asks again and again."""
        if self.shortfall(precision) is None:
            return None
        if self.thresholds:
            return "few clips: some classes are less sure than stated (the run's report says which)"
        sure, stated = 100 * self.applied_precision(precision), 100 * precision
        words = f"few clips: 'sure' means {sure:g} % right, not {stated:g} %"
        return f"{words} (the run's report says why)"


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
    (N,) or, where a clip may show several, (N, C): 1 shown, 0 not, below 0 unknown -> above 0.

    Guo et al. 2017, section 4.2, on the probabilities averaged over windows. A label of N counts
    as (N + 1) / (N + 2) and the rest is shared out among the other classes (Platt 1999, section
    2.2): else a model that is always right on few clips would end up with scores of 1.
    """
    import torch

    classes = logits.shape[1]
    if labels.ndim == 2:
        return _fit_sigmoids(clips, logits, labels)
    doubt = 1 / (len(labels) + 2)
    targets = torch.full((len(labels), classes), doubt / max(1, classes - 1))
    targets[torch.arange(len(labels)), labels] = 1 - doubt
    losses = [
        -(targets * found.clamp_min(1e-12).log()).sum()
        for t in TEMPERATURES
        for found in [average_windows(clips, (logits / t).softmax(-1), len(labels))]
    ]
    return TEMPERATURES[int(torch.stack(losses).argmin())]


def _fit_sigmoids(clips: Tensor, logits: Tensor, labels: Tensor) -> float:
    """The same of sigmoids, over all classes. Of N+ clips that show a class each counts as
    (N+ + 1) / (N+ + 2), of N- others each as 1 / (N- + 2) (Platt 1999, section 2.2).
    """
    import torch

    shown, known = labels == 1, labels >= 0
    positives, negatives = shown.sum(0), (known & ~shown).sum(0)
    targets = torch.where(shown, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    losses = []
    for temperature in TEMPERATURES:
        found = average_windows(clips, (logits / temperature).sigmoid(), len(labels))
        likely = targets * found.clamp_min(1e-12).log()
        likely += (1 - targets) * (1 - found).clamp_min(1e-12).log()
        losses.append(-likely[known].sum())
    return TEMPERATURES[int(torch.stack(losses).argmin())]


def calibrate_many(
    clips: Tensor,
    logits: Tensor,
    labels: Tensor,
    source: str,
    classes: Sequence[str],
    precision: float | None = None,
) -> Calibration:
    """Temperature and a threshold a class, of clips left out: (M,), (M, C), labels (N, C) as in
    `fit_temperature`.

    A class's threshold is the one of its best F1 on them, or with a precision the lowest score
    that proves it, else the most that some score proves. A class that fewer than LEAST_POSITIVES
    clips show takes the threshold of all classes' scores together.
    """
    temperature = fit_temperature(clips, logits, labels)
    scores = average_windows(clips, (logits / temperature).sigmoid(), len(labels))
    known, shown = labels >= 0, labels == 1
    pooled = _threshold(scores[known].tolist(), shown[known].tolist(), precision)
    thresholds, scarce, unproven = {}, [], []
    for name, score, is_known, is_shown in zip(classes, scores.T, known.T, shown.T, strict=True):
        own, truth = score[is_known].tolist(), is_shown[is_known].tolist()
        few = sum(truth) < LEAST_POSITIVES
        thresholds[name] = pooled if few else _threshold(own, truth, precision)
        if few:
            scarce.append(f"{name} ({sum(truth)})")
        elif precision is not None and reachable_precision(own, truth) < precision:
            unproven.append(name)
    note = _note(scarce, unproven, pooled, precision)
    return Calibration(temperature, source, (), (), thresholds, note)


def _threshold(scores: Sequence[float], shown: Sequence[bool], precision: float | None) -> float:
    if precision is None:
        return f1_threshold(scores, shown)
    return Calibration(1.0, "", tuple(scores), tuple(shown)).threshold(precision)


def f1_threshold(scores: Sequence[float], shown: Sequence[bool]) -> float:
    """The threshold of the best F1; of equals the highest. EVEN without a clip that shows it.

    It lies half-way to the next lower score: new clips score a little lower than these, too.
    """
    ranked = sorted(zip(scores, shown, strict=True), key=lambda pair: -pair[0])
    total, best, threshold, hits = sum(shown), 0.0, EVEN, 0
    for kept, (score, is_shown) in enumerate(ranked, 1):
        hits += is_shown
        below = ranked[kept][0] if kept < len(ranked) else 0.0
        f1 = 2 * hits / (kept + total)
        if below < score and f1 > best:
            best, threshold = f1, (score + below) / 2
    return threshold


def _note(
    scarce: Sequence[str], unproven: Sequence[str], pooled: float, precision: float | None
) -> str:
    few = (
        f"Fewer than {LEAST_POSITIVES} of these clips show {', '.join(scarce)}: the threshold of "
        f"all classes together is used, {pooled:.2f}"
    )
    unheld = (
        f"no score of {', '.join(unproven)} proves a precision of {100 * (precision or 0):g} %: "
        "the most that one proves is used"
    )
    return "; ".join([few] * bool(scarce) + [unheld] * bool(unproven))


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
