"""The recognizer's endless form: frames in, answers and events out, one backbone pass a frame.

Knows nothing of labels, cameras or windows on a screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.lazy import exported_from

if TYPE_CHECKING:
    from action_gru.streaming.engine import StreamEngine
    from action_gru.streaming.long_video import TimelineReader
    from action_gru.streaming.looking import Looker, Sample
    from action_gru.streaming.noting import ScoreNotes
    from action_gru.streaming.stream import MIN_EVIDENCE, ActionStream

__all__ = [
    "MIN_EVIDENCE",
    "ActionStream",
    "Looker",
    "Sample",
    "ScoreNotes",
    "StreamEngine",
    "TimelineReader",
]

__getattr__ = exported_from(
    __name__,
    engine="StreamEngine",
    long_video="TimelineReader",
    looking="Looker Sample",
    noting="ScoreNotes",
    stream="MIN_EVIDENCE ActionStream",
)
