"""Cameras, files and network streams as frames, at the moment they arrive.

A thread reads, so that no frame waits in a queue. Knows nothing of who uses the frames.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal

from action_gru.core.errors import VideoError
from action_gru.video.file import VideoFile
from action_gru.video.frame import Frame, FrameReader, Image
from action_gru.video.limits import DecodeLimits
from action_gru.video.live_reader import open_live
from action_gru.video.pacer import Pacer
from action_gru.video.process_reader import open_stream, stream_lease
from action_gru.video.source import parse_source

FPS_WINDOW_S = 2.0
GRACE_S = 1.0  # what a source may take beyond its timeout to say why it does not open
SMALLEST_STEP_S = 0.001
PATIENCE_S = 0.5  # what a stream may take to end by itself, so that the server hears of it
LONGEST_GAP_S = 5.0  # a stream whose own times jump further starts its clock anew


@dataclass(frozen=True)
class LiveStatus:
    """How a source is doing. detail is for the picture; attempts counts since the last frame.

    crashes: how often the decoder of a stream ended by itself and was started anew.
    """

    state: Literal["opening", "live", "lost", "ended", "failed"]
    detail: str
    attempts: int = 0
    reconnects: int = 0
    crashes: int = 0
    frames: int = 0
    skipped: int = 0
    fps: float = 0.0


class LiveSource:
    """Frames of a camera, file or network stream as they arrive; a thread reads, the newest wins.

    on_frame runs in that thread and should return at once: put the frame where the next one
    replaces it. time_s of a camera or stream is the time of arrival since its first frame, so that
    an outage is a gap; of a file the file's own. A file keeps real time (pace) and leaves out
    (skipped) what is late by more than one frame; loop starts it over. A camera or stream that is
    lost is tried again after backoff_s (first, longest) seconds, max_retries times or for ever.
    A stream is decoded in a process of its own (limits.isolate), a camera in this one.
    """

    def __init__(
        self,
        source: str,
        *,
        on_frame: Callable[[Frame], None],
        open_timeout_s: float = 5.0,
        read_timeout_s: float = 5.0,
        pace: bool = True,
        loop: bool = False,
        max_retries: int | None = None,
        backoff_s: tuple[float, float] = (0.5, 10.0),
        limits: DecodeLimits | None = None,
    ) -> None:
        self._source = parse_source(source)
        self._on_frame = on_frame
        self._open_timeout_s = open_timeout_s
        self._read_timeout_s = read_timeout_s
        self._pace = pace
        self._loop = loop
        self._max_retries = max_retries
        self._backoff_s = backoff_s
        self._limits = limits or DecodeLimits()
        is_apart = self._source.kind == "stream" and self._limits.isolate
        self._lease = stream_lease() if is_apart else None
        self._status = LiveStatus("opening", f"opening {self._source.noun}")
        self._arrivals_s: deque[float] = deque(maxlen=1000)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._going = threading.Event()  # clear while it is paused
        self._going.set()
        self._settled = threading.Event()  # the first frame came, or the source failed
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._error_told = False
        self._began_s: float | None = None
        self._last_time_s = 0.0
        self._interval_s = 0.0

    @property
    def name(self) -> str:
        """The source without user and password."""
        return self._source.name

    @property
    def status(self) -> LiveStatus:
        now_s = time.monotonic()
        with self._lock:
            recent_s = [at_s for at_s in self._arrivals_s if now_s - at_s <= FPS_WINDOW_S]
            status = self._status
        if self._lease is not None:
            status = replace(status, crashes=self._lease.crashes)
        span_s = recent_s[-1] - recent_s[0] if recent_s else 0.0
        return replace(status, fps=(len(recent_s) - 1) / span_s if span_s > 0 else 0.0)

    def start(self) -> None:
        """Returns with the first frame, or without one where another thread closes it meanwhile.

        Raises VideoError where none comes in open_timeout_s.
        """
        if self._thread is not None or self._stop.is_set():
            raise RuntimeError("a LiveSource starts once, and not after close; make a new one")
        if self._lease is not None:
            self._lease.start()
        thread = threading.Thread(target=self._run, name=f"live {self.name}", daemon=True)
        with self._lock:  # whoever closes meanwhile finds it running, or not at all
            thread.start()
            self._thread = thread
        settled = False
        try:
            settled = self._settled.wait(self._open_timeout_s + GRACE_S)
        finally:
            if not settled:  # also when Ctrl-C ended the wait
                self._stop.set()
        if not settled:
            raise VideoError(
                f"{self._source.noun}: no picture within {self._open_timeout_s:g} s (timed out); "
                "check that it is on and sending"
            )
        if self._began_s is None:
            self.close()
            self.check()

    def pause(self, paused: bool) -> None:
        """Deliver nothing until it is told to go on. A file waits where it stands; of a camera or
        stream the frames that come meanwhile are left out, and are a gap.
        """
        if paused:
            self._going.clear()
        else:
            self._going.set()

    def check(self) -> None:
        """Raise what ended the source: an error of on_frame, or VideoError once retries ran out."""
        if self._error is not None:
            self._error_told = True
            raise self._error

    def close(self) -> None:
        """End the thread and release the device. Never raises; no frame comes afterwards."""
        self._stop.set()
        self._going.set()
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            if self._lease is not None:
                thread.join(PATIENCE_S)
                if thread.is_alive():
                    self._lease.stop()
            thread.join(max(self._open_timeout_s, self._read_timeout_s) + GRACE_S)

    def __enter__(self) -> LiveSource:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes; an error of the source that nobody has seen is raised, if none is on its way."""
        self.close()
        if kind is None and not self._error_told:
            self.check()

    def _run(self) -> None:
        try:
            if self._source.kind == "file":
                self._play_file()
            else:
                self._follow()
            self._show(state="ended", detail=f"{self._source.noun} has ended")
        except BaseException as error:
            self._error = error
            self._show(state="failed", detail=str(error) or type(error).__name__)
        finally:
            if self._lease is not None:
                self._lease.release()
            self._settled.set()

    def _show(self, **changes: Any) -> None:
        with self._lock:
            self._status = replace(self._status, **changes)

    def _skip(self) -> None:
        self._show(skipped=self._status.skipped + 1)

    def _play_file(self) -> None:
        """Deliver the file's frames, over and over if it loops."""
        pacer = Pacer(self._stop)
        with VideoFile(self._source.address, limits=self._limits) as video:
            go_on = True
            while go_on and not self._stop.is_set():
                self._play_once(video, pacer)
                go_on = self._loop

    def _play_once(self, video: VideoFile, pacer: Pacer) -> None:
        offset_s = 0.0 if self._began_s is None else None

        def wanted(time_s: float) -> bool:
            nonlocal offset_s
            if offset_s is None:  # a new lap goes on one frame after the last
                offset_s = self._last_time_s + self._interval_s - time_s
            self._interval_s = 1 / video.fps
            self._began_s = self._began_s or time.monotonic()
            self._last_time_s = offset_s + time_s
            if not self._pace or pacer.admit(self._last_time_s, self._interval_s):
                began_s = time.monotonic()
                self._going.wait()
                pacer.rest(time.monotonic() - began_s)
                return True
            self._skip()
            return self._stop.is_set()

        for frame in video.frames(wanted):
            if self._stop.is_set():
                return
            self._deliver(self._last_time_s, frame.image)

    def _follow(self) -> None:
        """Deliver a camera's or stream's frames, from one connection after the other."""
        reader: FrameReader | None = self._connect()
        while reader is not None:
            try:
                span_s = self._read(reader)
            finally:
                reader.close()
            # A camera that declares a length by mistake must not count as a recording that ended.
            length_s = reader.info.length_s if reader.info.waits else None
            if length_s is not None and span_s >= length_s - 1.0:
                return
            reader = None if self._stop.is_set() else self._reconnect()

    def _connect(self) -> FrameReader:
        timeouts_s = self._open_timeout_s, self._read_timeout_s
        if self._lease is not None:
            return open_stream(self._lease, self._source, *timeouts_s, self._limits)
        return open_live(self._source, *timeouts_s, self._limits.max_pixels)

    def _read(self, reader: FrameReader) -> float:
        """Deliver frames until none comes; returns how many seconds of the stream that was."""
        pacer = Pacer(self._stop, LONGEST_GAP_S)
        info = reader.info
        position_s: float | None = info.first_s
        last_s = info.first_s
        while position_s is not None and not self._stop.is_set():
            last_s = position_s
            due = not info.waits or pacer.admit(position_s, 1 / info.fps)
            if due and self._going.is_set():
                now_s = time.monotonic()
                try:
                    image = reader.retrieve()
                except VideoError:
                    break
                self._deliver(self._time_of(now_s), image)
            elif not due:
                self._skip()
            try:
                position_s = reader.grab()
            except VideoError:
                break
        return last_s - info.first_s

    def _time_of(self, now_s: float) -> float:
        """Seconds since the first frame; grows even where the clock is coarse."""
        if self._began_s is None:
            self._began_s = now_s
            return 0.0
        self._last_time_s = max(now_s - self._began_s, self._last_time_s + SMALLEST_STEP_S)
        return self._last_time_s

    def _reconnect(self) -> FrameReader | None:
        """Try until the source is back; None when closed. Raises VideoError after max_retries."""
        wait_s, longest_s = self._backoff_s
        lost = f"{self._source.kind} lost, trying again"
        reason = "it gave no more pictures; check that it is on"
        for attempt in itertools.count(1):
            if self._max_retries is not None and attempt > self._max_retries:
                break
            self._show(
                state="lost", detail=f"{lost} in {wait_s:g} s (attempt {attempt})", attempts=attempt
            )
            if self._stop.wait(wait_s):
                return None
            self._show(detail=f"{lost} now (attempt {attempt})")
            try:
                reader = self._connect()
            except VideoError as error:
                reason = str(error)
                wait_s = min(wait_s * 2, longest_s)
            else:
                self._show(reconnects=self._status.reconnects + 1)
                return reader
        raise VideoError(
            f"{self._source.noun} was lost and did not come back in {self._max_retries} tries; "
            f"the last: {reason}"
        )

    def _deliver(self, time_s: float, image: Image) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            self._arrivals_s.append(time.monotonic())
            status = self._status
            index = status.frames + status.skipped
            self._status = replace(
                status, state="live", detail="", attempts=0, frames=status.frames + 1
            )
        self._settled.set()
        self._on_frame(Frame(index, time_s, image))
