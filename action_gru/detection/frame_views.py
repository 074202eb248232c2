"""Views that are vectors, not pictures: detections and poses of a whole frame, in order of time.

A `VectorView` makes an encoder for each stream; `FRAME_VIEWS` names what builds it. `MixedBackbone`
puts them beside the network that embeds pictures. Knows nothing of files or actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, compress, count, islice
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from action_gru.backbone.embedding import Backbone
from action_gru.backbone.spec import FeatureSpec
from action_gru.core.errors import BackboneError
from action_gru.detection.detector import (
    CONTINUES_SHARE,
    OVERLAP,
    Detections,
    Detector,
    kinds_of,
)
from action_gru.detection.pose import POSE_VERSION, PoseEncoder, pose_width
from action_gru.detection.vectors import ENCODING_VERSION, Encoder, Vectors, vector_width
from action_gru.video import Image
from action_gru.views.sampler import FRAME, ViewMaker

DETECTED_AT_ONCE = 8  # frames of a clip; a GPU is idle between single ones
# (frames (H, W, 3) RGB, times_s), in order of time, in as many calls as one likes
Encode = Callable[[Sequence[Image], Sequence[float]], list[Vectors]]


class VectorView(Protocol):
    """What extraction and streams need of a view that is a vector."""

    def spec(self) -> FeatureSpec:
        """The provenance, with all that the values depend on."""
        ...

    def encoder(self) -> Encode:
        """What makes the vectors of one stream."""
        ...


@dataclass(frozen=True)
class FrameView:
    """A view of boxes or poses: what it is a function of, besides the frames before.

    kinds: the detector's classes that count; top: how many boxes have a slot. keypoints: of each
    person, for poses. note: of the detector's network. every: the detector looks at one in so many
    samples; its vector stands for those up to the next.
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
    note: str = ""
    every: int = 1

    def spec(self) -> FeatureSpec:
        """The provenance; `layer` and its parts name everything that the values depend on."""
        kinds = "+".join(map(str, self.kinds))
        limits = f"score {self.min_score:g}, overlap {OVERLAP:g}"
        limits += f", {self.note}" if self.note else ""
        layer = f"encoding {ENCODING_VERSION}, top {self.top} of classes {kinds}, {limits}, "
        layer, dim = layer + self.tracker, vector_width(len(self.kinds), self.top)
        if self.keypoints:
            layer, dim = f"pose encoding {POSE_VERSION}, {limits}", pose_width(self.keypoints)
        layer += f", every {self.every}" if self.every > 1 else ""
        weights = (self.weights, self.weights_sha256, layer)
        return FeatureSpec(self.view, *weights, self.image_size, "frame", "fp32", dim)

    def encoder(self) -> Encode:
        encode: Callable[[Detections, Image, float], Vectors] = (
            PoseEncoder(self.min_score, self.keypoints)
            if self.keypoints
            else Encoder(self.kinds, self.top, self.tracker, self.min_score, self.fps)
        )

        samples = count()
        newest: list[Vectors] = []

        def detect_and_encode(images: Sequence[Image], times_s: Sequence[float]) -> list[Vectors]:
            is_due = [next(samples) % self.every == 0 for _ in images]
            due = list(compress(zip(images, times_s, strict=True), is_due))
            found = self.detector([image for image, _ in due]) if due else []
            places = list(accumulate(is_due, initial=len(newest) - 1))[1:]
            made = newest + [encode(boxes, *frame) for boxes, frame in zip(found, due, strict=True)]
            newest[:] = made[-1:]
            return [made[place] for place in places]

        return detect_and_encode


def detections_view(
    *,
    classes: Sequence[str],
    top: int,
    min_score: float,
    tracker: str,
    fps: float,
    **keys: Any,
) -> FrameView:
    """The boxes of a detect model. classes: those that count; none: all of the model's. keys: see
    `following_detector`.
    """
    detector = following_detector(min_score=min_score, **keys)
    kinds = kinds_of(classes or detector.names, detector, "detection.classes")
    return _view_of("detections", detector, kinds, top, min_score, tracker, fps)


