"""What the tests of the web page share: a recognizer without weights."""

import torch
from conftest import FakeBackbone

from action_gru.model import ActionClassifier
from action_gru.streaming import StreamEngine
from action_gru.timeline import EventTracker
from action_gru.video import DecodeLimits

HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = (HOSTILE, "${alert(2)}", "{{wave}}")


class FakeRecognizer:
    """A recognizer with an untrained model: all but the right answers is real."""

    classes = CLASSES

    limits = DecodeLimits()

    def __init__(self) -> None:
        torch.manual_seed(0)
        model = ActionClassifier([6], 3, projection_size=8, hidden_size=8).eval()
        self.engine = StreamEngine(model, FakeBackbone(), CLASSES, ["rgb"], 5.0)

    def stream(self):
        tracker = EventTracker(enter=0.34, exit=0.2, min_event_s=0.2, smoothing_s=0.2)
        return self.engine.open(tracker, 2.0, 4, 1.0)
