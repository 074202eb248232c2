"""The picture of a live loop: each source's newest frame with what is known of it, in one image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.apps.feed import Feed
from action_gru.apps.live_loop import LiveLoop
from action_gru.apps.overlay import Overlay, clock_text
from action_gru.streaming import ActionStream

Image = NDArray[np.uint8]

EVENTS_SHOWN = 3
TILE_PX = (640, 360)  # of each source, where there are several
NOTHING = "nothing in particular"


class LiveView:
    """Draws the sources of a loop: one at its own size, several side by side."""

    def __init__(self, loop: LiveLoop) -> None:
        self.loop = loop
        self._overlays: dict[tuple[int, int], Overlay] = {}
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
        overlay = self._overlays.setdefault(size_px, Overlay(size_px))
        status = feed.source.status
        live = status.state == "live"
        return overlay.draw(
            image,
            feed.stream.smoothed if live else None,
            title=_title(feed.stream) if live else None,
            lines=[*self._events(feed), *self._figures(feed), *notes],
            banner="" if live else status.detail,
        )

    def _events(self, feed: Feed) -> list[str]:
        recent = list(feed.stream.events)[-EVENTS_SHOWN:]
        return [
            f"{clock_text(event.start_s)} to {clock_text(event.end_s)}  {event.label}"
            for event in reversed(recent)
        ]

    def _figures(self, feed: Feed) -> list[str]:
        p50, _ = self.loop.latency_ms()
        status = feed.source.status
        figures = f"{status.fps:.0f} fps, {p50:.0f} ms, {feed.dropped} dropped"
        return [feed.source.name, figures] if self._names else [figures]


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


def _title(stream: ActionStream) -> tuple[str, str]:
    """The event that goes on, or is about to be one: it is certain only after min_event_s."""
    smoothed, tracker = stream.smoothed, stream.tracker
    if smoothed is None:
        return NOTHING, ""
    label = stream.current.label if stream.current else smoothed.label
    if not stream.current and (smoothed.score < tracker.enter or label in tracker.background):
        return NOTHING, ""
    return label, f"{round(100 * dict(smoothed.top(len(smoothed.labels)))[label])}%"
