"""Draws people onto frames: a box each, with number and label. Knows nothing of models or files.

A box has the colour of its label; who it is, the number says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from action_gru.apps.overlay import (
    HEADROOM,
    PLAIN,
    Area,
    Box,
    Colour,
    Frame,
    Overlay,
    Panel,
    letters,
    overlaps,
    row_height,
    shortened,
    write,
)
from action_gru.streaming.people import Person

DARK = (20, 20, 20)
UNSURE = "…"  # nothing is known of the person yet; the box is white then


@dataclass(frozen=True)
class PersonMark:
    """What is drawn of one person. box: left, top, right, bottom in px of the frame."""

    number: int
    box: Box
    label: str
    score: float | None = None  # from 0 to 1; None: nothing is known yet

    @property
    def text(self) -> str:
        figure = "" if self.score is None else f" {round(100 * self.score)}%"
        return f"{self.number}  {self.label}{figure}"


def marks_of(people: Sequence[Person]) -> list[PersonMark]:
    """What stands at each person now: the event that goes on or is about to be one, else dots.

    Only of those who were seen in the newest scene: nobody may be where somebody was.
    """
    return [_mark(person) for person in people if person.visible]


def _mark(person: Person) -> PersonMark:
    left, top, right, bottom = (float(side) for side in person.box)
    smoothed, current = person.stream.smoothed, person.stream.current
    label, score = UNSURE, None
    if smoothed and (current or smoothed.score >= person.stream.tracker.enter):
        label = current.label if current else smoothed.label
        score = float(smoothed.probabilities([label])[0])
    return PersonMark(person.number, (left, top, right, bottom), label, score)


class PeopleOverlay:
    """Draws onto RGB frames of one size, in order. size_px is (width, height).

    classes: in the model's order, which gives each its colour; a box has that of its label.
    """

    def __init__(self, size_px: tuple[int, int], classes: Sequence[str] = ()) -> None:
        self.panel = Overlay(size_px, classes)
        self.size_px = size_px
        self.text_px = self.panel.text_px
        self.line_px = max(1, round(min(size_px) / 240))

    def draw(
        self,
        image: Frame,
        marks: Sequence[PersonMark],
        *,
        lines: Sequence[str] = (),
        banner: str = "",
    ) -> Frame:
        """Give a copy of the frame with everyone marked. image (H, W, 3) uint8 RGB."""
        boxes = [mark.box for mark in marks]
        drawn = self.panel.draw(image, None, lines=lines, banner=banner, people=boxes)
        for mark in marks:
            left, top, right, bottom = (round(side) for side in mark.box)
            for colour, width in ((DARK, 3 * self.line_px), (self._colour(mark), self.line_px)):
                cv2.rectangle(drawn, (left, top), (right, bottom), colour, width)
        areas = self.label_areas(marks, bool(banner))
        labelled = [
            (mark, area) for mark, area in zip(marks, areas, strict=True) if area is not None
        ]
        for mark, area in labelled:
            self._draw_joint(drawn, mark, area)
        for mark, area in labelled:
            self._draw_label(drawn, mark, area)
        return drawn

    def label_areas(self, marks: Sequence[PersonMark], banner: bool = False) -> list[Area | None]:
        """Where each label stands: on the frame, off the panel, the banner and each other.

        None where no room is left. Above the box if possible, with a gap: a box often cuts a head
        off, and the label would hide it.
        """
        taken = [] if self.panel.panel_area is None else [self.panel.panel_area]
        if banner:
            foot_px = self.panel.banner_px
            taken.append((0, self.size_px[1] - foot_px, self.size_px[0], foot_px))
        areas: list[Area | None] = []
        for mark in marks:
            free = (
                area
                for area in self._places(mark)
                if not any(overlaps(area, other) for other in taken)
            )
            areas.append(next(free, None))
            taken += [area for area in areas[-1:] if area is not None]
        return areas

    def _places(self, mark: PersonMark) -> Iterator[Area]:
        """Places on the frame, the nearest to the one above the box first."""
        pad = self.text_px // 3
        width, height = self._text(mark).shape[1] + 2 * pad, round(1.2 * self.text_px) + pad
        wide, high = self.size_px[0] - width, self.size_px[1] - height
        left, top, right, bottom = mark.box
        wanted = round(top) - height - round(HEADROOM * (bottom - top))
        wanted = min(max(0, wanted), max(0, high))
        rows = sorted(
            {wanted, *range(0, high + 1, max(1, height // 2))}, key=lambda row: abs(row - wanted)
        )
        for column in (round(left), round(right) - width, round(left) - width, round(right)):
            for row in rows:
                yield min(max(0, column), max(0, wide)), row, width, height

    def _text(self, mark: PersonMark) -> Panel:
        room_px = self.size_px[0] - 3 * (self.text_px // 3)
        return letters(shortened(mark.text, self.text_px, False, room_px), self.text_px, False)

    def _draw_joint(self, image: Frame, mark: PersonMark, area: Area) -> None:
        """The line from a label down to its box."""
        left, top, width, height = area
        box_top = round(mark.box[1])
        if top + height < box_top:
            column = min(max(left, round(mark.box[0])), left + width - 1) + self.line_px // 2
            ends = (column, top + height), (column, box_top)
            cv2.line(image, *ends, self._colour(mark), self.line_px)

    def _draw_label(self, image: Frame, mark: PersonMark, area: Area) -> None:
        left, top, width, height = area
        pad = self.text_px // 3
        chip = image[top : top + height, left : left + width]
        strip: Panel = np.full(chip.shape, DARK, np.uint16)
        write(strip[pad // 2 : pad // 2 + row_height(self.text_px)], self._text(mark), pad)
        strip[-self.line_px :] = self._colour(mark)
        chip[:] = strip

    def _colour(self, mark: PersonMark) -> Colour:
        return PLAIN if mark.score is None else self.panel.colour(mark.label)
