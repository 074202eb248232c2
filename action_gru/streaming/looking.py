"""What one stream looks at: the sampled frames as the backbone's pictures.

Cheap enough for the thread that reads a camera. Knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from action_gru.backbone import ViewMaker
from action_gru.detection.frame_views import FrameMaker
from action_gru.errors import VideoError
from action_gru.sampling import Sampler

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """A frame that is due: its instant, the picture of each view, and the run it belongs to."""

    time_s: float
    pictures: dict[str, Image]
    run: int = 0  # how often the stream had been broken off before
    reason: str = ""  # why it was broken off last


class Looker:
    """Samples one stream by time, shown every frame in turn.

    Where time jumps back, or ahead by more than max_gap_s, a new run begins: motion is not measured
    across the gap, and whoever carries a state must reset it.
    """

    def __init__(
        self,
        views: Sequence[str],
        size_px: int,
        fit: str,
        fps: float,
        max_gap_s: float,
        make: Callable[[], ViewMaker | FrameMaker] | None = None,
    ) -> None:
        """make: gives what makes the pictures of a run, where views are not pictures alone."""
        self.views, self.size_px, self.fit = tuple(views), size_px, fit
        self.fps, self.max_gap_s = fps, max_gap_s
        self._make = make or (lambda: ViewMaker(self.views, self.size_px, self.fit))
        self.needs_history = self._make().needs_history
        self.run = -1
        self.reason = ""
        self._last_s = 0.0

    def look(self, image: Image, time_s: float) -> Sample | None:
        """Take in a frame (H, W, 3) uint8 RGB at time_s seconds; the sample if it is due.

        Raises VideoError for anything else, and leaves the stream as it was.
        """
        _check(image, time_s)
        self._follow(time_s)
        due = self._sampler.due(time_s)
        if not due and not self.needs_history:
            return None
        if due:
            pictures = self._maker.observe(image, time_s)
            return Sample(time_s, pictures, self.run, self.reason)
        self._maker.remember(image, time_s)
        return None

    def wants(self, time_s: float) -> bool:
        """Would a frame at this instant be looked at? Others need not be decoded to a picture."""
        return self.needs_history or self.run < 0 or self._sampler.would_take(time_s)

    def _follow(self, time_s: float) -> None:
        if self.run >= 0 and 0 <= time_s - self._last_s <= self.max_gap_s:
            self._last_s = time_s
            return
        if self.run >= 0:
            gap_s = time_s - self._last_s
            self.reason = (
                f"no frame for {gap_s:.1f} s" if gap_s > 0 else f"time jumped back {-gap_s:.1f} s"
            )
        self.run += 1
        self._last_s = time_s
        self._sampler = Sampler(self.fps)
        self._maker = self._make()


def _check(image: Image, time_s: float) -> None:
    shape, kind = getattr(image, "shape", None), getattr(image, "dtype", type(image).__name__)
    if kind != np.uint8 or shape is None or len(shape) != 3 or shape[2] != 3 or not image.size:
        raise VideoError(
            f"a frame is an array (H, W, 3) of uint8, RGB; got shape {shape} of {kind}: convert it "
            "first, for example with cv2.cvtColor"
        )
    if not isinstance(time_s, (int, float, np.number)) or not math.isfinite(time_s):
        raise VideoError(f"a frame's time_s is a finite number of seconds; got {time_s!r}")
