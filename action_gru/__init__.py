"""Action recognition from video: frozen YOLO features, cached once, read by a GRU.

from action_gru import ActionRecognizer
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.core import exported_from

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

# The command line starts without torch.
__getattr__ = exported_from(
    __name__,
    recognizer="ActionRecognizer",
    streaming="ActionStream",
    timeline="Event Prediction Timeline",
    **{"series.recognizer": "SequenceRecognizer"},
)
