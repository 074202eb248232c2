"""What a comparison of cells measured, and what follows for the textbook's claims about them.

Every verdict is computed from the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from action_gru.core.graphics import OKABE_ITO
from action_gru.evaluation.memory_probe import ProbeResult, ProbeSettings
from action_gru.model import CELLS
from action_gru.report.plots import GREY
from action_gru.report.statistics import (
    FoldSummary,
    fold_summary,
    group_bootstrap_interval,
    lies_above,
)

HOLDS, FAILS, OPEN = "holds here", "does not hold here", "not told apart"
CLEAR_RATIO = 0.95  # times that differ by less are noise
CLEAR_GRADIENT = 10.0
# Key -> name, colour, marker. Markers tell cells apart without colour too.
LOOKS = {key: (cell.name, cell.colour, cell.marker) for key, cell in CELLS.items()}
LOOKS |= {"bigru": ("bidirectional GRU", OKABE_ITO[5], "o"), "none": ("mean-pool", GREY, "o")}


def cell_name(key: str) -> str:
    return LOOKS[key][0]


@dataclass(frozen=True)
class CellFigures:
    """One cell, or none. right (S, N): by seed, whether each clip was named right when held out.

    epoch_s: one pass over all clips while training, median of several. step_ms: one frame of one
    stream, median; None for a model that cannot run live.
    """

    key: str
    cell_parameters: int
    parameters: int
    epoch_s: float
    step_ms: float | None
    right: NDArray[np.bool_]

    def top1(self) -> FoldSummary:
        """Top-1 over all held-out clips of a seed; mean and spread over the seeds."""
        return fold_summary(self.right.mean(1).tolist())


@dataclass(frozen=True)
class CellComparison:
    """All cells on one data set, and the probe if it was run. groups (N,): of the clips."""

    data: str
    groups: tuple[str, ...]
    folds: int
    seeds: tuple[int, ...]
    majority: float
    closed_form: bool
    cells: tuple[CellFigures, ...]
    probe_settings: ProbeSettings | None = None
    probe: tuple[ProbeResult, ...] = ()
    quarantined: Mapping[str, str] = field(default_factory=dict)

    def cell(self, key: str) -> CellFigures:
        return next(cell for cell in self.cells if cell.key == key)

    def probed(self, key: str) -> ProbeResult:
        return next(result for result in self.probe if result.cell == key)

    def difference(self, key: str, other: str) -> tuple[float, tuple[float, float] | None]:
        """How much better the one names clips than the other: mean and 95% interval.

        Both saw the same splits, so clips are compared one by one, averaged over the seeds; the
        interval draws whole groups again. None where there is one group only.
        """
        gain = self.cell(key).right.mean(0) - self.cell(other).right.mean(0)
        return float(gain.mean()), group_bootstrap_interval(gain, self.groups, 0, (-0.5, 0.5))

    def beats_guessing(self, key: str) -> bool:
        """Whether more than luck tells a cell from always naming the most frequent class."""
        right = self.cell(key).right.mean(0)
        return lies_above(group_bootstrap_interval(right, self.groups, 0), self.majority)


class Finding(NamedTuple):
    """One claim, its verdict and the figures behind it."""

    claim: str
    verdict: str
    figures: str


CLAIMS_OF_ACCURACY = (
    ("A GRU is more accurate than a plain RNN", "gru", "rnn"),
    ("An LSTM is more accurate than a plain RNN", "lstm", "rnn"),
    ("A GRU is more accurate than an LSTM", "gru", "lstm"),
    ("Order matters: a GRU is more accurate than averaging over time", "gru", "none"),
    ("Reading backwards too helps", "bigru", "gru"),
)


def findings(comparison: CellComparison) -> list[Finding]:
    """All claims that the measurements speak to."""
    found = _costs(comparison.cell("gru"), comparison.cell("lstm"))
    found += [_better(comparison, *claim) for claim in CLAIMS_OF_ACCURACY]
    if comparison.probe:
        found += [_lags(comparison), *_gradients(comparison)]
    return found


def _costs(gru: CellFigures, lstm: CellFigures) -> list[Finding]:
    inside, whole = gru.cell_parameters / lstm.cell_parameters, gru.parameters / lstm.parameters
    assert gru.step_ms is not None
    assert lstm.step_ms is not None
    return [
        Finding(
            "A GRU has three quarters of an LSTM's parameters",
            HOLDS if 4 * gru.cell_parameters == 3 * lstm.cell_parameters else FAILS,
            f"the cell: {gru.cell_parameters:,} to {lstm.cell_parameters:,}, {inside:.3f}; the "
            f"whole model, with its projections and head: {whole:.3f}",
        ),
        _faster(
            "A GRU trains faster than an LSTM",
            gru.epoch_s / lstm.epoch_s,
            f"an epoch takes {gru.epoch_s:.3g} s with a GRU, {lstm.epoch_s:.3g} s with an LSTM",
        ),
        _faster(
            "A GRU's step is cheaper than an LSTM's",
            gru.step_ms / lstm.step_ms,
            f"{gru.step_ms:.3g} ms to {lstm.step_ms:.3g} ms a frame",
        ),
    ]


def _faster(claim: str, ratio: float, figures: str) -> Finding:
    verdict = HOLDS if ratio < CLEAR_RATIO else FAILS if ratio > 1 / CLEAR_RATIO else OPEN
    return Finding(claim, verdict, f"{figures}: {ratio:.2f} times as long")


def _better(comparison: CellComparison, claim: str, key: str, other: str) -> Finding:
    gain, interval = comparison.difference(key, other)
    figures = f"{cell_name(key)} against {cell_name(other)}: {_points(gain)} points"
    if interval is None:
        return Finding(claim, OPEN, f"{figures}; one group of clips gives no interval")
    low, high = interval
    verdict = HOLDS if low > 0 else FAILS if high < 0 else OPEN
    figures += f" (95%: {_points(low)} to {_points(high)})"
    if not any(comparison.beats_guessing(one) for one in (key, other)):
        return Finding(claim, OPEN, f"{figures}; neither is shown to be better than guessing")
    return Finding(claim, verdict, figures)


def _points(share: float) -> str:
    """0.0125 -> +1.2; what rounds to nothing is 0.0, without a sign."""
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def _lags(comparison: CellComparison) -> Finding:
    lag = {key: comparison.probed(key).largest_solved or 0 for key in ("rnn", "lstm", "gru")}
    verdict = HOLDS if min(lag["lstm"], lag["gru"]) > lag["rnn"] else FAILS
    steps = ", ".join(f"{cell_name(key)} {_lag_words(comparison, key)}" for key in lag)
    return Finding("Gated cells remember longer than a plain RNN", verdict, f"probe: {steps}")


def _lag_words(comparison: CellComparison, key: str) -> str:
    """The largest lag solved, and whether it was the largest tried."""
    result = comparison.probed(key)
    if result.largest_solved is None:
        return f"fails at {result.first_failed} steps already"
    if result.first_failed is None:
        return f"{result.largest_solved} steps, the most that was tried"
    return f"{result.largest_solved} steps"


def _gradients(comparison: CellComparison) -> list[Finding]:
    lag = comparison.probed("gru").trained_lag
    found = []
    for claim, moment in (
        ("Before training, gates carry the gradient further than a plain RNN", "gradient_before"),
        ("Once trained, gates carry the gradient further than a plain RNN", "gradient_after"),
    ):
        norm = {key: getattr(comparison.probed(key), moment)[lag] for key in ("rnn", "lstm", "gru")}
        least = min(norm["lstm"], norm["gru"]) / norm["rnn"]
        verdict = HOLDS if least > CLEAR_GRADIENT else FAILS if least < 1 else OPEN
        figures = ", ".join(f"{cell_name(key)} {value:.1e}" for key, value in norm.items())
        found.append(Finding(claim, verdict, f"norm over {lag} steps: {figures}"))
    return found
