"""Draws what was recognised onto frames. Knows nothing of models, files or windows.

A dark translucent panel holds, top to bottom: the best label with its score, score bars of the
best classes in their colours, the time, and further lines. It is in the corner where it covers
least, and covers a third of the frame at most; what does not fit is left out, bars first, then
lines from below. Each person has a box in the colour of their label, with number and label above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from action_gru.apps.drawing import (
    HEADROOM,
    SMALLEST_PX,
    Area,
    Box,
    Colour,
    Font,
    Frame,
    Panel,
    QuietCorner,
    cut,
    overlaps,
    strip,
    write,
)
from action_gru.core.errors import VideoError
from action_gru.core.graphics import class_colours, rgb
from action_gru.core.text import clock_text
from action_gru.streaming.people import Person
from action_gru.timeline import Prediction
from action_gru.timeline.events import SEVERAL

MAX_BARS = 3
MAX_SHARE = 1 / 3  # of the frame's area
DARKEN = 72  # of 256: how much of the image shows through the panel
TRACK = (90, 90, 90)
PLAIN = (255, 255, 255)  # of labels that are no class of the model, and of unknown people
ALARM = (150, 30, 20)  # dark red under white letters
DARK = (20, 20, 20)
UNKNOWN = "…"  # the label of a person without one


class _Row(NamedTuple):
    """One row of the panel: text at the left, a bar, a figure at the right."""

    font: Font
    text: str
    figure: str = ""
    filled: float | None = None  # share of the bar; None: no bar
    colour: Colour = TRACK
    mark: float | None = None  # a threshold on the bar, as a share


@dataclass(frozen=True)
class PersonMark:
    """What is drawn of one person. box: left, top, right, bottom in px of the frame."""

    number: int
    box: Box
    label: str
    score: float | None = None  # from 0 to 1; None: nothing is known yet

    @property
    def text(self) -> str:
        figure = "" if self.score is None else f" {percent(self.score)}"
        return f"{self.number}  {self.label}{figure}"


def marks_of(
    people: Sequence[Person], scale: float = 1.0, offset_px: tuple[int, int] = (0, 0)
) -> list[PersonMark]:
    """The event that each person is in, or is about to be in, on a scaled and shifted picture.

    Only people seen in the newest scene: an older box may be empty now.
    """
    marks = []
    for person in people:
        smoothed, names = person.stream.smoothed, person.stream.tracker.likely(background=True)
        label, score = UNKNOWN, None
        if smoothed and names:
            label, score = SEVERAL.join(names), float(smoothed.probabilities(names)[0])
        left, top, right, bottom = (scale * float(side) for side in person.box)
        x, y = offset_px
        if person.visible:
            box = (left + x, top + y, right + x, bottom + y)
            marks.append(PersonMark(person.number, box, label, score))
    return marks


class Overlay:
    """Draws onto RGB frames of one size, in order. size_px is (width, height).

    classes: in the model's order, which gives each its colour; others are white. thresholds: by
    class, where several may be shown at once; each bar has a mark there.
    """

    def __init__(
        self,
        size_px: tuple[int, int],
        classes: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self._thresholds = thresholds or {}
        width_px, height_px = self.size_px = size_px
        if width_px < 1 or height_px < 1:
            raise VideoError(f"an overlay needs the frame's (width, height) in px; got {size_px}")
        self.frame_shape = (height_px, width_px, 3)
        title_px = max(SMALLEST_PX, round(4 + 0.032 * min(size_px)))
        self.title = Font(title_px, bold=True)
        self.text = Font(max(SMALLEST_PX, round(0.8 * title_px)))
        self.banner_px = 2 * title_px  # the height of a banner along the foot
        self.pad_px = max(1, title_px // 3)
        self.line_px = max(1, round(min(size_px) / 240))
        self.label_px = round(1.2 * self.text.size_px) + self.text.size_px // 3
        margin_px = min(size_px) // 60
        # About 20 letters, or two fifths of a wide frame.
        self.panel_px = min(max(round(0.4 * width_px), 16 * title_px), width_px - 2 * margin_px)
        self.room_px = int(MAX_SHARE * width_px * height_px / self.panel_px)
        self.panel_area: Area | None = None  # of the newest frame
        self._colours = {label: rgb(colour) for label, colour in class_colours(classes).items()}
        end_px = self._end_px(self.text)  # of the bars: a label has half of a row, or what it needs
        needed_px = max([0, *(round(self.text.width_px(label)) for label in classes)])
        middle_px = self.pad_px + (end_px - self.pad_px) // 2
        self._bar_px = max(middle_px, min(needed_px + 2 * self.pad_px, end_px * 4 // 5))
        self._corner = QuietCorner(size_px, margin_px)

    def draw(
        self,
        image: Frame,
        prediction: Prediction | None = None,
        *,
        lines: Sequence[str] = (),
        title: tuple[str, str] | None = None,
        banner: str = "",
        people: Sequence[PersonMark] | None = None,
    ) -> Frame:
        """A copy of the frame, (H, W, 3) uint8 RGB, with all this on it.

        title: (text, figure) in place of the best label and its score. banner: a warning along the
        foot. people: each gets a box, and the panel keeps clear of heads; None: it keeps clear of
        what moves. Raises VideoError for another size.
        """
        if image.shape != self.frame_shape or image.dtype != np.uint8:
            raise VideoError(
                f"this overlay draws on RGB frames of shape {self.frame_shape}, uint8; got "
                f"{image.shape}, {image.dtype}: make one Overlay per frame size"
            )
        drawn: Frame = image.copy()
        rows = self._rows(prediction, lines, title)
        self.panel_area = None
        if rows:
            height_px = min(sum(row.font.row_px for row in rows) + 2 * self.pad_px, self.room_px)
            foot_px = self.banner_px if banner else 0
            boxes = None if people is None else [mark.box for mark in people]
            self.panel_area = self._corner.place(image, (self.panel_px, height_px), foot_px, boxes)
            self._draw_panel(cut(drawn, self.panel_area), rows)
        if banner:
            text = self.text.shorten(banner, self.size_px[0] - 2 * self.pad_px)
            foot = drawn[-self.banner_px :]
            top_px = max(0, (len(foot) - self.text.row_px) // 2)
            foot[:] = strip(foot, ALARM, self.text.letters(text), self.pad_px, top_px)
        if people:
            self._draw_people(drawn, people, bool(banner))
        return drawn

    def _rows(
        self, prediction: Prediction | None, lines: Sequence[str], title: tuple[str, str] | None
    ) -> list[_Row]:
        bars = []
        if prediction is not None:
            score = prediction.display_score
            title = title or (prediction.display_label, "" if score is None else percent(score))
            lines = [clock_text(prediction.time_s), *lines]
            bars = [
                _Row(
                    self.text,
                    label,
                    percent(score),
                    score,
                    self._colours.get(label, PLAIN),
                    self._thresholds.get(label),
                )
                for label, score in prediction.leading(MAX_BARS)
            ]
        head = []
        if title is not None:
            room_px = self._end_px(self.title) - self.pad_px
            narrow = self.title.fitted(title[0], room_px).width_px(title[0]) > room_px
            head = [_Row(self.title, title[0], "" if narrow else title[1])]
        left_px = self.room_px - len(head) * self.title.row_px
        if left_px < 0:
            return []
        fitting = max(0, (left_px - self.pad_px) // self.text.row_px)
        foot = [_Row(self.text, line) for line in lines[:fitting]]
        bars = bars[: fitting - len(foot)]
        return [*head, *(bars if len(bars) > 1 else []), *foot]

    def _draw_panel(self, window: Frame, rows: Sequence[_Row]) -> None:
        panel: Panel = window.astype(np.uint16)
        panel *= DARKEN
        panel >>= 8
        top_px = (len(panel) - sum(row.font.row_px for row in rows)) // 2
        for row in rows:
            self._draw_row(panel[top_px : top_px + row.font.row_px], row)
            top_px += row.font.row_px
        window[:] = panel

    def _draw_row(self, panel: Panel, row: _Row) -> None:
        font, end_px = row.font, self.panel_px - self.pad_px
        if row.figure:
            figure = font.letters(row.figure)
            write(panel, figure, end_px - figure.shape[1])
            end_px = self._end_px(font)
        if row.filled is not None:
            start_px, inset_px = self._bar_px, max(1, len(panel) // 4)
            track = panel[inset_px : len(panel) - inset_px, start_px:end_px]
            track[:] = TRACK
            track[:, : round(row.filled * track.shape[1])] = row.colour
            if row.mark is not None:
                at_px = min(round(row.mark * track.shape[1]), track.shape[1] - self.line_px)
                panel[1:-1, start_px + at_px : start_px + at_px + self.line_px] = PLAIN
            end_px = start_px - self.pad_px
        room_px = end_px - self.pad_px
        small = font.fitted(row.text, room_px)
        text = small.letters(small.shorten(row.text, room_px))
        write(panel[(len(panel) - len(text)) // 2 :], text, self.pad_px)

    def _end_px(self, font: Font) -> int:
        """Where a row with a figure has room up to. The widest figure's is kept: nothing shifts."""
        figure_px = int(font.letters("100%").shape[1])
        return self.panel_px - 2 * self.pad_px - figure_px

    def _draw_people(self, drawn: Frame, marks: Sequence[PersonMark], banner: bool) -> None:
        for mark in marks:
            left, top, right, bottom = (round(side) for side in mark.box)
            for colour, width in ((DARK, 3 * self.line_px), (self._colour(mark), self.line_px)):
                cv2.rectangle(drawn, (left, top), (right, bottom), colour, width)
        areas = self.label_areas(marks, banner)
        placed = [(mark, area) for mark, area in zip(marks, areas, strict=True) if area]
        for mark, (left, top, width, height) in placed:  # the line from a label down to its box
            foot, box_top = top + height, round(mark.box[1])
            column = min(max(left, round(mark.box[0])), left + width - 1) + self.line_px // 2
            if foot < box_top:
                ends = (column, foot), (column, box_top)
                cv2.line(drawn, *ends, self._colour(mark), self.line_px)
        pad_px = self.text.size_px // 3
        for mark, area in placed:
            chip = cut(drawn, area)
            chip[:] = strip(chip, DARK, self._letters(mark), pad_px, pad_px // 2)
            chip[-self.line_px :] = self._colour(mark)

    def label_areas(self, marks: Sequence[PersonMark], banner: bool = False) -> list[Area | None]:
        """The place of each label: on the frame, off the panel, the banner and each other.

        None where no room is left. Above the box if possible, with a gap: a box often cuts a head
        off, and the label would hide it.
        """
        width_px, height_px = self.size_px
        taken = [self.panel_area] if self.panel_area else []
        if banner:
            taken.append((0, height_px - self.banner_px, width_px, self.banner_px))
        areas: list[Area | None] = []
        for mark in marks:
            places = self._label_places(mark)
            area = next((a for a in places if not any(overlaps(a, other) for other in taken)), None)
            areas.append(area)
            taken += [area] if area else []
        return areas

    def _label_places(self, mark: PersonMark) -> Iterator[Area]:
        """Places on the frame, the nearest to the one above the box first."""
        pad = self.text.size_px // 3
        width, height = self._letters(mark).shape[1] + 2 * pad, self.label_px
        wide, high = max(0, self.size_px[0] - width), max(0, self.size_px[1] - height)
        left, top, right, bottom = mark.box
        wanted = min(max(0, round(top) - height - round(HEADROOM * (bottom - top))), high)
        rows = {wanted, *range(0, high + 1, max(1, height // 2))}
        for column in (round(left), round(right) - width, round(left) - width, round(right)):
            for row in sorted(rows, key=lambda row: (abs(row - wanted), row)):
                yield min(max(0, column), wide), row, width, height

    def _letters(self, mark: PersonMark) -> Panel:
        room_px = self.size_px[0] - 3 * (self.text.size_px // 3)
        font = self.text.fitted(mark.text, room_px)
        return font.letters(font.shorten(mark.text, room_px))

    def _colour(self, mark: PersonMark) -> Colour:
        first = mark.label.split(SEVERAL)[0]  # the longest of several
        return PLAIN if mark.score is None else self._colours.get(first, PLAIN)


def percent(score: float) -> str:
    return f"{round(100 * score)}%"
