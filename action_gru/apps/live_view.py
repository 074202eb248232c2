"""The picture of a live loop: each source's newest frame with what is known of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from action_gru.apps.drawing import Area, cut
from action_gru.apps.live_loop import Feed, LiveLoop
from action_gru.apps.overlay import Overlay, marks_of, percent
from action_gru.core.text import clock_text
from action_gru.streaming import ActionStream
from action_gru.streaming.people import PeopleStream
from action_gru.timeline.events import SEVERAL
from action_gru.video import Image
from action_gru.views.cuts import is_cut

EVENTS_SHOWN = 3
TILE_PX = (640, 360)  # of each source, where there are several
NOTHING = ("nothing in particular", "")


class LiveView:
    """Draws the sources of a loop: one at its own size, several side by side."""

    def __init__(self, loop: LiveLoop) -> None:
        self.loop = loop
        # The newest one of each source: an overlay is of one size, and remembers what it drew on.
        self._overlays: dict[int, Overlay] = {}

    def draw(self, notes: Sequence[str] = ()) -> Image | None:
        """(H, W, 3) uint8 RGB; None before the first frame. notes: further lines of text."""
        tiles = [self._tile(feed, notes) for feed in self.loop.feeds]
        if len(tiles) == 1:
            return tiles[0]
        blank = np.zeros((TILE_PX[1], TILE_PX[0], 3), np.uint8)
        columns = math.ceil(math.sqrt(len(tiles)))
        shown = [blank if tile is None else tile for tile in tiles]
        shown += [blank] * (-len(shown) % columns)
        rows = [shown[start : start + columns] for start in range(0, len(shown), columns)]
        return np.vstack([np.hstack(row) for row in rows])

    def _tile(self, feed: Feed, notes: Sequence[str]) -> Image | None:
        if feed.frame is None:
            return None
        image, status, stream = feed.frame.image, feed.source.status, feed.stream
        size_px = (image.shape[1], image.shape[0]) if len(self.loop.feeds) == 1 else TILE_PX
        scale, area = fit(image, size_px)
        image = image if len(self.loop.feeds) == 1 else fitted(image, size_px)
        overlay = self._overlays.get(id(feed))
        if overlay is None or overlay.size_px != size_px:
            recognizer = self.loop.recognizer
            overlay = Overlay(size_px, recognizer.classes, recognizer.thresholds)
            self._overlays[id(feed)] = overlay
        draw, live = overlay.draw, status.state == "live"
        lines = [*self._lines(feed), *notes]
        banner = "" if live else status.detail
        if isinstance(stream, PeopleStream):
            known = live and still_holds(feed)
            marks = marks_of(stream.people, scale, area[:2]) if known else []
            return draw(image, lines=lines, banner=banner, people=marks)
        if not live:
            return draw(image, lines=lines, banner=banner)
        return draw(image, stream.smoothed, title=self._title(stream), lines=lines)

    def _title(self, stream: ActionStream) -> tuple[str, str]:
        """The current events, or those that may begin: certain only after min_event_s."""
        smoothed, labels = stream.smoothed, stream.tracker.likely()
        if smoothed is None or not labels:
            return NOTHING
        text = SEVERAL.join(labels)
        if labels == (smoothed.label,) and smoothed.active is None:
            text = self.loop.recognizer.judged(smoothed).display_label
        figure = percent(smoothed.probabilities(labels)[0]) if len(labels) == 1 else ""
        return text, figure

    def _lines(self, feed: Feed) -> list[str]:
        """The newest events, the source's name where there are several, and figures."""
        events = []
        for event in reversed(list(feed.stream.events)[-EVENTS_SHOWN:]):
            who = "" if event.person is None else f"{event.person}  "
            span = f"{clock_text(event.start_s)} to {clock_text(event.end_s)}"
            events.append(f"{span}  {who}{event.label}")
        names = [feed.source.name] if len(self.loop.feeds) > 1 else []
        fps, p50 = feed.source.status.fps, self.loop.latency_ms()[0]
        return [*events, *names, f"{fps:.0f} fps, {p50:.0f} ms, {feed.dropped} dropped"]


def still_holds(feed: Feed) -> bool:
    """Does what was found in the last sample still hold for the newest frame? Not after a cut, nor
    after a gap: a box of another picture would be wrong.
    """
    if feed.frame is None or feed.answered is None:
        return False
    if feed.frame is feed.answered:
        return True
    passed_s = feed.frame.time_s - feed.answered.time_s
    if not 0 <= passed_s <= feed.stream.sampler.max_gap_s:
        return False
    return not is_cut(feed.answered.image, feed.frame.image)


def fit(image: Image, size_px: tuple[int, int]) -> tuple[float, Area]:
    """How `fitted` scales and places a picture."""
    height, width = image.shape[:2]
    scale = min(size_px[0] / width, size_px[1] / height)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    return scale, ((size_px[0] - width) // 2, (size_px[1] - height) // 2, width, height)


def fitted(image: Image, size_px: tuple[int, int]) -> Image:
    """The picture at (width, height), its shape kept, with black bars."""
    _, area = fit(image, size_px)
    canvas = np.zeros((size_px[1], size_px[0], 3), np.uint8)
    cut(canvas, area)[:] = cv2.resize(image, area[2:], interpolation=cv2.INTER_AREA)
    return canvas
