"""What was recognised, and when: predictions, events, timelines. Knows no model and no frame."""

from action_gru.timeline.events import SUM_TOLERANCE, Event, Prediction, ScoreTrack, Timeline
from action_gru.timeline.formats import (
    FORMATS,
    csv_document,
    read_segments,
    write_sentences,
    write_timeline,
)
from action_gru.timeline.tracker import Alarm, EventTracker, ManyEventTracker

__all__ = [
    "FORMATS",
    "SUM_TOLERANCE",
    "Alarm",
    "Event",
    "EventTracker",
    "ManyEventTracker",
    "Prediction",
    "ScoreTrack",
    "Timeline",
    "csv_document",
    "read_segments",
    "write_sentences",
    "write_timeline",
]
