"""Writes a video of each event, with the seconds before and after it.

The last pictures of each source stay in memory as JPEG, scaled and at a limited rate. A thread of
its own encodes them, so that whoever reads the source only hands them over.
"""

from __future__ import annotations

import json
import os
import queue
import re
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.apps.sinks.message import Message
from action_gru.apps.sinks.worker import RefusedError, Worker
from action_gru.config.sinks import ClipSinkSection
from action_gru.core.errors import VideoError
from action_gru.core.files import write_atomically
from action_gru.video import Frame, Image, VideoWriter

QUALITY = 85  # of the JPEGs
HANDED_OVER = 4  # pictures that wait for the encoder, of all sources
# How much longer than a clip pictures stay: an event is known some seconds after it began.
LATE_S = 10.0
WAIT_S = 1.0
LONGEST_NAME = 60
NICE = 10


@dataclass(frozen=True)
class Cut:
    """A finished clip: pictures as JPEG with their times, in order, and its event's message."""

    message: Message
    pictures: list[tuple[float, NDArray[np.uint8]]]

    @property
    def size_bytes(self) -> int:
        return sum(jpeg.nbytes for _, jpeg in self.pictures)


@dataclass
class _Ring:
    """The last pictures of one source: at most span_s of them, and size_bytes."""

    span_s: float
    size_bytes: float
    pictures: deque[tuple[float, NDArray[np.uint8]]] = field(default_factory=deque)
    held_bytes: int = 0

    def add(self, time_s: float, jpeg: NDArray[np.uint8]) -> None:
        if self.pictures and time_s <= self.pictures[-1][0]:  # its clock began anew
            self.pictures.clear()
            self.held_bytes = 0
        self.pictures.append((time_s, jpeg))
        self.held_bytes += jpeg.nbytes
        while self.pictures[0][0] < time_s - self.span_s or self.held_bytes > self.size_bytes:
            self.held_bytes -= self.pictures.popleft()[1].nbytes
            if not self.pictures:
                return


@dataclass
class _Wanted:
    """A clip to be: from begin_s, to until_s of its source's clock."""

    message: Message
    begin_s: float
    until_s: float


class ClipRecorder:
    """Takes pictures and messages, and gives each event's clip to a worker once it is complete.

    waits: the source waits for the encoder, as where a file is read as fast as possible; else a
    picture that comes too soon is left out and counted as `skipped`.
    """

    def __init__(self, settings: ClipSinkSection, worker: Worker[Cut], waits: bool) -> None:
        self._settings, self._worker, self._waits = settings, worker, waits
        self.skipped = 0
        self._fresh: queue.Queue[tuple[str, Frame] | None] = queue.Queue(HANDED_OVER)
        self._due_s: dict[str, float] = {}
        self._rings: dict[str, _Ring] = {}
        self._wanted: dict[str, _Wanted] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._encode, name="sink clip pictures", daemon=True)
        self._thread.start()

    def picture(self, source: str, frame: Frame) -> None:
        """Show a frame; called for every one, by the thread that reads the source."""
        step_s, due_s = 1 / self._settings.fps, self._due_s.get(source, 0.0)
        if due_s - 2 * step_s < frame.time_s < due_s - 1e-3:
            return
        self._due_s[source] = max(min(due_s, frame.time_s) + step_s, frame.time_s)
        try:
            self._fresh.put((source, frame), block=self._waits, timeout=WAIT_S)
        except queue.Full:
            self.skipped += 1

    def take(self, message: Message) -> None:
        """The start of an event, or its end."""
        settings = self._settings
        with self._lock:
            begin_s = max(0.0, message["start_s"] - settings.before_s)
            wanted = self._wanted.setdefault(
                message["id"], _Wanted(message, begin_s, begin_s + settings.longest_s)
            )
            if message["state"] == "end":
                wanted.message = message
                wanted.until_s = min(wanted.until_s, message["end_s"] + settings.after_s)

    def close(self) -> None:
        """Cut what is wanted with what is there."""
        with suppress(queue.Full):  # the encoder hangs: what is there is cut all the same
            self._fresh.put(None, timeout=WAIT_S)
            self._thread.join(WAIT_S)
        with self._lock:
            wanted, self._wanted = list(self._wanted.values()), {}
        for one in wanted:
            self._cut(one)

    def _encode(self) -> None:
        give_way()
        while (fresh := self._fresh.get()) is not None:
            source, frame = fresh
            try:
                jpeg = _jpeg(frame.image, self._settings.width_px)
            except (cv2.error, VideoError, MemoryError):
                self.skipped += 1
                continue
            with self._lock:
                ring = self._rings.get(source)
                if ring is None:
                    span_s = self._settings.longest_s + LATE_S
                    ring = self._rings[source] = _Ring(span_s, 1e6 * self._settings.memory_mb)
                ring.add(frame.time_s, jpeg)
                ready = [
                    key
                    for key, one in self._wanted.items()
                    if one.message["source"] == source and frame.time_s > one.until_s
                ]
                cuts = [self._wanted.pop(key) for key in ready]
            for one in cuts:
                self._cut(one)

    def _cut(self, wanted: _Wanted) -> None:
        with self._lock:
            ring = self._rings.get(wanted.message["source"])
            pictures = [
                one
                for one in (ring.pictures if ring else ())
                if wanted.begin_s <= one[0] <= wanted.until_s
            ]
        self._worker.put(Cut(wanted.message, pictures))


