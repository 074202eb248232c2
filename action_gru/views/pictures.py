"""`VIEWS`: the pictures that a network looks at of a frame and of those before it.

A new view is a function and an entry. Only past frames are used, so that a file and a live stream
agree. OpenCV is imported where it is used, because a config is checked without it. Raise
spec.PREPROCESSING_VERSION when a change here changes what a network sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from action_gru.video.frame import Image

MOTION_LAGS_S = (0.04, 0.08, 0.16)
MOTION_GAIN = 1.5
MOTION_REST = 128
# Of each change from -510 to 510; a table is four times as quick as the arithmetic.
_CHANGE_AS_BRIGHTNESS = np.clip(np.arange(-510, 511) * MOTION_GAIN + MOTION_REST, 0, 255).astype(
    np.uint8
)
# A source as slow as 5 fps still has an earlier frame to compare with.
MOTION_HISTORY_S = 0.25


@dataclass(frozen=True)
class Moment:
    """A frame as views are made of it: square (S, S, 3); grey (S, S), blurred; pasts: the grey
    pictures of MOTION_LAGS_S earlier. grey and pasts only where a view needs history.
    """

    square: Image
    grey: Image
    pasts: Sequence[Image]

    @cached_property
    def changes(self) -> list[Image]:
        """The signed differences of grey pictures, one (S, S) for each of pasts: 128 is none."""
        import cv2

        return [  # addWeighted saturates
            np.asarray(
                cv2.addWeighted(self.grey, MOTION_GAIN, past, -MOTION_GAIN, MOTION_REST), np.uint8
            )
            for past in self.pasts
        ]

    @property
    def motion(self) -> Image:
        """The same as one picture (S, S, 3)."""
        import cv2

        return np.asarray(cv2.merge(self.changes), dtype=np.uint8)


@dataclass(frozen=True)
class View:
    """One kind of picture that a backbone can look at.

    channels: 3, or 4 where the last says how much each place counts. needs_history: it shows what
    changes. make: the picture (S, S, channels) uint8. hidden_fill: what a place of a picture shows
    that is hidden, (channels,).
    """

    name: str
    channels: int
    needs_history: bool
    make: Callable[[Moment], Image]
    hidden_fill: Callable[[Image], NDArray[Any]]


def _mean_colour(image: Image) -> NDArray[Any]:
    return np.asarray(image.mean((0, 1)).round())


def _no_motion(image: Image) -> NDArray[Any]:
    return np.full(image.shape[2], MOTION_REST)


def _focus(moment: Moment) -> Image:
    import cv2

    total = np.zeros(moment.grey.shape, np.uint16)
    for change in moment.changes:
        total += cv2.absdiff(change, float(MOTION_REST))
    # Channels put in place by OpenCV: numpy's strided copies took ten times as long.
    picture = cv2.cvtColor(moment.square, cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(cv2.convertScaleAbs(total, alpha=2 / 3), picture, 3)
    return np.asarray(picture, np.uint8)


def _focus_fill(image: Image) -> NDArray[Any]:
    return _mean_colour(image) * (1, 1, 1, 0)  # nothing moves there


def _acceleration(moment: Moment) -> Image:
    """The change over 80 ms and how it changes in steps of 40 and 80 ms; 128 is none."""
    import cv2

    pictures = (moment.grey, *moment.pasts)
    grey, near, middle, far = (picture.astype(np.int16) for picture in pictures)
    changes = cv2.merge([grey - middle, grey - 2 * near + middle, grey - 2 * middle + far])
    return np.asarray(_CHANGE_AS_BRIGHTNESS[changes + 510], dtype=np.uint8)


VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        View("rgb", 3, False, lambda moment: moment.square, _mean_colour),
        # The frame with a fourth channel that says how much moves where, for the backbone to pool
        # by: the actor counts, the scene behind hardly.
        View("focus", 4, True, _focus, _focus_fill),
        # In three channels how the grey picture differs from the one 40, 80 and 160 ms earlier (1,
        # 2 and 4 frames at 25 fps). The difference keeps its sign: grey is no motion.
        View("motion", 3, True, lambda moment: moment.motion, _no_motion),
        # How the change changes: the difference to 80 ms earlier and the second differences over 40
        # and 80 ms.
        View("accel", 3, True, _acceleration, _no_motion),
    )
}
