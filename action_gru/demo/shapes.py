"""Draws rounded and square solids in the view of a camera. Knows no people.

Figure space: x forward, y to the figure's left, z up, in statures, the origin on the floor.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Points = NDArray[np.float64]
Colour = tuple[int, int, int]

_SUBPIXEL_BITS = 4
_ANGLES = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)


@dataclass(frozen=True)
class View:
    """The place of a figure in the picture: feet at (x_px, y_px), 1 stature = scale_px.

    yaw_deg: 0 faces the camera, 90 faces right, -90 left. tilt_deg: how far the camera looks down.
    """

    x_px: float
    y_px: float
    scale_px: float
    yaw_deg: float
    tilt_deg: float = 9.0

    def project(self, points: Points) -> tuple[Points, NDArray[np.float64]]:
        """Figure space (N, 3) -> pixels (N, 2) and nearness to the camera (N,)."""
        yaw, tilt = np.radians(self.yaw_deg), np.radians(self.tilt_deg)
        across = points[:, 0] * np.sin(yaw) + points[:, 1] * np.cos(yaw)
        near = points[:, 0] * np.cos(yaw) - points[:, 1] * np.sin(yaw)
        down = near * np.sin(tilt) - points[:, 2] * np.cos(tilt)
        pixels = np.stack([self.x_px + across * self.scale_px, self.y_px + down * self.scale_px], 1)
        return pixels, near

    def ahead(self, distance: float) -> "View":
        """The same view after the figure has gone `distance` statures forward."""
        x_px, y_px = self.project(np.array([[distance, 0.0, 0.0]]))[0][0]
        return replace(self, x_px=float(x_px), y_px=float(y_px))


class Blob(NamedTuple):
    """The convex hull of circles, centres (N, 2) and radii (N,) px, with a dark rim and a lit upper
    left, or without both.
    """

    centres: Points
    radii: Points
    colour: Colour
    plain: bool = False

    def layers(self) -> list[tuple[Points, Points, Colour]]:
        """Circles and colour of each hull, the lowest first."""
        centres, radii, colour = self[:3]
        if self.plain:
            return [(centres, radii, colour)]
        lit = (centres - 0.22 * radii[:, None], radii * 0.66, shade(colour, 1.08))
        rim = (centres, radii + 1.0, shade(colour, 0.55))
        return [rim, (centres, radii, shade(colour, 0.88)), lit]


def draw_blobs(canvas: Image, blobs: Sequence[Blob]) -> None:
    """Draw blobs, one over another."""
    layers = [layer for blob in blobs for layer in blob.layers()]
    if not layers:
        return
    # One calculation for all: a figure is some fifty hulls of a few points.
    centres, radii = (np.concatenate(parts) for parts in list(zip(*layers, strict=True))[:2])
    rims = (centres[:, None] + radii[:, None, None] * _CIRCLE).astype(np.float32).reshape(-1, 2)
    corners, start = _fixed(rims), 0
    for circles, _, colour in layers:
        stop = start + len(circles) * len(_CIRCLE)
        hull = cv2.convexHull(rims[start:stop], returnPoints=False)[:, 0]
        _fill(canvas, corners[start:stop][hull], colour)
        start = stop


def draw_cuboid(
    canvas: Image, view: View, centre: Points, size: tuple[float, float, float], colour: Colour
) -> None:
    """A box in figure space, its top lit and its sides darker the more they turn away."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
    pixels, _ = view.project(centre + signs * np.array(size) / 2)
    for axis, sign in ((0, -1), (0, 1), (1, -1), (1, 1), (2, 1)):
        normal = sign * np.eye(3)[[axis]]
        towards = float(view.project(normal)[1][0]) if axis < 2 else 0.9
        if towards <= 0.0:
            continue
        corners = pixels[signs[:, axis] == sign][[0, 1, 3, 2]]
        gain = 1.15 if axis == 2 else 0.62 + 0.35 * towards
        _fill(canvas, _fixed(corners), shade(colour, gain))


def _fixed(pixels: NDArray[np.floating]) -> NDArray[np.int32]:
    """As OpenCV takes parts of pixels."""
    fixed: NDArray[np.int32] = np.rint(pixels * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    return fixed


def _fill(canvas: Image, corners: NDArray[np.int32], colour: Colour) -> None:
    """Fill a convex polygon, corners (N, 2) from `_fixed`."""
    cv2.fillConvexPoly(canvas, corners, colour, cv2.LINE_AA, _SUBPIXEL_BITS)


@lru_cache(maxsize=256)  # a figure has few colours, and is drawn in many frames
def shade(colour: Colour, gain: float) -> Colour:
    red, green, blue = (min(int(channel * gain), 255) for channel in colour)
    return red, green, blue


def mix(one: Colour, other: Colour, weight: float) -> Colour:
    red, green, blue = (int(a + (b - a) * weight) for a, b in zip(one, other, strict=True))
    return red, green, blue
