"""The recognizer's endless form: frames in, answers and events out, one backbone pass a frame.

Knows nothing of labels, cameras or windows on a screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.core import exported_from

if TYPE_CHECKING:
    from action_gru.streaming.reader import TimelineReader, TimelineRecorder
    from action_gru.streaming.stream import MIN_EVIDENCE, ActionStream, StreamEngine

__all__ = [
    "MIN_EVIDENCE",
    "ActionStream",
    "StreamEngine",
    "TimelineReader",
    "TimelineRecorder",
]

__getattr__ = exported_from(
    __name__,
    reader="TimelineReader TimelineRecorder",
    stream="MIN_EVIDENCE ActionStream StreamEngine",
)
