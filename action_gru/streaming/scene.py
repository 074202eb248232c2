"""What per-person recognition looks at: the sampled frames whole, with the frames just before.

Cheap enough for the thread that reads a camera. Knows no model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from action_gru.detection.detector import Floats
from action_gru.video import Image
from action_gru.views import MOTION_HISTORY_S, VIEWS, FrameSampler, ViewMaker
from action_gru.views.pictures import MOTION_LAGS_S

GREY = 114  # where nothing is known, as YOLO's own padding


@dataclass(frozen=True)
class Scene:
    """A frame that is due. earlier: (time_s, frame) of those that motion compares it with."""

    time_s: float
    image: Image
    earlier: tuple[tuple[float, Image], ...] = ()
    run: int = 0  # how often the stream had been broken off before
    reason: str = ""  # why it was broken off last


class WholeFrames:
    """Sampled frames as they are, with those of the last quarter of a second that motion looks back
    to; a maker for `FrameSampler`.
    """

    def __init__(self, views: Sequence[str]) -> None:
        self.needs_history = any(VIEWS[view].needs_history for view in views)
        self._past: deque[tuple[float, Image]] = deque()

    def observe(self, image: Image, time_s: float) -> dict[str, Any]:
        """The `image` and the `earlier` ones of a `Scene`."""
        if self._past and self._past[-1][1].shape != image.shape:
            self._past.clear()
        earlier = self._earlier(time_s)
        if self.needs_history:
            self._past.append((time_s, image))
            while self._past[0][0] < time_s - MOTION_HISTORY_S:
                self._past.popleft()
        return {"image": image, "earlier": earlier}

    def remember(self, image: Image, time_s: float) -> None:
        """Take in a frame that is not sampled."""
        self.observe(image, time_s)

    def _earlier(self, time_s: float) -> tuple[tuple[float, Image], ...]:
        """The past frames nearest to the instants that motion looks back to, in order of time."""
        past = [one for one in self._past if one[0] >= time_s - MOTION_HISTORY_S]
        if not past:
            return ()
        nearest = {
            min(range(len(past)), key=lambda index: abs(past[index][0] - (time_s - lag_s)))
            for lag_s in MOTION_LAGS_S
        }
        return tuple(past[index] for index in sorted(nearest))


class SceneSampler:
    """Samples one stream of frames by time, as `FrameSampler` does, but leaves them whole."""

    def __init__(
        self, views: Sequence[str], fps: float, max_gap_s: float, at_cut: bool = False
    ) -> None:
        self.fps, self.max_gap_s = fps, max_gap_s
        self._sampler = FrameSampler(lambda: WholeFrames(views), fps, max_gap_s, at_cut=at_cut)
        self.wants, self.restart = self._sampler.wants, self._sampler.restart

    def sample(self, image: Image, time_s: float) -> Scene | None:
        """Take in a frame (H, W, 3) uint8 RGB at time_s seconds; the scene if it is due.

        Raises VideoError for anything else, and leaves the stream as it was.
        """
        sample = self._sampler.sample(image, time_s)
        if sample is None:
            return None
        return Scene(time_s, **sample.pictures, run=sample.run, reason=sample.reason)


@dataclass(frozen=True)
class Cutting:
    """What is cut out of a scene: an area, without the people who are not meant.

    area: left, top, width, height in px; it may stick out of the frame. others (N, 4) are painted
    over but where they cover `box` (4,), both left, top, right, bottom in px.
    """

    area: tuple[int, int, int, int]
    box: Floats
    others: Floats

    def of(self, image: Image) -> Image:
        """The cut of a frame (H, W, 3) -> (height, width, 3)."""
        part = cut(image, self.area)
        inside = [
            (rows, columns)
            for rows, columns in map(self._span, self.others)
            if rows.stop > rows.start and columns.stop > columns.start
        ]
        if not inside:
            return part
        painted = part.copy()
        for rows, columns in inside:
            painted[rows, columns] = GREY
        own = self._span(self.box)
        painted[own] = part[own]
        return np.asarray(painted, np.uint8)

    def _span(self, box: Floats) -> tuple[slice, slice]:
        """Rows and columns of the cut under a box."""
        left, top, width, height = self.area
        first, last = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
        columns = slice(max(0, first[0] - left), min(width, last[0] - left))
        return slice(max(0, first[1] - top), min(height, last[1] - top)), columns


def cut_views(
    scene: Scene, cutting: Cutting, views: Sequence[str], size_px: int, how: str
) -> dict[str, Image]:
    """Each view of a part of the scene.

    The earlier frames are cut alike, not by where the area was then: a crop that follows a person
    shows the motion of the person, and none of its own.
    """
    maker = ViewMaker(views, size_px, how)
    for time_s, image in scene.earlier:
        maker.remember(cutting.of(image), time_s)
    return maker.observe(cutting.of(scene.image), scene.time_s)


def cut(image: Image, area: tuple[int, int, int, int]) -> Image:
    """The part of an image (H, W, 3) under an area; outside of the image it is grey."""
    left, top, width, height = area
    inside = image[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    rows, columns = inside.shape[:2]
    if (rows, columns) == (height, width):
        return inside
    above, before = max(0, -top), max(0, -left)
    edges = (above, height - rows - above, before, width - columns - before)
    return np.asarray(
        cv2.copyMakeBorder(inside, *edges, cv2.BORDER_CONSTANT, value=(GREY,) * 3), np.uint8
    )
