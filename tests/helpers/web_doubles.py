"""What the tests of the web page share: a recognizer without weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from action_gru.model import ActionClassifier
from action_gru.recognizer import Reading
from action_gru.streaming import StreamEngine
from action_gru.timeline import EventTracker, ManyEventTracker, Prediction
from action_gru.training.scoring import ClipScores
from action_gru.video import DecodeLimits, VideoFile
from action_gru.views.sampler import fit
from helpers.videos import FakeBackbone

HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = (HOSTILE, "${alert(2)}", "{{wave}}")


class FakeRecognizer:
    """A recognizer with an untrained model: all but the right answers is real."""

    classes = CLASSES

    limits = DecodeLimits()
    frame_rate = None
    threshold = 0.0

    def __init__(self, many: bool = False) -> None:
        torch.manual_seed(0)
        model = ActionClassifier([6], 3, projection_size=8, hidden_size=8, many=many).eval()
        # About half of the answers lie above: all untrained scores are near 1/2.
        self.thresholds = dict(zip(CLASSES, (0.4, 0.5, 0.9), strict=True)) if many else None
        limits = list(self.thresholds.values()) if self.thresholds else None
        self.engine = StreamEngine(model, FakeBackbone(), CLASSES, ["rgb"], 5.0, limits)

    def judged(self, prediction):
        if prediction.active is not None:
            return prediction
        return replace(prediction, unsure=prediction.score < self.threshold)

    def read(self, video):
        """Plain and mirrored copy of every other frame, as the stream samples ten a second."""
        with VideoFile(video) as source:
            sampled = [frame for frame in source if frame.index % 2 == 0]
        copies = [
            torch.cat([self.engine.backbone([fit(image, 32, "squash")]) for image in images])
            for images in (
                [frame.image for frame in sampled],
                [frame.image[:, ::-1] for frame in sampled],
            )
        ]
        scores = ClipScores(self.engine.model, copies, 8)
        found, limits = scores.probabilities.numpy(), self.engine.thresholds
        answer = Prediction.from_probabilities(CLASSES, found, thresholds=limits)
        times_s = np.array([frame.time_s for frame in sampled])
        return Reading(self.judged(answer), times_s, copies[0].numpy(), scores)

    def stream(self):
        times = {"min_event_s": 0.2, "smoothing_s": 0.2}
        tracker = EventTracker(enter=0.34, exit=0.2, **times)
        if self.thresholds:
            tracker = ManyEventTracker(self.thresholds, **times)
        return self.engine.open(tracker, 2.0, 4, 1.0)


def write_audio(path):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
