"""What a comparison of cells measured. Knows neither how nor what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from action_gru.comparison.probe import ProbeResult, ProbeSettings
from action_gru.report.statistics import (
    FoldSummary,
    fold_summary,
    group_bootstrap_interval,
    lies_above,
)

NAMES = {
    "rnn": "RNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "bigru": "bidirectional GRU",
    "none": "mean-pool",
}


def cell_name(key: str) -> str:
    """What a cell is called: a well-known one by its name, another by its key in capitals."""
    return NAMES.get(key, key.upper())


@dataclass(frozen=True)
class CellFigures:
    """One cell, or none. right (S, N): by seed, whether each clip was named right when held out.

    Bytes are those of the parameters as trained. epoch_s: one pass over all clips while training,
    median of several. step_ms: one frame of one stream, median; None for a model that cannot run
    live.
    """

    key: str
    cell_parameters: int
    parameters: int
    cell_bytes: int
    bytes: int
    epoch_s: float
    step_ms: float | None
    right: NDArray[np.bool_]

    @property
    def name(self) -> str:
        return cell_name(self.key)

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
