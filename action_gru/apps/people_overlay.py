"""Draws people onto frames: a box each, with number and label. Knows nothing of models or files.

A box has the colour of its label; who it is, the number says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from action_gru.apps.corners import HEADROOM, Area, overlaps
from action_gru.apps.overlay import PLAIN, Frame, Overlay, shortened, write_text
from action_gru.palette import class_colours, rgb
from action_gru.streaming.people import Person

DARK = (20, 20, 20)
UNSURE = "…"  # nothing is known of the person yet; the box is white then


@dataclass(frozen=True)
class PersonMark:
    """What is drawn of one person. box: left, top, right, bottom in px of the frame."""

    number: int
    box: tuple[float, float, float, float]
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
    label, score = current_label(person)
    return PersonMark(person.number, (left, top, right, bottom), label, score)


def current_label(person: Person) -> tuple[str, float | None]:
    """What the person does now and its score; dots while that is not known."""
    smoothed, tracker = person.stream.smoothed, person.stream.tracker
    if smoothed is None or (smoothed.score < tracker.enter and not person.stream.current):
        return UNSURE, None
    label = person.stream.current.label if person.stream.current else smoothed.label
    return label, dict(smoothed.top(len(smoothed.labels)))[label]


class PeopleOverlay:
    """Draws onto RGB frames of one size, in order. size_px is (width, height).

    classes: in the model's order, which gives each its colour; a box has that of its label.
    """

    def __init__(self, size_px: tuple[int, int], classes: Sequence[str] = ()) -> None:
        self._panel = Overlay(size_px)
        self._colours = {label: rgb(colour) for label, colour in class_colours(classes).items()}
        self.size_px = size_px
        self.text_px = self._panel.text_px
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
        drawn = self._panel.draw(image, None, lines=lines, banner=banner, people=boxes)
        for mark in marks:
            self._draw_box(drawn, mark)
        labelled = [
            (mark, area)
            for mark, area in zip(marks, self.label_areas(marks, bool(banner)), strict=True)
            if area is not None
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
        taken = [] if self._panel.panel_area is None else [self._panel.panel_area]
        if banner:
            foot_px = self._panel.banner_px
            taken.append((0, self.size_px[1] - foot_px, self.size_px[0], foot_px))
        areas: list[Area | None] = []
        for mark in marks:
            width, height = self._label_size(mark)
            free = (
                area
                for area in self._places(mark, width, height)
                if not any(overlaps(area, other) for other in taken)
            )
            areas.append(next(free, None))
            taken += [area for area in areas[-1:] if area is not None]
        return areas

    def _label_size(self, mark: PersonMark) -> tuple[int, int]:
        pad = self.text_px // 3
        return self._letters(mark).shape[1] + 2 * pad, round(1.2 * self.text_px) + pad

    def _letters(self, mark: PersonMark) -> Frame:
        room_px = self.size_px[0] - 3 * (self.text_px // 3)
        return write_text(shortened(mark.text, self.text_px, False, room_px), self.text_px)

    def _places(self, mark: PersonMark, width: int, height: int) -> Iterator[Area]:
        """Places on the frame, the nearest to the one above the box first."""
        wide, high = self.size_px[0] - width, self.size_px[1] - height
        left, top = round(mark.box[0]), round(mark.box[1])
        wanted = top - height - round(HEADROOM * (mark.box[3] - mark.box[1]))
        wanted = min(max(0, wanted), max(0, high))
        rows = sorted(
            {wanted, *range(0, high + 1, max(1, height // 2))}, key=lambda row: abs(row - wanted)
        )
        for column in (left, round(mark.box[2]) - width, left - width, round(mark.box[2])):
            for row in rows:
                yield min(max(0, column), max(0, wide)), row, width, height

    def _draw_box(self, image: Frame, mark: PersonMark) -> None:
        left, top, right, bottom = (round(side) for side in mark.box)
        for colour, width in ((DARK, 3 * self.line_px), (self._colour(mark), self.line_px)):
            cv2.rectangle(image, (left, top), (right, bottom), colour, width)

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
        pad, colour = self.text_px // 3, self._colour(mark)
        chip = image[top : top + height, left : left + width]
        chip[:] = DARK
        chip[-self.line_px :] = colour
        letters = self._letters(mark)
        rows, columns = letters.shape[:2]
        room = chip[pad // 2 : pad // 2 + rows, pad : pad + columns]
        room[:] = np.maximum(room, letters[: len(room), : room.shape[1]])

    def _colour(self, mark: PersonMark) -> tuple[int, int, int]:
        return PLAIN if mark.score is None else self._colours.get(mark.label, PLAIN)
