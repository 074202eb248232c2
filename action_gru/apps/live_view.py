"""The picture of a live loop: each source's newest frame with what is known of it, in one image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.apps.feed import Feed
from action_gru.apps.live_loop import LiveLoop
from action_gru.apps.overlay import Overlay
from action_gru.apps.people_overlay import PeopleOverlay, PersonMark, marks_of
from action_gru.phrases import clock_text
from action_gru.streaming import ActionStream
from action_gru.streaming.people import PeopleStream
from action_gru.timeline import Event

Image = NDArray[np.uint8]

EVENTS_SHOWN = 3
TILE_PX = (640, 360)  # of each source, where there are several
NOTHING = "nothing in particular"
# A cut: over half of the tiles differ by so much, of 255. People who move change few.
CUT_PX, CUT_LEVELS, CUT_SHARE = (8, 8), 24, 0.5


class LiveView:
    """Draws the sources of a loop: one at its own size, several side by side."""

    def __init__(self, loop: LiveLoop) -> None:
        self.loop = loop
        self._overlays: dict[tuple[int, tuple[int, int]], Overlay] = {}
        self._people_overlays: dict[tuple[int, tuple[int, int]], PeopleOverlay] = {}
        self._names = len(loop.feeds) > 1

    def draw(self, notes: Sequence[str] = ()) -> Image | None:
        """(H, W, 3) uint8 RGB; None before the first frame. notes: further lines of text."""
        tiles = [self._tile(feed, notes) for feed in self.loop.feeds]
        if not self._names:
            return tiles[0]
        blank = np.zeros((TILE_PX[1], TILE_PX[0], 3), np.uint8)
        shown = [blank if tile is None else tile for tile in tiles]
        columns = math.ceil(math.sqrt(len(shown)))
        shown += [blank] * (-len(shown) % columns)
        rows = [shown[start : start + columns] for start in range(0, len(shown), columns)]
        return np.vstack([np.hstack(row) for row in rows])

    def _tile(self, feed: Feed, notes: Sequence[str]) -> Image | None:
        if feed.frame is None:
            return None
        image = feed.frame.image
        if self._names:
            image = fitted(image, TILE_PX)
        size_px = (image.shape[1], image.shape[0])
        status = feed.source.status
        live = status.state == "live"
        lines = [*self._events(feed), *self._figures(feed), *notes]
        banner = "" if live else status.detail
        stream = feed.stream
        if isinstance(stream, PeopleStream):
            known = live and still_holds(feed)
            marks = _moved(marks_of(stream.people), feed.frame.image, image) if known else []
            painter = self._people_overlay(feed, size_px)
            return painter.draw(image, marks, lines=lines, banner=banner)
        return self._overlay(feed, size_px).draw(
            image,
            stream.smoothed if live else None,
            title=self._title(stream) if live else None,
            lines=lines,
            banner=banner,
        )

    def _title(self, stream: ActionStream) -> tuple[str, str]:
        """The event that goes on, or is about to be one: it is certain only after min_event_s."""
        smoothed, tracker = stream.smoothed, stream.tracker
        if smoothed is None:
            return NOTHING, ""
        label = stream.current.label if stream.current else smoothed.label
        if not stream.current and (smoothed.score < tracker.enter or label in tracker.background):
            return NOTHING, ""
        told = self.loop.recognizer.judged(smoothed).told if label == smoothed.label else label
        return told, f"{round(100 * smoothed.probabilities([label])[0])}%"

    def _overlay(self, feed: Feed, size_px: tuple[int, int]) -> Overlay:
        """One for each source and size: it remembers what it has drawn on."""
        key = (id(feed), size_px)
        if key not in self._overlays:
            self._overlays[key] = Overlay(size_px, self.loop.recognizer.classes)
        return self._overlays[key]

    def _people_overlay(self, feed: Feed, size_px: tuple[int, int]) -> PeopleOverlay:
        key = (id(feed), size_px)
        if key not in self._people_overlays:
            self._people_overlays[key] = PeopleOverlay(size_px, self.loop.recognizer.classes)
        return self._people_overlays[key]

    def _events(self, feed: Feed) -> list[str]:
        recent = list(feed.stream.events)[-EVENTS_SHOWN:]
        return [
            f"{clock_text(event.start_s)} to {clock_text(event.end_s)}  {_who(event)}{event.label}"
            for event in reversed(recent)
        ]

    def _figures(self, feed: Feed) -> list[str]:
        p50, _ = self.loop.latency_ms()
        status = feed.source.status
        figures = f"{status.fps:.0f} fps, {p50:.0f} ms, {feed.dropped} dropped"
        return [feed.source.name, figures] if self._names else [figures]


def still_holds(feed: Feed) -> bool:
    """Does what was found in the last sample still hold for the newest frame? Not after a cut, nor
    after a gap: nobody may be marked where another picture showed somebody.
    """
    if feed.frame is None or feed.answered is None:
        return False
    if feed.frame is feed.answered:
        return True
    passed_s = feed.frame.time_s - feed.answered.time_s
    if not 0 <= passed_s <= feed.stream.looker.max_gap_s:
        return False
    return not is_cut(feed.answered.image, feed.frame.image)


def is_cut(before: Image, after: Image) -> bool:
    """Do two frames (H, W, 3) show different scenes? Their colours, coarsely, differ all over."""
    if before.shape != after.shape:
        return True
    small = [
        cv2.resize(image, CUT_PX, interpolation=cv2.INTER_AREA).astype(np.float32)
        for image in (before, after)
    ]
    differs = np.abs(small[0] - small[1]).max(-1) > CUT_LEVELS
    return bool(differs.mean() > CUT_SHARE)


def fitted(image: Image, size_px: tuple[int, int]) -> Image:
    """The picture at (width, height), its shape kept, with black bars."""
    width_px, height_px = size_px
    scale = min(width_px / image.shape[1], height_px / image.shape[0])
    inner = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    canvas = np.zeros((height_px, width_px, 3), np.uint8)
    left, top = (width_px - inner[0]) // 2, (height_px - inner[1]) // 2
    scaled = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    canvas[top : top + inner[1], left : left + inner[0]] = scaled
    return canvas


def _who(event: Event) -> str:
    return "" if event.person is None else f"{event.person}  "


def _moved(marks: Sequence[PersonMark], image: Image, shown: Image) -> list[PersonMark]:
    """The marks of a frame on the picture that `fitted` made of it."""
    height, width = image.shape[:2]
    scale = min(shown.shape[1] / width, shown.shape[0] / height)
    left = (shown.shape[1] - max(1, round(width * scale))) // 2
    top = (shown.shape[0] - max(1, round(height * scale))) // 2

    def place(mark: PersonMark) -> PersonMark:
        x0, y0, x1, y1 = (scale * side for side in mark.box)
        return replace(mark, box=(x0 + left, y0 + top, x1 + left, y1 + top))

    return [place(mark) for mark in marks]
