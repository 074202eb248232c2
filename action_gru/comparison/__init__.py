"""Cell against cell: the same data, features and splits, and a probe of how far each remembers.

Knows no command line.
"""

from action_gru.comparison.compare import compare_cells
from action_gru.comparison.findings import Finding, findings
from action_gru.comparison.picture import comparison_picture
from action_gru.comparison.probe import ProbeResult, ProbeSettings, run_probe
from action_gru.comparison.report import summary, write_comparison
from action_gru.comparison.result import CellComparison, CellFigures

__all__ = [
    "CellComparison",
    "CellFigures",
    "Finding",
    "ProbeResult",
    "ProbeSettings",
    "compare_cells",
    "comparison_picture",
    "findings",
    "run_probe",
    "summary",
    "write_comparison",
]
