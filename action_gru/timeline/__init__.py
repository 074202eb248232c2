"""What was recognised, and when: predictions, events, timelines. Knows no model and no frame."""

from action_gru.timeline.events import Event, Timeline
from action_gru.timeline.export import FORMATS, write_timeline
from action_gru.timeline.prediction import SUM_TOLERANCE, Prediction
from action_gru.timeline.reference import read_segments
from action_gru.timeline.track import ScoreTrack
from action_gru.timeline.tracker import EventTracker

__all__ = [
    "FORMATS",
    "SUM_TOLERANCE",
    "Event",
    "EventTracker",
    "Prediction",
    "ScoreTrack",
    "Timeline",
    "read_segments",
    "write_timeline",
]
