"""What all streams of one model share: the backbone and the classifier, called once for all."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from action_gru.backbone import Backbone
from action_gru.backbone.frame_views import frame_views_of, make_maker, side
from action_gru.model import ActionClassifier
from action_gru.streaming.looking import Looker, Sample
from action_gru.streaming.states import join, reset_rows, split
from action_gru.streaming.stream import ActionStream
from action_gru.timeline import EventTracker, Prediction


class StreamEngine:
    """Advances any number of streams, each by one sample, in one batch.

    backbone_s: seconds spent in the backbone so far, for those who measure.
    """

    def __init__(
        self,
        model: ActionClassifier,
        backbone: Backbone,
        classes: Sequence[str],
        views: Sequence[str],
        fps: float,
    ) -> None:
        self.model, self.backbone = model, backbone
        self.classes, self.views, self.fps = tuple(classes), tuple(views), fps
        self.backbone_s = 0.0
        self._fresh = model.initial_state(1)
        self._device = next(model.parameters()).device

    def open(
        self, tracker: EventTracker, window_s: float, states: int, max_gap_s: float
    ) -> ActionStream:
        """A new stream. window_s: how far back an answer looks."""
        size_px, fit = self.backbone.image_size, self.backbone.fit
        looker = Looker(
            self.views,
            size_px,
            fit,
            self.fps,
            max_gap_s,
            lambda: make_maker(self.backbone, self.views),
        )
        return ActionStream(self, looker, tracker, window_s, states)

    def advance(
        self, streams: Sequence[ActionStream], samples: Sequence[Sample]
    ) -> list[Prediction]:
        """One sample for each of some streams: one backbone call and one step for all of them."""
        return self.step(streams, samples, self.embed(samples))

    def embed(self, samples: Sequence[Sample]) -> Tensor:
        """Features (N, D) float32 of N samples, rounded as the cache rounds them."""
        started_s = time.perf_counter()
        vectors = frame_views_of(self.backbone)
        views = [view for view in self.views if view not in vectors]
        pictures = [sample.pictures[view] for view in views for sample in samples]
        parts: dict[str, Tensor] = {}
        if views:
            features = self.backbone(pictures).half().float()
            parts = dict(zip(views, torch.split(features, len(samples)), strict=True))
        for view in vectors:
            rows = np.stack([side(sample.pictures[view], False) for sample in samples])
            parts[view] = torch.from_numpy(rows).float()
        self.backbone_s += time.perf_counter() - started_s
        return torch.cat([parts[view] for view in self.views], -1)

    def step(
        self, streams: Sequence[ActionStream], samples: Sequence[Sample], features: Tensor
    ) -> list[Prediction]:
        """Advance each stream by the features (N, D) of its sample."""
        with torch.inference_mode():
            for stream, sample in zip(streams, samples, strict=True):
                reset_rows(stream.state, stream.enter(sample), self._fresh)
            sizes = [stream.states for stream in streams]
            rows = features.to(self._device).repeat_interleave(torch.tensor(sizes), 0)
            logits, state = self.model.step(rows, join([stream.state for stream in streams]))
            scores = logits.double().softmax(-1).cpu().numpy()
        for stream, part in zip(streams, split(state, sizes), strict=True):
            stream.state = part
        parts = np.split(scores, np.cumsum(sizes)[:-1])
        return [stream.answer(part) for stream, part in zip(streams, parts, strict=True)]
