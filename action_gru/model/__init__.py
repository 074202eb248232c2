"""The sequence classifier: projections, a recurrent cell, pooling over time, a head.

Reads (B, T, D) sequences of anything. Every causal choice has two forms, `forward` over whole
sequences and `step` over one frame with carried state, which give the same logits.

cells.py       the kinds of cells; read without torch
recurrence.py  a cell over sequences, and its gates
pooling.py     one vector for a sequence
branch.py      a cell with its projections and head; the closed-form branch
classifier.py  the branches and their average
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.core import exported_from
from action_gru.model.cells import CELLS

if TYPE_CHECKING:
    from action_gru.model.branch import LinearBranch, RecurrentBranch, State, StateTensor
    from action_gru.model.classifier import ActionClassifier, FlatStep, fuse, pool_opinions
    from action_gru.model.recurrence import LayerGates, build_cell, cell_gates

__all__ = [
    "CELLS",
    "ActionClassifier",
    "FlatStep",
    "LayerGates",
    "LinearBranch",
    "RecurrentBranch",
    "State",
    "StateTensor",
    "build_cell",
    "cell_gates",
    "fuse",
    "pool_opinions",
]

__getattr__ = exported_from(
    __name__,
    branch="LinearBranch RecurrentBranch State StateTensor",
    classifier="ActionClassifier FlatStep fuse pool_opinions",
    recurrence="LayerGates build_cell cell_gates",
)