class ClipSink:
    """Writes a cut as FOLDER/TIME_LABEL_ID.mp4, with its message beside it as .json."""

    def __init__(self, settings: ClipSinkSection) -> None:
        self._folder = settings.path
        self._fps = settings.fps

    def deliver(self, item: Cut, is_old: bool) -> None:
        give_way()
        path = self._folder / f"{_name(item.message)}.mp4"
        if not item.pictures:
            raise RefusedError(f"{path}: no picture was left of it; raise memory_mb or longest_s")
        first = _image(item.pictures[0][1])
        size_px = (first.shape[1], first.shape[0])
        with VideoWriter(path, size_px, self._fps) as writer:
            for time_s, jpeg in item.pictures:
                image = _image(jpeg)
                fits = image.shape == first.shape  # a source may come back with another size
                writer.write(image if fits else cv2.resize(image, size_px), time_s)
        facts = item.message | {"clip_start_s": round(item.pictures[0][0], 3)}
        write_atomically(path.with_suffix(".json"), f"{json.dumps(facts)}\n".encode())

    def look_after(self) -> None:
        """Nothing is open between two clips."""

    def close(self) -> None:
        """Nothing is open."""


def give_way() -> None:
    """Let answers go before clips: from here on this thread has less of the processor (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _jpeg(image: Image, width_px: int) -> NDArray[np.uint8]:
    """The picture (H, W, 3) RGB, no wider than that, as the bytes of a JPEG."""
    height, width = image.shape[:2]
    if width > width_px:
        size_px = (width_px, max(2, round(height * width_px / width)))
        image = np.asarray(cv2.resize(image, size_px, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise VideoError("a picture could not be made a JPEG")
    return np.asarray(jpeg, np.uint8).reshape(-1)


def _image(jpeg: NDArray[np.uint8]) -> Image:
    return np.asarray(cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


def _name(message: Message) -> str:
    """2026-11-29T22-04-05_fall_1a2b3c4d, by this machine's clock."""
    at = datetime.fromisoformat(message["start_utc"]).astimezone()
    label = re.sub(r"[^\w-]+", "_", message["label"])[:LONGEST_NAME]
    return f"{at:%Y-%m-%dT%H-%M-%S}_{label}_{message['id'][:8]}"


def names_of(sources: Sequence[str]) -> tuple[str, ...]:
    """The sources' names, each its own: a second 'a.mp4' is 'a.mp4 (2)'."""
    found: list[str] = []
    for source in sources:
        name, count = source, 2
        while name in found:
            name, count = f"{source} ({count})", count + 1
        found.append(name)
    return tuple(found)
