"""How long, how much and at what cost for so many clips: a short measurement, then arithmetic."""

from action_gru.planning.estimate import Assumptions, Estimate, Measurement, Workload, estimate
from action_gru.planning.measure import measure_machine

__all__ = [
    "Assumptions",
    "Estimate",
    "Measurement",
    "Workload",
    "estimate",
    "measure_machine",
]
