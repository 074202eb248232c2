"""Boxes in frames, as plain arrays, and numbers that stay theirs from frame to frame.

A YOLO detect or pose model with our own preprocessing, and ultralytics' trackers. Knows nothing of
features or actions.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from action_gru.core.errors import BackboneError, ConfigError, MissingExtraError
from action_gru.detection.box_network import open_network
from action_gru.video import Image

Floats = NDArray[np.float32]
STRIDE_PX = 32  # of the coarsest feature map: sides of the input are multiples of it
GREY = 114
MOST_BOXES = 300
# Of two boxes of a kind whose intersection over union is larger, the weaker is left out.
OVERLAP = 0.7
# ultralytics stops suppressing after a while, and drops the images that are left: never here.
UNHURRIED_S = 1e9
# A box this much weaker than a new track's still continues one (Zhang et al. 2022, ByteTrack).
CONTINUES_SHARE = 1 / 3
# Of BoT-SORT's own: motion compensation as it ships; no second network for appearance.
_BOTSORT = {
    "gmc_method": "sparseOptFlow",
    "proximity_thresh": 0.5,
    "appearance_thresh": 0.8,
    "with_reid": False,
    "model": "auto",
}
EXAMPLES = {"detect": "yolo26n.pt", "pose": "yolo26n-pose.pt"}


@dataclass(frozen=True)
class Detections:
    """Boxes of one frame, in any order.

    boxes (N, 4): left, top, right, bottom in pixels of the frame. kinds (N,): numbers into the
    detector's names. keypoints (N, J, 3): x, y in pixels and confidence, from a pose model.
    """

    boxes: Floats
    scores: Floats
    kinds: NDArray[np.int64]
    keypoints: Floats | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or len(self.scores) != count or len(self.kinds) != count:
            raise ValueError(
                "detections need boxes (N, 4), scores (N,) and kinds (N,); got shapes "
                f"{self.boxes.shape}, {self.scores.shape} and {self.kinds.shape}"
            )
        if self.keypoints is not None and len(self.keypoints) != count:
            raise ValueError(f"{count} boxes need keypoints (N, J, 3); got {self.keypoints.shape}")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Any) -> Detections:
        """Some of them: rows is a mask (N,) or indices."""
        points = None if self.keypoints is None else self.keypoints[rows]
        return Detections(self.boxes[rows], self.scores[rows], self.kinds[rows], points)

    # The names that ultralytics' trackers read.
    conf = property(lambda self: self.scores)
    cls = property(lambda self: self.kinds)
    xyxy = property(lambda self: self.boxes)

    @property
    def xywh(self) -> Floats:
        """Centre and size, (N, 4)."""
        corner, opposite = self.boxes[:, :2], self.boxes[:, 2:]
        return np.concatenate([(corner + opposite) / 2, opposite - corner], 1)


def no_detections() -> Detections:
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


class Detector:
    """Finds boxes in frames of any size; a pose model finds the keypoints of each, too.

    weights: what `open_network` takes. image_size: the longer side of the network's input, pixels;
    None: what it was trained at. min_score: weaker boxes are left out. sha256: what the weights
    must have.
    """

    def __init__(
        self,
        weights: str,
        *,
        task: str = "detect",
        key: str = "detection.weights",
        image_size: int | None = None,
        min_score: float = 0.1,
        device: str = "auto",
        download: bool = True,
        sha256: str | None = None,
    ) -> None:
        how: dict[str, Any] = {"image_size": image_size, "device": device, "download": download}
        network = open_network(weights, key=key, sha256=sha256, **how)
        if network.task != task:
            raise BackboneError(
                f"{key}: {weights} is a {network.task} model; a {task} model is needed here, such "
                f"as {EXAMPLES[task]}"
            )
        self.weights, self.weights_sha256 = Path(weights).name, network.weights_sha256
        self.min_score, self.names = min_score, network.names
        self.keypoint_shape, self.note = network.keypoint_shape, network.note
        self.image_size, self._network = network.image_size, network

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """images: N of (H, W, 3) uint8 RGB -> the boxes of each, the surest first."""
        found: dict[int, Detections] = {}
        for shape in {image.shape for image in images}:
            rows = [row for row, image in enumerate(images) if image.shape == shape]
            found |= zip(rows, self._detect([images[row] for row in rows]), strict=True)
        return [found[row] for row in range(len(images))]

    def _detect(self, images: list[Image]) -> list[Detections]:
        """The boxes of frames that have one size."""
        height, width = images[0].shape[:2]
        scaled, padded, corner = self._layout(height, width)
        fixed = self._network.fixed
        # An export of a fixed batch takes no other: the rest of the last one is grey.
        count = -(-len(images) // fixed[0]) * fixed[0] if fixed else len(images)
        pixels = np.full((count, *padded, 3), GREY, np.uint8)
        rows, columns = (slice(at, at + side) for at, side in zip(corner, scaled, strict=True))
        for index, image in enumerate(images):
            # Bilinear, as ultralytics' own preprocessing, which the models were trained for.
            pixels[index, rows, columns] = cv2.resize(
                image, scaled[::-1], interpolation=cv2.INTER_LINEAR
            )
        found = self._suppress(self._network.run(pixels))[: len(images)]
        # The frame was scaled to whole pixels: each axis has its own exact scale.
        per_px = np.array([width / scaled[1], height / scaled[0]], np.float32)
        offset_px = np.array(corner[::-1], np.float32)
        return [self._boxes(one.cpu().numpy(), offset_px, per_px, (width, height)) for one in found]

    def _layout(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Rows and columns of the scaled frame, of the input, and of the frame's corner in it."""
        fixed = self._network.fixed
        room = fixed[1:] if fixed else (self.image_size, self.image_size)
        scale = min(room[0] / height, room[1] / width)
        down, across = max(1, round(height * scale)), max(1, round(width * scale))
        if not fixed:  # grey to the right and below
            bottom, right = (-(-side // STRIDE_PX) * STRIDE_PX for side in (down, across))
            return (down, across), (bottom, right), (0, 0)
        # In the middle, as ultralytics: a wide grey edge costs boxes beside it.
        return (down, across), room, ((room[0] - down) // 2, (room[1] - across) // 2)

    def _suppress(self, output: Tensor) -> list[Tensor]:
        from ultralytics.utils.nms import non_max_suppression

        options = {"nc": len(self.names), "max_det": MOST_BOXES, "max_time_img": UNHURRIED_S}
        rows: list[Tensor] = non_max_suppression(
            output, self.min_score, OVERLAP, end2end=self._network.end2end, **options
        )
        return rows

    def _boxes(
        self, rows: Floats, offset_px: Floats, per_px: Floats, size_px: tuple[int, int]
    ) -> Detections:
        """rows (N, 6 + J * 2 or 3) in pixels of the input -> in pixels of the frame."""
        limit = np.array([*size_px, *size_px], np.float32)
        boxes = np.clip((rows[:, :4] - np.tile(offset_px, 2)) * np.tile(per_px, 2), 0, limit)
        points = None
        if self.keypoint_shape is not None:
            count, parts = self.keypoint_shape
            points = rows[:, 6 : 6 + count * parts].reshape(len(rows), count, parts)
            sure = points[..., 2:] if parts == 3 else np.ones_like(points[..., :1])
            points = np.concatenate([(points[..., :2] - offset_px) * per_px, sure], -1)
        return Detections(boxes, rows[:, 4], rows[:, 5].astype(np.int64), points)


def kinds_of(classes: Sequence[str], detector: Detector, key: str) -> tuple[int, ...]:
    """The numbers of a detector's classes. Raises ConfigError that names an unknown one."""
    unknown = [name for name in classes if name not in detector.names]
    if unknown:
        close = get_close_matches(unknown[0], detector.names, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        known = ", ".join(detector.names[:12]) + (", ..." if len(detector.names) > 12 else "")
        raise ConfigError(
            f"{key}: the detector knows no '{unknown[0]}'{hint}; its classes are {known}"
        )
    return tuple(detector.names.index(name) for name in classes)


@dataclass(frozen=True)
class Tracked:
    """A box with its track's number. row: which of the frame's detections it is."""

    number: int
    box: Floats  # (4,) left, top, right, bottom, px
    score: float
    row: int


class BoxTracker:
    """Follows the boxes of one stream; numbers grow, and none is given twice.

    min_score: the weakest box that starts a track. patience: for how many frames a track that is
    not seen is kept.
    """

    def __init__(self, kind: str, *, min_score: float, patience: int) -> None:
        # Streams are sampled at a third of the rate that ultralytics' defaults are meant for: a
        # leg that kicks out halves the overlap with the box before. So less overlap is enough.
        arguments = {
            "track_high_thresh": min_score,
            "track_low_thresh": min_score * CONTINUES_SHARE,
            "new_track_thresh": min_score,
            "track_buffer": patience,
            "match_thresh": 0.9,
            "fuse_score": False,
        }
        self._wants_image = kind == "botsort"
        self._tracker = _import_tracker(kind)(Namespace(**arguments, **_BOTSORT))

    def update(self, found: Detections, image: Image) -> list[Tracked]:
        """The tracks that are seen in the next frame, image (H, W, 3) uint8 RGB."""
        # BoT-SORT takes out the camera's motion; its optical flow takes BGR.
        picture = np.ascontiguousarray(image[..., ::-1]) if self._wants_image else None
        rows = self._tracker.update(found, picture)
        return [
            Tracked(int(row[4]), np.array(found.boxes[int(row[7])]), float(row[5]), int(row[7]))
            for row in np.asarray(rows).reshape(-1, 8)
        ]


def _import_tracker(kind: str) -> Any:
    try:
        import lap  # noqa: F401 - ultralytics' trackers need it, and would install it themselves
    except ImportError as error:
        raise MissingExtraError("lap", "people", "following boxes from frame to frame") from error
    from ultralytics.trackers import BOTSORT, BYTETracker

    return {"bytetrack": BYTETracker, "botsort": BOTSORT}[kind]
