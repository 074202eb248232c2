"""What overlays are drawn with: letters, strips of colour, the corner where a panel covers least.

Knows nothing of actions or people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from action_gru.core.graphics import runs

SMALLEST_PX = 7  # letters below this cannot be read

HEAD = 0.25  # of a person's box: the head, and as much above it, for boxes cut heads off
HEADROOM = 0.12
BODY_WEIGHS = 0.1  # against a head
GRID_PX = 32  # the longer side of the coarse pictures that say what a panel would cover
MOVES = 8  # a change of brightness, of 255, that is no noise
FORGETS = 0.05  # of what moved, with each frame
CLEARER = 0.5  # another corner must cover so much less,
STEADY = 12  # for so many frames in a row

Frame = npt.NDArray[np.uint8]
Panel = npt.NDArray[np.uint16]
Area = tuple[int, int, int, int]  # left, top, width, height, px
Box = tuple[float, float, float, float]  # left, top, right, bottom, px
Colour = tuple[int, int, int]


class Font(NamedTuple):
    """Measures and draws text of one size on a row."""

    size_px: int
    bold: bool = False

    @property
    def row_px(self) -> int:
        return math.ceil(1.2 * self.size_px)  # DejaVu rises 0.93 and falls 0.24 of its size

    def width_px(self, text: str) -> float:
        faces = ((_face(path, self.size_px), part) for path, part in runs(text, self.bold))
        return sum(face.getlength(part) for face, part in faces)

    @lru_cache(maxsize=1024)  # noqa: B019 - a font is two numbers
    def fitted(self, text: str, width_px: int) -> Font:
        """The font, or the largest smaller one that has the text on one line of width_px.

        No smaller than can be read: `shorten` cuts what is then still too wide.
        """
        sizes = range(self.size_px, min(self.size_px, SMALLEST_PX) - 1, -1)
        fonts = [self._replace(size_px=size) for size in sizes]
        return next((font for font in fonts if font.width_px(text) <= width_px), fonts[-1])

    @lru_cache(maxsize=1024)  # noqa: B019
    def shorten(self, text: str, width_px: int) -> str:
        """The text on one line, cut with an ellipsis where it is wider than width_px."""
        line = " ".join(text.split())
        if self.width_px(line) <= width_px:
            return line
        length = len(line)
        while length and self.width_px(line[:length].rstrip() + "…") > width_px:
            length -= 1
        return line[:length].rstrip() + "…" if length else ""

    @lru_cache(maxsize=512)  # noqa: B019
    def letters(self, text: str) -> Panel:
        """Coverage of each pixel of a row by the text, 0 to 256: (row height, text width, 1)."""
        mask = Image.new("L", (math.ceil(self.width_px(text)), self.row_px))
        drawing, left_px = ImageDraw.Draw(mask), 0.0
        for path, part in runs(text, self.bold):
            face, place = _face(path, self.size_px), (left_px, round(0.93 * self.size_px))
            drawing.text(place, part, fill=255, font=face, anchor="ls")
            left_px += face.getlength(part)
        coverage = np.asarray(mask, dtype=np.uint16)[..., None]
        return coverage + (coverage > 127)


class QuietCorner:
    """The corner of a panel where it covers least, steady from frame to frame.

    Upper left as long as that is as good as another.
    """

    def __init__(self, size_px: tuple[int, int], margin_px: int) -> None:
        self.size_px, self.margin_px = size_px, margin_px
        self._scale = GRID_PX / max(size_px)
        self._grid_px = math.ceil(self._scale * size_px[0]), math.ceil(self._scale * size_px[1])
        self._before: npt.NDArray[np.float32] | None = None
        self._moved = np.zeros(self._grid_px[::-1], np.float32)
        self._chosen: int | None = None
        self._better = 0  # for how many frames another corner has been clearer

    def place(
        self, image: Frame, panel_px: tuple[int, int], foot_px: int, people: Sequence[Box] | None
    ) -> Area:
        """The place of a panel of (width, height); the lowest foot_px rows are in use."""
        (width, height), margin = panel_px, self.margin_px
        right = max(margin, self.size_px[0] - margin - width)
        low = max(margin, self.size_px[1] - margin - height - foot_px)
        areas = [(x, y, width, height) for y in (margin, low) for x in (margin, right)]
        weights = self._motion(image) if people is None else self._heads(people)
        covered = [
            float(weights[self._cells(x, y, x + width, y + height)].mean())
            for x, y, width, height in areas
        ]
        best = covered.index(min(covered))
        self._chosen = best if self._chosen is None else self._chosen
        clearer = covered[best] < CLEARER * covered[self._chosen] - 1e-3
        self._better = self._better + 1 if clearer else 0
        if self._better >= STEADY:
            self._chosen, self._better = best, 0
        return areas[self._chosen]

    def _motion(self, image: Frame) -> npt.NDArray[np.float32]:
        """How much each cell moved of late, 0 to 1."""
        small = cv2.resize(image, self._grid_px, interpolation=cv2.INTER_AREA)
        grey = small.astype(np.float32).mean(-1)
        if self._before is not None:
            moves = np.abs(grey - self._before) > MOVES
            self._moved += FORGETS * (moves - self._moved)
        self._before = grey
        return self._moved

    def _heads(self, people: Sequence[Box]) -> npt.NDArray[np.float32]:
        """1 where a head is, little where a body is."""
        weights = np.zeros_like(self._moved)
        for box in people:
            weights[self._cells(*box)] = BODY_WEIGHS
        for left, top, right, bottom in people:
            height = bottom - top
            weights[self._cells(left, top - HEADROOM * height, right, top + HEAD * height)] = 1
        return weights

    def _cells(self, *box: float) -> tuple[slice, slice]:
        """Rows and columns of the grid under a box (left, top, right, bottom)."""
        left, top = (max(0, int(self._scale * side)) for side in box[:2])
        right, bottom = (max(0, math.ceil(self._scale * side)) for side in box[2:])
        return slice(top, bottom), slice(left, right)


def overlaps(one: Area, other: Area) -> bool:
    """Do two areas share a pixel?"""
    return all(
        one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2]
        for axis in (0, 1)
    )


def cut(image: Frame, area: Area) -> Frame:
    left, top, width, height = area
    return image[top : top + height, left : left + width]


def strip(under: Frame, colour: Colour, letters: Panel, left_px: int, top_px: int) -> Panel:
    """White letters on one colour, as large as what it is to cover."""
    filled: Panel = np.full(under.shape, colour, np.uint16)
    write(filled[top_px:], letters, left_px)
    return filled


def write(panel: Panel, letters: Panel, start_px: int) -> None:
    """Blend white letters into the upper rows of a panel, in place."""
    area = panel[: len(letters), max(0, start_px) : start_px + letters.shape[1]]
    area += ((255 - area) * letters[: area.shape[0], -area.shape[1] or None :]) >> 8


@lru_cache(maxsize=64)
def _face(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size_px)
