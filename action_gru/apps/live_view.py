"""The picture of a live loop: each source's newest frame with what is known of it. Records it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from action_gru.apps.checks import check_display
from action_gru.apps.live_loop import Feed, LiveLoop
from action_gru.apps.overlay import Overlay
from action_gru.apps.people_overlay import PeopleOverlay, PersonMark, marks_of
from action_gru.core.text import clock_text
from action_gru.streaming import ActionStream
from action_gru.streaming.people import PeopleStream
from action_gru.timeline import Event
from action_gru.video import Image, VideoWriter

EVENTS_SHOWN = 3
QUIT = frozenset({"q", "Q", "\x1b"})
TILE_PX = (640, 360)  # of each source, where there are several
NOTHING = "nothing in particular"
# A cut: over half of the tiles differ by so much, of 255. People who move change few.
CUT_PX, CUT_LEVELS, CUT_SHARE = (8, 8), 24, 0.5
RECORDED_FPS = 15.0
LONGEST_FILL_S = 2.0  # a longer stretch without pictures is left out of the recording
Drawing = TypeVar("Drawing", Overlay, PeopleOverlay)


class LiveView:
    """Draws the sources of a loop: one at its own size, several side by side."""

    def __init__(self, loop: LiveLoop) -> None:
        self.loop = loop
        # One for each source and size: an overlay remembers what it has drawn on.
        self._overlays: dict[tuple[int, tuple[int, int]], Overlay | PeopleOverlay] = {}
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
            overlay = self._overlay(feed, size_px, PeopleOverlay)
            return overlay.draw(image, marks, lines=lines, banner=banner)
        return self._overlay(feed, size_px, Overlay).draw(
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
        told = (
            self.loop.recognizer.judged(smoothed).display_label
            if label == smoothed.label
            else label
        )
        return told, f"{round(100 * smoothed.probabilities([label])[0])}%"

    def _overlay(self, feed: Feed, size_px: tuple[int, int], kind: type[Drawing]) -> Drawing:
        overlay = self._overlays.get((id(feed), size_px))
        if not isinstance(overlay, kind):
            overlay = kind(size_px, self.loop.recognizer.classes)
            self._overlays[id(feed), size_px] = overlay
        return overlay

    def _events(self, feed: Feed) -> list[str]:
        recent = list(feed.stream.events)[-EVENTS_SHOWN:]
        return [
            f"{clock_text(event.start_s)} to {clock_text(event.end_s)}  {_named(event)}"
            for event in reversed(recent)
        ]

    def _figures(self, feed: Feed) -> list[str]:
        p50, _ = self.loop.latency_ms()
        status = feed.source.status
        figures = f"{status.fps:.0f} fps, {p50:.0f} ms, {feed.dropped} dropped"
        return [feed.source.name, figures] if self._names else [figures]


class Recorder:
    """A recording at a fixed rate: a picture is repeated until the next one comes.

    The file appears when `close` is called, if there was a picture. All have the first one's size.
    """

    def __init__(self, path: Path, now_s: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.frames = 0
        self._now_s = now_s
        self._writer: VideoWriter | None = None
        self._last: Image | None = None
        self._next_s: float | None = None  # when the next one is due; None: with the next picture

    def add(self, image: Image) -> None:
        """Show a picture (H, W, 3) uint8 RGB from now on."""
        now_s = self._now_s()
        if self._writer is None:
            writer = VideoWriter(self.path, (image.shape[1], image.shape[0]), RECORDED_FPS)
            self._writer = writer.__enter__()
        self._fill(now_s)
        if self._next_s is None or now_s - self._next_s > LONGEST_FILL_S:
            self._next_s = now_s
        width_px, height_px = self._writer.size_px
        fits = image.shape[:2] == (height_px, width_px)
        self._last = image if fits else fitted(image, (width_px, height_px))

    def pause(self) -> None:
        """The last picture was shown until now; the recording goes on with the next one."""
        self._fill(self._now_s())
        self._next_s = None

    def close(self) -> int:
        """Finish the file; the number of frames in it."""
        if self._writer is not None:
            if self._last is not None:
                self._write(self._last)
            self._writer.__exit__(None, None, None)
            self._writer = None
        return self.frames

    def discard(self) -> None:
        """Leave nothing behind."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.discard()

    def _fill(self, now_s: float) -> None:
        """Repeat the last picture up to now, unless that is too long."""
        if self._last is None or self._next_s is None or now_s - self._next_s > LONGEST_FILL_S:
            return
        while self._next_s + 1 / RECORDED_FPS <= now_s:
            self._write(self._last)
            self._next_s += 1 / RECORDED_FPS

    def _write(self, image: Image) -> None:
        assert self._writer is not None
        self._writer.write(image)
        self.frames += 1


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
    scale, left, top = _placed(image, size_px)
    inner = _scaled_px(image, scale)
    canvas = np.zeros((size_px[1], size_px[0], 3), np.uint8)
    scaled = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    canvas[top : top + inner[1], left : left + inner[0]] = scaled
    return canvas


def _placed(image: Image, size_px: tuple[int, int]) -> tuple[float, int, int]:
    """How `fitted` scales a picture, and its left and upper edge."""
    scale = min(size_px[0] / image.shape[1], size_px[1] / image.shape[0])
    inner = _scaled_px(image, scale)
    return scale, (size_px[0] - inner[0]) // 2, (size_px[1] - inner[1]) // 2


def _scaled_px(image: Image, scale: float) -> tuple[int, int]:
    return max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))


def _named(event: Event) -> str:
    return event.label if event.person is None else f"{event.person}  {event.label}"


def _moved(marks: Sequence[PersonMark], image: Image, shown: Image) -> list[PersonMark]:
    """The marks of a frame on the picture that `fitted` made of it."""
    scale, left, top = _placed(image, (shown.shape[1], shown.shape[0]))

    def place(mark: PersonMark) -> PersonMark:
        x0, y0, x1, y1 = (scale * side for side in mark.box)
        return replace(mark, box=(x0 + left, y0 + top, x1 + left, y1 + top))

    return [place(mark) for mark in marks]


class Window:
    """A window on the screen: shows pictures, reads keys. Use as a context manager.

    Raises VideoError where no window can be opened.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._sized = False

    def __enter__(self) -> Window:
        check_display()
        import matplotlib  # takes a while, and who has no display need not wait for it

        # OpenCV's Qt brings no fonts and says so at every window; ours are matplotlib's.
        os.environ["QT_QPA_FONTDIR"] = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        cv2.namedWindow(self.title, flags)
        return self

    def __exit__(self, *exception: object) -> None:
        cv2.destroyAllWindows()

    def show(self, image: Image) -> None:
        """image (H, W, 3) uint8 RGB."""
        if not self._sized:
            cv2.resizeWindow(self.title, image.shape[1], image.shape[0])
            self._sized = True
        cv2.imshow(self.title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def key(self) -> str:
        """The key that was pressed, or nothing; 'q' when the window was closed."""
        code = cv2.waitKey(1)
        if cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        return chr(code & 0xFF) if code >= 0 else ""
