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

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from action_gru.apps.corners import Area, Box, QuietCorner
from action_gru.errors import VideoError
from action_gru.lettering import runs
from action_gru.palette import class_colours, rgb
from action_gru.phrases import clock_text
from action_gru.timeline import Prediction

MAX_BARS = 3
MAX_SHARE = 1 / 3  # of the frame's area
DARKEN = 72  # of 256: how much of the image shows through the panel
TRACK = (90, 90, 90)
PLAIN = (255, 255, 255)  # the bar of what is no class of the model
ALARM = (150, 30, 20)  # dark red under white letters
SMALLEST_PX = 7  # letters below this cannot be read

Frame = npt.NDArray[np.uint8]
Panel = npt.NDArray[np.uint16]


class _Row(NamedTuple):
    """One row of the panel: text at the left, a bar, a figure at the right."""

    text: str
    figure: str = ""
    filled: float | None = None  # share of the bar; None: no bar
    colour: tuple[int, int, int] = TRACK
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
        self.pad_px = max(1, self.title_px // 3)
        self.margin_px = min(size_px) // 60
        # About 20 letters, or two fifths of a wide frame.
        wanted_px = max(round(0.4 * width_px), 16 * self.title_px)
        self.panel_px = min(wanted_px, width_px - 2 * self.margin_px)
        self.room_px = int(MAX_SHARE * width_px * height_px / self.panel_px)
        self.panel_area: Area | None = None  # of the newest frame
        self._colours = {label: rgb(colour) for label, colour in class_colours(classes).items()}
        self._corner = QuietCorner(size_px, self.margin_px)

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
        self._check(image)
        drawn: Frame = image.copy()
        rows = self._fitting_rows(prediction, lines, title)
        self.panel_area = None
        if rows:
            height_px = min(sum(map(self._height, rows)) + 2 * self.pad_px, self.room_px)
            foot_px = self.banner_px if banner else 0
            size_px = (self.panel_px, height_px)
            left, top, width, height = self._corner.place(image, size_px, foot_px, people)
            self.panel_area = (left, top, width, height)
            window = drawn[top : top + height, left : left + width]
            window[:] = self._panel(window, rows)
        if banner:
            self._draw_banner(drawn, banner)
        return drawn

    @property
    def banner_px(self) -> int:
        """The height of a banner along the foot."""
        return 2 * self.title_px

    def _draw_banner(self, image: Frame, text: str) -> None:
        foot = image[-self.banner_px :]
        strip: Panel = np.full(foot.shape, ALARM, dtype=np.uint16)
        top_px = (len(strip) - _row_height(self.text_px)) // 2
        shown = shortened(text, self.text_px, False, strip.shape[1] - 2 * self.pad_px)
        row = strip[max(0, top_px) : max(0, top_px) + _row_height(self.text_px)]
        _write(row, _letters(shown, self.text_px, False)[: len(row)], self.pad_px)
        foot[:] = strip

    def _check(self, image: Frame) -> None:
        if image.shape != self.frame_shape or image.dtype != np.uint8:
            raise VideoError(
                f"this overlay draws on RGB frames of shape {self.frame_shape}, uint8; got "
                f"{image.shape}, {image.dtype}: make one Overlay per frame size"
            )

    def _fitting_rows(
        self,
        prediction: Prediction | None,
        lines: Sequence[str],
        named: tuple[str, str] | None,
    ) -> list[_Row]:
        if named is None and prediction is not None:
            named = (prediction.told, _percent(prediction.score))
        title = [] if named is None else [self._title(*named)]
        bars = [] if prediction is None else self._bars(prediction)
        clock = [] if prediction is None else [_Row(clock_text(prediction.time_s))]
        left_px = self.room_px - sum(map(self._height, title))
        if left_px < 0:
            return []
        fitting = max(0, (left_px - self.pad_px) // _row_height(self.text_px))
        foot = [*clock, *map(_Row, lines)][:fitting]
        bars = bars[: fitting - len(foot)]
        return [*title, *(bars if len(bars) > 1 else []), *foot]

    def _bars(self, prediction: Prediction) -> list[_Row]:
        return [
            _Row(label, _percent(score), score, self._colours.get(label, PLAIN))
            for label, score in prediction.top(MAX_BARS)
        ]

    def _title(self, text: str, figure: str) -> _Row:
        narrow = self.panel_px < 8 * self.title_px  # the label needs all of it
        return _Row(text, "" if narrow else figure, title=True)

    def _height(self, row: _Row) -> int:
        return _row_height(self.title_px if row.title else self.text_px)

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
            figure = _letters(row.figure, size_px, row.title)
            _write(panel, figure, end_px - figure.shape[1])
            # The widest figure's room is kept, so that nothing shifts from frame to frame.
            end_px -= _letters("100%", size_px, row.title).shape[1] + self.pad_px
        if row.filled is not None:
            start_px = self.pad_px + (end_px - self.pad_px) // 2
            _draw_bar(panel[:, start_px:end_px], row.filled, row.colour)
            end_px = start_px - self.pad_px
        text = shortened(row.text, size_px, row.title, end_px - self.pad_px)
        _write(panel, _letters(text, size_px, row.title), self.pad_px)


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


def write_text(text: str, size_px: int) -> Frame:
    """A text in white on black, (row height, text width, 3) uint8."""
    letters = np.minimum(_letters(text, size_px, False), 255).astype(np.uint8)
    return np.repeat(letters, 3, axis=2)


def _percent(score: float) -> str:
    return f"{round(100 * score)}%"


def _row_height(size_px: int) -> int:
    return math.ceil(1.2 * size_px)  # DejaVu rises 0.93 and falls 0.24 of its size


@lru_cache(maxsize=64)
def _font(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size_px)


def _length(text: str, size_px: int, bold: bool) -> float:
    """How wide a text is, px."""
    return sum(_font(path, size_px).getlength(part) for path, part in runs(text, bold))


@lru_cache(maxsize=512)
def _letters(text: str, size_px: int, bold: bool) -> Panel:
    """Coverage of each pixel of a row by the text, 0 to 256: (row height, text width, 1)."""
    mask = Image.new("L", (math.ceil(_length(text, size_px, bold)), _row_height(size_px)))
    drawing, left_px = ImageDraw.Draw(mask), 0.0
    for path, part in runs(text, bold):
        font, place = _font(path, size_px), (left_px, round(0.93 * size_px))
        drawing.text(place, part, fill=255, font=font, anchor="ls")
        left_px += font.getlength(part)
    coverage = np.asarray(mask, dtype=np.uint16)[..., None]
    return coverage + (coverage > 127)


def _write(panel: Panel, letters: Panel, start_px: int) -> None:
    """Blend white letters into a row, in place."""
    area = panel[:, max(0, start_px) : start_px + letters.shape[1]]
    area += ((255 - area) * letters[: area.shape[0], -area.shape[1] or None :]) >> 8


def _draw_bar(panel: Panel, filled: float, colour: tuple[int, int, int]) -> None:
    """Draw a bar over the middle of a row, in place."""
    inset_px = max(1, len(panel) // 4)
    track = panel[inset_px : len(panel) - inset_px]
    track[:] = TRACK
    track[:, : round(filled * track.shape[1])] = colour
