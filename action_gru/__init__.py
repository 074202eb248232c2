"""Action recognition from video: frozen YOLO features, cached once, read by a GRU.

from action_gru import ActionRecognizer
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from action_gru.recognizer import ActionRecognizer
    from action_gru.series.recognizer import SequenceRecognizer
    from action_gru.streaming import ActionStream
    from action_gru.timeline import Event, Prediction, Timeline

__all__ = [
    "ActionRecognizer",
    "ActionStream",
    "Event",
    "Prediction",
    "SequenceRecognizer",
    "Timeline",
]

_HOMES = {
    "ActionRecognizer": "recognizer",
    "ActionStream": "streaming",
    "Event": "timeline",
    "Prediction": "timeline",
    "SequenceRecognizer": "series.recognizer",
    "Timeline": "timeline",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: the command line starts without torch."""
    if name in _HOMES:
        return getattr(import_module(f"action_gru.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'action_gru' has no attribute {name!r}")
