"""The copies of a clip's pictures that a model reads beside the plain ones: augmentation.

A copy is made of finished pictures, so every view has it, one of signed differences too: the
difference of two rotated frames is the rotated difference.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from action_gru.video.frame import Image

STEP_DEGREES = 6
MOST_ROTATIONS = 4


class Side(NamedTuple):
    """One copy of a clip: mirrored or not, and the number of its rotation; 0 is none."""

    flipped: bool = False
    rotation: int = 0


PLAIN = Side()


def sides_of(flip: bool, rotations: int = 0) -> tuple[Side, ...]:
    """All copies of a clip, the plain one first; with flip each is followed by its mirror image."""
    return tuple(
        Side(flipped, number)
        for number in range(1 + rotations)
        for flipped in (False, True)[: 1 + flip]
    )


def rotation_of(number: int) -> tuple[int, float]:
    """(degrees, zoom) of a rotation, numbered from 1.

    Odd ones turn right, even ones by as much left; each pair by 6 degrees more than the last. The
    zoom is the least, to a hundredth, at which no corner of the square shows what is outside it.
    """
    degrees = STEP_DEGREES * ((number + 1) // 2)
    angle = math.radians(degrees)
    zoom = math.ceil(100 * (math.cos(angle) + math.sin(angle))) / 100
    return (degrees if number % 2 else -degrees), zoom


def copy_of(picture: Image, side: Side) -> Image:
    """The copy of a picture (S, S, 3 or 4): rotated about its centre, then mirrored."""
    import cv2

    if side.rotation:
        degrees, zoom = rotation_of(side.rotation)
        centre = (picture.shape[1] - 1) / 2, (picture.shape[0] - 1) / 2
        matrix = cv2.getRotationMatrix2D(centre, -degrees, zoom)
        size = picture.shape[1], picture.shape[0]
        # The border only counts in the half pixel that rounding may reach beyond the edge.
        rotated = cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        picture = np.asarray(rotated, np.uint8)
    return np.asarray(cv2.flip(picture, 1), np.uint8) if side.flipped else picture
