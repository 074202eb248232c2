"""Stand-ins for a detector: what is in each frame is written down, not found."""

from collections.abc import Sequence

import numpy as np

from action_gru.detection.detector import Detections, no_detections
from action_gru.detection.frame_views import FrameView
from helpers.crowd import person_box


class ScriptedDetector:
    """Gives the boxes of the n-th frame that it is asked about; the last ones stay.

    script: of each frame a list of (kind, left, top, right, bottom) or (..., score).
    """

    def __init__(self, script: Sequence[Sequence[tuple]], names=("person", "chair")) -> None:
        self.script, self.names = list(script), tuple(names)
        self.asked = 0

    def __call__(self, images) -> list[Detections]:
        found = []
        for _ in images:
            found.append(boxes_of(self.script[min(self.asked, len(self.script) - 1)], self.names))
            self.asked += 1
        return found


def boxes_of(rows: Sequence[tuple], names: Sequence[str]) -> Detections:
    if not rows:
        return no_detections()
    return Detections(
        np.array([row[1:5] for row in rows], np.float32),
        np.array([row[5] if len(row) > 5 else 0.9 for row in rows], np.float32),
        np.array([names.index(row[0]) for row in rows], np.int64),
    )


class SceneDetector:
    """Where everyone of a drawn scene is at `time_s`, with some jitter in px."""

    names = ("person",)

    def __init__(self, scene, jitter_px: float = 2.0, seed: int = 0) -> None:
        self.scene, self.jitter_px, self.time_s = scene, jitter_px, 0.0
        self._rng = np.random.default_rng(seed)

    def __call__(self, images) -> list[Detections]:
        boxes = np.stack([person_box(actor, self.time_s) for actor in self.scene.actors])
        boxes = boxes + self._rng.normal(0, self.jitter_px, boxes.shape)
        count = len(boxes)
        scores, kinds = np.full(count, 0.9, np.float32), np.zeros(count, np.int64)
        return [Detections(boxes.astype(np.float32), scores, kinds) for _ in images]


class HidingDetector(SceneDetector):
    """The same, without those of whom others who stand nearer cover more than `most`."""

    def __init__(self, scene, most: float = 0.5, jitter_px: float = 2.0, seed: int = 0) -> None:
        super().__init__(scene, jitter_px, seed)
        self.most = most

    def __call__(self, images) -> list[Detections]:
        found = super().__call__(images)
        actors = self.scene.actors
        truth = [person_box(actor, self.time_s) for actor in actors]
        seen = [
            all(
                covered(box, other) <= self.most
                for nearer, other in zip(actors, truth, strict=True)
                if nearer.view.y_px > actor.view.y_px
            )
            for actor, box in zip(actors, truth, strict=True)
        ]
        return [one[np.array(seen)] for one in found]


def covered(box, other) -> float:
    """The share of a box (4,) that another one covers."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    return float(np.prod(np.maximum(high - low, 0)) / np.prod(box[2:] - box[:2]))


ROWS = [[("person", 2 + i, 4, 40 + i, 60), ("chair", 60, 30, 80, 60)] for i in range(40)]


def frame_view(detector=None, **changes):
    usual = {
        "view": "detections", "detector": detector or ScriptedDetector(ROWS), "weights": "d.pt",
        "weights_sha256": "1" * 64, "image_size": 64, "kinds": (0, 1), "top": 2, "min_score": 0.3,
        "tracker": "bytetrack", "fps": 5.0,
    }  # fmt: skip
    return FrameView(**(usual | changes))
