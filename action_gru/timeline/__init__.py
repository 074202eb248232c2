"""What was recognised, and when: predictions, events, timelines. Knows no model and no frame."""

from action_gru.timeline.answers import Predictions
from action_gru.timeline.events import SUM_TOLERANCE, Event, Prediction, ScoreTrack, Timeline
from action_gru.timeline.formats import (
    FORMATS,
    csv_document,
    write_sentences,
    write_timeline,
)
from action_gru.timeline.readers import READERS, read_annotations, read_segments
from action_gru.timeline.tracker import Alarm, EventTracker, ManyEventTracker

__all__ = [
    "FORMATS",
    "READERS",
    "SUM_TOLERANCE",
    "Alarm",
    "Event",
    "EventTracker",
    "ManyEventTracker",
    "Prediction",
    "Predictions",
    "ScoreTrack",
    "Timeline",
    "csv_document",
    "read_annotations",
    "read_segments",
    "write_sentences",
    "write_timeline",
]
