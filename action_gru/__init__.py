"""Action recognition from video: frozen YOLO features, cached once, read by a GRU.

from action_gru import ActionRecognizer
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from action_gru.core import exported_from

if TYPE_CHECKING:
    from action_gru.core.errors import ActionGruError
    from action_gru.recognizer import ActionRecognizer
    from action_gru.series.recognizer import SequenceRecognizer
    from action_gru.streaming import ActionStream
    from action_gru.timeline import Event, Prediction, Predictions, Timeline

    __version__: str

__all__ = [
    "ActionGruError",
    "ActionRecognizer",
    "ActionStream",
    "Event",
    "Prediction",
    "Predictions",
    "SequenceRecognizer",
    "Timeline",
    "__version__",
]

# The command line starts without torch.
_exported = exported_from(
    __name__,
    recognizer="ActionRecognizer",
    streaming="ActionStream",
    timeline="Event Prediction Predictions Timeline",
    **{"core.errors": "ActionGruError", "series.recognizer": "SequenceRecognizer"},
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("action_gru")
    return _exported(name)


def __dir__() -> list[str]:
    return list(__all__)