def pose_view(
    *, top: int, min_score: float, tracker: str, fps: float, every: int, **keys: Any
) -> FrameView:
    """The people of a pose model with their keypoints. keys: see `following_detector`."""
    detector = following_detector("pose", min_score=min_score, **keys)
    assert detector.keypoint_shape is not None
    keypoints = detector.keypoint_shape[0]
    made = _view_of("pose", detector, (0,), top, min_score, tracker, fps, keypoints)
    return replace(made, every=every)


def _view_of(view: str, detector: Detector, *settings: Any) -> FrameView:
    size_px, sha256 = detector.image_size, detector.weights_sha256
    made = FrameView(view, detector, detector.weights, sha256, size_px, *settings)
    return replace(made, note=detector.note)


def following_detector(
    task: str = "detect",
    *,
    weights: str,
    weights_sha256: str | None,
    image_size: int | str,
    min_score: float,
    device: str,
    download: bool,
    **_: Any,
) -> Detector:
    """A detector that also finds boxes so weak that they only continue a track.

    image_size: pixels, or `auto`. Other keys of a section are not for the detector.
    """
    return Detector(
        weights,
        task=task,
        key="pose.weights" if task == "pose" else "detection.weights",
        image_size=None if image_size == "auto" else int(image_size),
        min_score=min_score * CONTINUES_SHARE,
        device=device,
        download=download,
        sha256=weights_sha256,
    )


class FrameMaker(ViewMaker):
    """Makes the pictures of a stream, and the `Vectors` of its frame views."""

    def __init__(
        self, views: Sequence[str], size_px: int, how: str, frame_views: Mapping[str, VectorView]
    ) -> None:
        super().__init__([view for view in views if view not in frame_views], size_px, how)
        self._order = tuple(views)
        self._encoders = {v: frame_views[v].encoder() for v in views if v in frame_views}

    def observe(self, image: Image, time_s: float) -> dict[str, Any]:
        """Take in a frame; its pictures and its `Vectors` by view."""
        made: dict[str, Any] = dict(super().observe(image, time_s))
        for view, encode in self._encoders.items():
            (made[view],) = encode([image], [time_s])
        return {view: made[view] for view in self._order}


def encode_samples(
    samples: Iterable[tuple[float, dict[str, Any]]], encoders: Mapping[str, Encode]
) -> Iterator[tuple[float, dict[str, Any]]]:
    """(time_s, what was made of the frame) of one stream, with `Vectors` in place of `FRAME`.

    A detector sees several frames in one call; each is encoded after those before it.
    """
    remaining = iter(samples)
    while held := list(islice(remaining, DETECTED_AT_ONCE if encoders else 1)):
        times_s = [time_s for time_s, _ in held]
        frames = [made.pop(FRAME) for _, made in held if encoders]
        for view, encode in encoders.items():
            for (_, made), vectors in zip(held, encode(frames, times_s), strict=True):
                made[view] = vectors
        yield from held


def make_maker(backbone: Any, views: Sequence[str]) -> FrameMaker:
    """Makes what this backbone needs of a stream's frames."""
    return FrameMaker(views, backbone.image_size, backbone.fit, frame_views_of(backbone))


def frame_views_of(backbone: Any) -> Mapping[str, VectorView]:
    """The views of a backbone that are vectors; none for a plain one."""
    found: Mapping[str, VectorView] = getattr(backbone, "frame_views", {})
    return found


def side(made: Any, flipped: bool) -> NDArray[np.float16]:
    """The vector of a frame (D,), or of the mirrored frame."""
    assert isinstance(made, Vectors)
    return made.mirrored if flipped else made.plain


class MixedBackbone(Backbone):
    """A network for pictures, or none, beside frame views.

    Stands where a `Backbone` does: it embeds pictures and gives every view's provenance.
    """

    def __init__(self, pictures: Backbone | None, frame_views: Mapping[str, VectorView]) -> None:
        self.pictures, self.frame_views = pictures, dict(frame_views)
        first = next(iter(frame_views.values())).spec()
        self.weights = pictures.weights if pictures else first.weights
        self.image_size = pictures.image_size if pictures else 32
        self.fit = pictures.fit if pictures else "squash"
        self.note = pictures.note if pictures else None

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
