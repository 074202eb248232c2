"""How far few clips mislead calibration errors, and which rule keeps a stated precision.

    python benchmarks/calibration.py

Simulated: scores and truths are drawn, so that what is true is known. Reads no data and trains
nothing. Writes benchmarks/results/calibration.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import comb
from pathlib import Path

import numpy as np
import numpy.typing as npt

from action_gru.model.calibration import precision_threshold
from action_gru.report.confidence import Answers, squared_calibration_error
from action_gru.report.documents import table

RESULT = Path(__file__).parent / "results" / "calibration.md"
PRECISION = 0.9
REPEATS = 500
NEVER = 2.0  # a threshold that no score reaches

FloatArray = npt.NDArray[np.float64]
Rule = Callable[[FloatArray, FloatArray], float]  # scores, right (N,) -> threshold


def main() -> None:
    text = (
        "By `python benchmarks/calibration.py`: simulated, scores and truths drawn.\n\n"
        "## What few clips do to a calibration error\n\n"
        f"Mean of {REPEATS} draws; two classes, scores from 0.5 to 1, 0.83 in the mean. "
        "Debiased: root of the mean of squared errors.\n\n"
        + table(
            ["clips", "scores", "true error", "15 equal bins", "debiased"],
            error_rows(),
            align="rlrrr",
        )
        + "\n\n## Which rule keeps a stated precision of 90%\n\n"
        f"{REPEATS} draws of a threshold on about 160 clips of 25 groups, tried on 200 other "
        "groups. Groups differ: the log-odds of being right are shifted by so much (standard "
        "deviation).\n\n"
        + table(
            ["groups differ by", "rule", "precision", "answered", "within 5 points", "silent"],
            rule_rows(),
            align="rlrrrr",
        )
        + "\n\nSilent: draws in which no answer is given; they have no part in the precision.\n"
    )
    RESULT.write_text(text, encoding="utf-8")
    print(text)


def error_rows() -> list[list[str]]:
    """One row a number of clips and kind of scores."""
    rng = np.random.default_rng(0)
    rows = []
    for clips in (40, 200, 600):
        for name, shift in (("perfect", 0.0), ("0.08 too high", 0.08)):
            found = []
            for _ in range(REPEATS):
                scores = 0.5 + 0.5 * rng.beta(2, 1, clips)
                right = rng.random(clips) < scores - shift
                equal = Answers(scores, right).error
                found.append((equal, squared_calibration_error(scores, right)))
            equal, squared = np.array(found).T
            figures = (shift, equal.mean(), max(0.0, squared.mean()) ** 0.5)
            rows.append([str(clips), name, *(f"{figure:.3f}" for figure in figures)])
    return rows


def rule_rows() -> list[list[str]]:
    """One row a spread of groups and rule."""
    rows = []
    for spread in (0.0, 0.8, 1.5):
        for name, rule in RULES.items():
            rng = np.random.default_rng(0)  # each rule sees the same clips
            tried = np.array([_try(rule, rng, spread) for _ in range(REPEATS)])
            right, kept, clips = tried.T
            given = kept > 0
            shares = (
                right.sum() / kept.sum(),
                kept.sum() / clips.sum(),
                np.mean(np.abs(right[given] / kept[given] - PRECISION) <= 0.05),
                1 - given.mean(),
            )
            rows.append([f"{spread:.1f}", name, *(f"{100 * one:.1f}%" for one in shares)])
    return rows


def _try(rule: Rule, rng: np.random.Generator, spread: float) -> tuple[float, int, int]:
    """Right answers, answers and clips with a threshold that the rule found on other groups."""
    threshold = rule(*_draw(rng, 25, spread))
    scores, right = _draw(rng, 200, spread)
    kept = scores >= threshold
    return float(right[kept].sum()), int(kept.sum()), len(scores)


def _draw(rng: np.random.Generator, groups: int, spread: float) -> tuple[FloatArray, FloatArray]:
    """Scores and truths of groups of 1 and more clips, 6.4 in the mean."""
    group = np.repeat(np.arange(groups), 1 + rng.poisson(5.4, groups))
    odds = np.abs(rng.normal(1.9, 1.4, len(group)))
    truth = _sigmoid(odds + rng.normal(0, spread, groups)[group])
    return _sigmoid(odds), (rng.random(len(group)) < truth).astype(np.float64)


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-values)))


def shipped(scores: FloatArray, right: FloatArray) -> float:
    """The package's own rule."""
    found = precision_threshold(scores.tolist(), (right > 0).tolist(), PRECISION)
    return NEVER if found is None or found >= 1 else found


def share(scores: FloatArray, right: FloatArray) -> float:
    """The lowest score from which 90% are right."""
    return _lowest(scores, right, lambda k, n: k >= PRECISION * n)


def bounded(scores: FloatArray, right: FloatArray) -> float:
    """The lowest score whose lower 90% bound (Clopper and Pearson 1934) is 90%."""
    return _lowest(scores, right, _is_proved)


def in_sequence(scores: FloatArray, right: FloatArray) -> float:
    """The same from the top down, up to the first score that fails: holds with 90% certainty
    (fixed-sequence testing, Angelopoulos et al. 2021, "Learn then test").
    """
    enough = next(n for n in range(1, 1000) if _is_proved(n, n))
    return _lowest(scores, right, _is_proved, first=enough)


RULES: dict[str, Rule] = {
    "shipped: (k + 1) / (n + 2)": shipped,
    "k / n": share,
    "Clopper-Pearson, 90%": bounded,
    "the same in sequence": in_sequence,
}


def _lowest(
    scores: FloatArray,
    right: FloatArray,
    holds: Callable[[int, int], bool],
    first: int | None = None,
) -> float:
    """The lowest score at which k right of n hold; with first: stop once n of so many fail."""
    order = np.argsort(-scores)
    found, hits = NEVER, np.cumsum(right[order])
    for count, (k, score) in enumerate(zip(hits, scores[order], strict=True), 1):
        if holds(int(k), count):
            found = float(score)
        elif first is not None and count >= first:
            break
    return found


@cache
def _is_proved(right: int, answers: int) -> bool:
    """Would so many right be this unlikely (10%) if the precision were below the stated one?"""
    terms: Sequence[float] = [
        comb(answers, k) * PRECISION**k * (1 - PRECISION) ** (answers - k)
        for k in range(right, answers + 1)
    ]
    return sum(terms) <= 0.1


if __name__ == "__main__":
    main()
