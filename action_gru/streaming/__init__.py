"""The recognizer's endless form: frames in, answers and events out, one backbone pass a frame.

Knows nothing of labels, cameras or windows on a screen.
"""

from action_gru.streaming.looking import Looker, Sample
from action_gru.streaming.reader import TimelineReader, TimelineRecorder
from action_gru.streaming.stream import MIN_EVIDENCE, ActionStream, FrameStream, StreamEngine

__all__ = [
    "MIN_EVIDENCE",
    "ActionStream",
    "FrameStream",
    "Looker",
    "Sample",
    "StreamEngine",
    "TimelineReader",
    "TimelineRecorder",
]
