"""The sequence classifier: projections, a recurrent cell, pooling over time, a head.

Reads (B, T, D) sequences of anything: two concepts, a batch of sequences and this room, suffice to
change it. Every causal choice has two forms, `forward` over whole sequences and `step` over one
frame with carried state, which give the same logits.
"""

from action_gru.model.classifier import ActionClassifier, State, fuse, pool_opinions
from action_gru.model.pooling import Pooled, Pooling
from action_gru.model.streams import CELLS, LinearStream, SequenceStream, StreamState

__all__ = [
    "CELLS",
    "ActionClassifier",
    "LinearStream",
    "Pooled",
    "Pooling",
    "SequenceStream",
    "State",
    "StreamState",
    "fuse",
    "pool_opinions",
]
