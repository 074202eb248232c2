"""Numbers for boxes that stay theirs from frame to frame: ultralytics' own trackers.

Knows nothing of crops or actions.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import numpy as np

from action_gru.backbone import loading  # noqa: F401 - sets ultralytics' switches before its import
from action_gru.core.errors import MissingExtraError
from action_gru.detection.detector import Detections, Floats
from action_gru.video import Image

TRACKERS = ("bytetrack", "botsort")
# A box this much weaker than a new track's still continues one (Zhang et al. 2022, ByteTrack).
CONTINUES_SHARE = 1 / 3


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


# Of BoT-SORT's own: motion compensation as it ships; no second network for appearance.
_BOTSORT = {
    "gmc_method": "sparseOptFlow",
    "proximity_thresh": 0.5,
    "appearance_thresh": 0.8,
    "with_reid": False,
    "model": "auto",
}


def _import_tracker(kind: str) -> Any:
    try:
        import lap  # noqa: F401 - ultralytics' trackers need it, and would install it themselves
    except ImportError as error:
        raise MissingExtraError("lap", "people", "following boxes from frame to frame") from error
    from ultralytics.trackers import BOTSORT, BYTETracker

    return {"bytetrack": BYTETracker, "botsort": BOTSORT}[kind]
