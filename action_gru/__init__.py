"""Action recognition from video: frozen YOLO features, cached once, read by a GRU.

from action_gru import ActionRecognizer
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from action_gru.recognizer import ActionRecognizer

__all__ = ["ActionRecognizer"]


def __getattr__(name: str) -> Any:
    """Import the recognizer when it is first asked for: the command line starts without torch."""
    if name == "ActionRecognizer":
        from action_gru.recognizer import ActionRecognizer

        return ActionRecognizer
    raise AttributeError(f"module 'action_gru' has no attribute {name!r}")
