"""Draws people onto frames: a box each, with number and label. Knows nothing of models or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from action_gru.apps.overlay import Frame, Overlay, shortened, write_text
from action_gru.streaming.people import Person

# Okabe and Ito 2008, those that stand out from pictures; the number says the same in words.
COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
)
HIDDEN = (170, 170, 170)
DARK = (20, 20, 20)
UNSURE = "…"
HEADROOM = 0.12  # of the box's height: so far above it is the label


@dataclass(frozen=True)
class PersonMark:
    """What is drawn of one person. box: left, top, right, bottom in px of the frame."""

    number: int
    box: tuple[float, float, float, float]
    label: str
    score: float | None = None  # from 0 to 1; None: nothing is known yet
    visible: bool = True

    @property
    def text(self) -> str:
        figure = "" if self.score is None else f" {round(100 * self.score)}%"
        return f"{self.number}  {self.label}{figure}"


def marks_of(people: Sequence[Person]) -> list[PersonMark]:
    """What stands at each person now: the event that goes on or is about to be one, else dots."""
    return [_mark(person) for person in people]


def _mark(person: Person) -> PersonMark:
    left, top, right, bottom = (float(side) for side in person.box)
    label, score = current_label(person)
    return PersonMark(person.number, (left, top, right, bottom), label, score, person.visible)


def current_label(person: Person) -> tuple[str, float | None]:
    """What the person does now and its score; dots while that is not known."""
    smoothed, tracker = person.stream.smoothed, person.stream.tracker
    if smoothed is None or (smoothed.score < tracker.enter and not person.stream.current):
        return UNSURE, None
    label = person.stream.current.label if person.stream.current else smoothed.label
    return label, dict(smoothed.top(len(smoothed.labels)))[label]


class PeopleOverlay:
    """Draws onto RGB frames of one size. size_px is (width, height)."""

    def __init__(self, size_px: tuple[int, int]) -> None:
        self._panel = Overlay(size_px)
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
        drawn = self._panel.draw(image, None, lines=lines, banner=banner)
        taken: list[tuple[int, int, int, int]] = []
        for mark in marks:
            self._draw_box(drawn, mark)
        for mark in marks:
            taken.append(self._draw_label(drawn, mark, taken))
        return drawn

    def _draw_box(self, image: Frame, mark: PersonMark) -> None:
        left, top, right, bottom = (round(side) for side in mark.box)
        for colour, width in ((DARK, 3 * self.line_px), (_colour(mark), self.line_px)):
            cv2.rectangle(image, (left, top), (right, bottom), colour, width)

    def _draw_label(
        self, image: Frame, mark: PersonMark, taken: Sequence[tuple[int, int, int, int]]
    ) -> tuple[int, int, int, int]:
        """Above the box where there is room, below what is written there already.

        Away from it, with a line between: a box often cuts a head off, and the label would hide it.
        """
        pad = self.text_px // 3
        height = round(1.2 * self.text_px) + pad
        text = shortened(mark.text, self.text_px, False, self.size_px[0] - 3 * pad)
        picture = write_text(text, self.text_px)
        width = picture.shape[1] + 2 * pad
        left = min(max(0, round(mark.box[0])), self.size_px[0] - width)
        gap = round(HEADROOM * (mark.box[3] - mark.box[1]))
        top = max(0, round(mark.box[1]) - height - gap)
        while any(_overlap((left, top, width, height), other) for other in taken):
            top += height // 2
        top = min(top, self.size_px[1] - height)
        if (foot := top + height) < (box_top := round(mark.box[1])):
            column = left + self.line_px // 2
            cv2.line(image, (column, foot), (column, box_top), _colour(mark), self.line_px)
        chip = image[top : top + height, left : left + width]
        chip[:] = DARK
        chip[-self.line_px :] = _colour(mark)
        rows, columns = picture.shape[:2]
        room = chip[pad // 2 : pad // 2 + rows, pad : pad + columns]
        room[:] = np.maximum(room, picture[: len(room), : room.shape[1]])
        return left, top, width, height


def _colour(mark: PersonMark) -> tuple[int, int, int]:
    return COLOURS[(mark.number - 1) % len(COLOURS)] if mark.visible else HIDDEN


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Of areas left, top, width, height."""
    return all(
        one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2]
        for axis in (0, 1)
    )
