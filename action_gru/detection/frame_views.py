"""Views that are vectors, not pictures: detections and poses of a whole frame, in order of time.

A `FrameView` owns its detector and makes an encoder for each stream. `MixedBackbone` puts them
beside the network that embeds pictures. Knows nothing of files or actions.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from action_gru.backbone.embedding import Backbone
from action_gru.backbone.spec import FeatureSpec
from action_gru.core.errors import BackboneError
from action_gru.detection.detector import OVERLAP, Detector
from action_gru.detection.vectors import ENCODING_VERSION, Encoder, Vectors, vector_width
from action_gru.video import Image
from action_gru.views.sampler import ViewMaker


@dataclass(frozen=True)
class FrameView:
    """What one of FRAME_VIEWS is a function of, besides the frames before.

    kinds: the detector's classes that count; top: how many boxes have a slot.
    """

    view: str
    detector: Detector
    weights: str
    weights_sha256: str
    image_size: int
    kinds: tuple[int, ...]
    top: int
    min_score: float
    tracker: str
    fps: float
    keypoints: int = 0

    def spec(self) -> FeatureSpec:
        """The provenance; `layer` and its parts name everything that the values depend on."""
        kinds = "+".join(map(str, self.kinds))
        layer = (
            f"encoding {ENCODING_VERSION}, top {self.top} of classes {kinds}, score "
            f"{self.min_score:g}, overlap {OVERLAP:g}, {self.tracker}"
        )
        weights = (self.weights, self.weights_sha256, layer)
        dim = vector_width(len(self.kinds), self.top, self.keypoints)
        return FeatureSpec(self.view, *weights, self.image_size, "frame", "fp32", dim)

    def encoder(self) -> Encoder:
        return Encoder(self.kinds, self.top, self.tracker, self.min_score, self.fps, self.keypoints)


class FrameMaker(ViewMaker):
    """Makes the pictures of a stream, and the `Vectors` of its frame views."""

    _detecting = threading.Lock()  # a detect head keeps its grid: one frame at a time

    def __init__(
        self, views: Sequence[str], size_px: int, how: str, frame_views: Mapping[str, FrameView]
    ) -> None:
        super().__init__([view for view in views if view not in frame_views], size_px, how)
        self._order = tuple(views)
        self._encoders = {
            view: (frame_views[view].detector, frame_views[view].encoder())
            for view in views
            if view in frame_views
        }

    def observe(self, image: Image, time_s: float) -> dict[str, Any]:
        """Take in a frame; its pictures and its `Vectors` by view."""
        made: dict[str, Any] = dict(super().observe(image, time_s))
        for view, (detector, encoder) in self._encoders.items():
            with self._detecting:
                (found,) = detector([image])
            made[view] = encoder(found, image, time_s)
        return {view: made[view] for view in self._order}


def make_maker(backbone: Any, views: Sequence[str]) -> FrameMaker:
    """Makes what this backbone needs of a stream's frames."""
    return FrameMaker(views, backbone.image_size, backbone.fit, frame_views_of(backbone))


def frame_views_of(backbone: Any) -> Mapping[str, FrameView]:
    """The views of a backbone that are vectors; none for a plain one."""
    found: Mapping[str, FrameView] = getattr(backbone, "frame_views", {})
    return found


def side(made: Any, flipped: bool) -> NDArray[np.float16]:
    """The vector of a frame (D,), or of the mirrored frame."""
    assert isinstance(made, Vectors)
    return made.mirrored if flipped else made.plain


class MixedBackbone(Backbone):
    """A network for pictures, or none, beside frame views.

    Stands where a `Backbone` does: it embeds pictures and gives every view's provenance.
    """

    def __init__(self, pictures: Backbone | None, frame_views: Mapping[str, FrameView]) -> None:
        self.pictures, self.frame_views = pictures, dict(frame_views)
        first = next(iter(frame_views.values()))
        self.weights = pictures.weights if pictures else first.weights
        self.image_size = pictures.image_size if pictures else 32
        self.fit = pictures.fit if pictures else "squash"

    def spec(self, view: str) -> FeatureSpec:
        if view in self.frame_views:
            return self.frame_views[view].spec()
        if self.pictures is None:
            raise BackboneError(f"features.views: no network was loaded for the view '{view}'")
        return self.pictures.spec(view)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        if self.pictures is None:
            return torch.zeros(len(images), 0)
        return self.pictures(images)
