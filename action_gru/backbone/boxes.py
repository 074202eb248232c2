"""What a detector found in one frame, as plain arrays. Knows no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import ConfigError

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


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

    # The names under which ultralytics' trackers ask for them.
    @property
    def conf(self) -> Floats:
        return self.scores

    @property
    def cls(self) -> NDArray[np.int64]:
        return self.kinds

    @property
    def xyxy(self) -> Floats:
        return self.boxes

    @property
    def xywh(self) -> Floats:
        """Centre and size, (N, 4)."""
        corner, opposite = self.boxes[:, :2], self.boxes[:, 2:]
        return np.concatenate([(corner + opposite) / 2, opposite - corner], 1)


def no_detections() -> Detections:
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


class BoxDetector(Protocol):
    """Whatever finds boxes: a network, or a double in a test."""

    names: tuple[str, ...]

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """images: N of (H, W, 3) uint8 RGB -> what is in each."""
        ...


def kinds_of(classes: Sequence[str], detector: BoxDetector, key: str) -> tuple[int, ...]:
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
