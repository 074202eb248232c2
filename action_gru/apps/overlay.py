"""Draws what was recognised onto frames. Knows nothing of models, files or windows.

A dark translucent panel holds, top to bottom: the best label with its score, score bars of the
best classes in their colours, the time, and further lines. It stands in the corner where it covers
least, and covers a third of the frame at most; what does not fit is left out, bars first, then
lines from below.
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

from action_gru.core.errors import VideoError
from action_gru.core.graphics import class_colours, rgb, runs
from action_gru.core.text import clock_text
from action_gru.timeline import Prediction

MAX_BARS = 3
MAX_SHARE = 1 / 3  # of the frame's area
DARKEN = 72  # of 256: how much of the image shows through the panel
TRACK = (90, 90, 90)
PLAIN = (255, 255, 255)  # the bar of what is no class of the model
ALARM = (150, 30, 20)  # dark red under white letters
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


class _Row(NamedTuple):
    """One row of the panel: text at the left, a bar, a figure at the right."""

    text: str
    figure: str = ""
    filled: float | None = None  # share of the bar; None: no bar
    colour: Colour = TRACK
    title: bool = False


class Overlay:
    """Draws onto RGB frames of one size, in order. size_px is (width, height).

    classes: in the model's order, which gives each its colour; others have white bars.
    """

    def __init__(self, size_px: tuple[int, int], classes: Sequence[str] = ()) -> None:
        width_px, height_px = size_px
        if width_px < 1 or height_px < 1:
            raise VideoError(f"an overlay needs the frame's (width, height) in px; got {size_px}")
        self.frame_shape = (height_px, width_px, 3)
        self.title_px = max(SMALLEST_PX, round(4 + 0.032 * min(size_px)))
        self.text_px = max(SMALLEST_PX, round(0.8 * self.title_px))
        self.banner_px = 2 * self.title_px  # the height of a banner along the foot
        self.pad_px = max(1, self.title_px // 3)
        margin_px = min(size_px) // 60
        # About 20 letters, or two fifths of a wide frame.
        wanted_px = max(round(0.4 * width_px), 16 * self.title_px)
        self.panel_px = min(wanted_px, width_px - 2 * margin_px)
        self.room_px = int(MAX_SHARE * width_px * height_px / self.panel_px)
        self.panel_area: Area | None = None  # of the newest frame
        self._colours = {label: rgb(colour) for label, colour in class_colours(classes).items()}
        self._corner = _QuietCorner(size_px, margin_px)

    def draw(
        self,
        image: Frame,
        prediction: Prediction | None,
        *,
        lines: Sequence[str] = (),
        title: tuple[str, str] | None = None,
        banner: str = "",
        people: Sequence[Box] | None = None,
    ) -> Frame:
        """Give a copy of the frame with the panel on it. image (H, W, 3) uint8 RGB.

        Without a prediction only the lines are drawn. title: (text, figure) in place of the best
        label and its score. banner: a warning along the foot. people: boxes (left, top, right,
        bottom) in px that the panel keeps clear of; None: it keeps clear of what moves. Raises
        VideoError for another size.
        """
        if image.shape != self.frame_shape or image.dtype != np.uint8:
            raise VideoError(
                f"this overlay draws on RGB frames of shape {self.frame_shape}, uint8; got "
                f"{image.shape}, {image.dtype}: make one Overlay per frame size"
            )
        drawn: Frame = image.copy()
        rows = self._fitting_rows(prediction, lines, title)
        self.panel_area = None
        if rows:
            height_px = min(sum(map(self._height, rows)) + 2 * self.pad_px, self.room_px)
            foot_px = self.banner_px if banner else 0
            area = self._corner.place(image, (self.panel_px, height_px), foot_px, people)
            left, top, width, height = self.panel_area = area
            window = drawn[top : top + height, left : left + width]
            window[:] = self._panel(window, rows)
        if banner:
            self._draw_banner(drawn[-self.banner_px :], banner)
        return drawn

    def colour(self, label: str) -> Colour:
        """The colour of a class; white for what is none."""
        return self._colours.get(label, PLAIN)

    def _draw_banner(self, foot: Frame, text: str) -> None:
        strip: Panel = np.full(foot.shape, ALARM, dtype=np.uint16)
        top_px = max(0, (len(strip) - row_height(self.text_px)) // 2)
        shown = shortened(text, self.text_px, False, strip.shape[1] - 2 * self.pad_px)
        write(strip[top_px:], letters(shown, self.text_px, False), self.pad_px)
        foot[:] = strip

    def _fitting_rows(
        self,
        prediction: Prediction | None,
        lines: Sequence[str],
        named: tuple[str, str] | None,
    ) -> list[_Row]:
        title: list[_Row] = []
        bars: list[_Row] = []
        clock: list[_Row] = []
        if prediction is not None:
            named = named or (prediction.display_label, _percent(prediction.score))
            clock = [_Row(clock_text(prediction.time_s))]
            bars = [
                _Row(label, _percent(score), score, self.colour(label))
                for label, score in prediction.top(MAX_BARS)
            ]
        if named is not None:
            text, figure = named
            narrow = self.panel_px < 8 * self.title_px  # the label needs all of it
            title = [_Row(text, "" if narrow else figure, title=True)]
        left_px = self.room_px - sum(map(self._height, title))
        if left_px < 0:
            return []
        fitting = max(0, (left_px - self.pad_px) // row_height(self.text_px))
        foot = [*clock, *map(_Row, lines)][:fitting]
        bars = bars[: fitting - len(foot)]
        return [*title, *(bars if len(bars) > 1 else []), *foot]

    def _height(self, row: _Row) -> int:
        return row_height(self.title_px if row.title else self.text_px)

    def _panel(self, window: Frame, rows: Sequence[_Row]) -> Panel:
        panel: Panel = window.astype(np.uint16)
        panel *= DARKEN
        panel >>= 8
        top_px = (len(panel) - sum(map(self._height, rows))) // 2
        for row in rows:
            self._draw_row(panel[top_px : top_px + self._height(row)], row)
            top_px += self._height(row)
        return panel

    def _draw_row(self, panel: Panel, row: _Row) -> None:
        size_px = self.title_px if row.title else self.text_px
        end_px = self.panel_px - self.pad_px
        if row.figure:
            figure = letters(row.figure, size_px, row.title)
            write(panel, figure, end_px - figure.shape[1])
            # The widest figure's room is kept, so that nothing shifts from frame to frame.
            end_px -= letters("100%", size_px, row.title).shape[1] + self.pad_px
        if row.filled is not None:
            start_px = self.pad_px + (end_px - self.pad_px) // 2
            _draw_bar(panel[:, start_px:end_px], row.filled, row.colour)
            end_px = start_px - self.pad_px
        text = shortened(row.text, size_px, row.title, end_px - self.pad_px)
        write(panel, letters(text, size_px, row.title), self.pad_px)


class _QuietCorner:
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
        self,
        image: Frame,
        panel_px: tuple[int, int],
        foot_px: int,
        people: Sequence[Box] | None,
    ) -> Area:
        """Where a panel of (width, height) stands on a frame (H, W, 3) uint8.

        foot_px: rows at the foot that are taken. people: whom to keep clear of; None: what moves.
        """
        (width, height), margin = panel_px, self.margin_px
        right = max(margin, self.size_px[0] - margin - width)
        low = max(margin, self.size_px[1] - margin - height - foot_px)
        areas = [(x, y, width, height) for y in (margin, low) for x in (margin, right)]
        weights = self._motion(image) if people is None else self._heads(people)
        covered = [
            float(weights[self._cells(x, y, x + width, y + height)].mean())
            for x, y, width, height in areas
        ]
        return areas[self._choose(covered)]

    def _choose(self, covered: Sequence[float]) -> int:
        best = min(range(len(covered)), key=lambda corner: covered[corner])
        if self._chosen is None:
            self._chosen = best
        clearer = covered[best] < CLEARER * covered[self._chosen] - 1e-3
        self._better = self._better + 1 if clearer else 0
        if self._better >= STEADY:
            self._chosen, self._better = best, 0
        return self._chosen

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
        for left, top, right, bottom in people:
            body = weights[self._cells(left, top, right, bottom)]
            np.maximum(body, BODY_WEIGHS, out=body)
        for left, top, right, bottom in people:
            height = bottom - top
            weights[self._cells(left, top - HEADROOM * height, right, top + HEAD * height)] = 1
        return weights

    def _cells(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """Rows and columns of the grid under a box."""

        def span(low: float, high: float) -> slice:
            return slice(max(0, int(self._scale * low)), max(0, math.ceil(self._scale * high)))

        return span(top, bottom), span(left, right)


def overlaps(one: Area, other: Area) -> bool:
    """Do two areas share a pixel?"""
    return all(
        one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2]
        for axis in (0, 1)
    )


@lru_cache(maxsize=1024)
def shortened(text: str, size_px: int, bold: bool, width_px: int) -> str:
    """The text on one line, cut with an ellipsis where it is wider than width_px."""
    line = " ".join(text.split())
    if _length(line, size_px, bold) <= width_px:
        return line
    length = len(line)
    while length and _length(line[:length].rstrip() + "…", size_px, bold) > width_px:
        length -= 1
    return line[:length].rstrip() + "…" if length else ""


def row_height(size_px: int) -> int:
    return math.ceil(1.2 * size_px)  # DejaVu rises 0.93 and falls 0.24 of its size


@lru_cache(maxsize=512)
def letters(text: str, size_px: int, bold: bool) -> Panel:
    """Coverage of each pixel of a row by the text, 0 to 256: (row height, text width, 1)."""
    mask = Image.new("L", (math.ceil(_length(text, size_px, bold)), row_height(size_px)))
    drawing, left_px = ImageDraw.Draw(mask), 0.0
    for path, part in runs(text, bold):
        font, place = _font(path, size_px), (left_px, round(0.93 * size_px))
        drawing.text(place, part, fill=255, font=font, anchor="ls")
        left_px += font.getlength(part)
    coverage = np.asarray(mask, dtype=np.uint16)[..., None]
    return coverage + (coverage > 127)


def write(panel: Panel, text: Panel, start_px: int) -> None:
    """Blend white letters into the upper rows of a panel, in place."""
    area = panel[: len(text), max(0, start_px) : start_px + text.shape[1]]
    area += ((255 - area) * text[: area.shape[0], -area.shape[1] or None :]) >> 8


@lru_cache(maxsize=64)
def _font(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size_px)


def _length(text: str, size_px: int, bold: bool) -> float:
    """How wide a text is, px."""
    return sum(_font(path, size_px).getlength(part) for path, part in runs(text, bold))


def _percent(score: float) -> str:
    return f"{round(100 * score)}%"


def _draw_bar(panel: Panel, filled: float, colour: Colour) -> None:
    """Draw a bar over the middle of a row, in place."""
    inset_px = max(1, len(panel) // 4)
    track = panel[inset_px : len(panel) - inset_px]
    track[:] = TRACK
    track[:, : round(filled * track.shape[1])] = colour
