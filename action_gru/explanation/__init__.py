"""Why a model answered as it did: its gates over time, and what hiding moments and places does.

Knows no command line, no labels of a data set and no training.
"""

from action_gru.explanation.explain import Subject, explain_clip
from action_gru.explanation.picture import explanation_picture
from action_gru.explanation.result import Explanation, FrameHeat, LayerCurves, StreamCurves
from action_gru.explanation.words import describe

__all__ = [
    "Explanation",
    "FrameHeat",
    "LayerCurves",
    "StreamCurves",
    "Subject",
    "describe",
    "explain_clip",
    "explanation_picture",
]
