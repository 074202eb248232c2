"""The recognizer's endless form: frames in, answers and events out, one backbone pass a frame.

Knows nothing of labels, cameras or windows on a screen.
"""

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
