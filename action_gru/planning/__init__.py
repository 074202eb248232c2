"""How long, how much and at what cost for so many clips: a short measurement, then arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.lazy import exported_from
from action_gru.planning.estimate import Assumptions, Estimate, Measurement, Workload, estimate

if TYPE_CHECKING:
    from action_gru.planning.measure import measure_machine

__all__ = [
    "Assumptions",
    "Estimate",
    "Measurement",
    "Workload",
    "estimate",
    "measure_machine",
]

__getattr__ = exported_from(__name__, measure="measure_machine")
