"""Cameras, files and network streams as frames, at the moment they arrive.

A thread reads, so that no frame waits in a queue. Knows nothing of who uses the frames.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from action_gru.core.errors import VideoError
from action_gru.video.clock import Pacer
from action_gru.video.decoder_process import (
    DecoderEndedError,
    DecoderProcess,
    ProcessReader,
    take_process,
)
from action_gru.video.file import open_file
from action_gru.video.frame import DecodeLimits, Frame, FrameReader, Image, VideoInfo
from action_gru.video.live_reader import open_live, parse_source

FPS_WINDOW_S = 2.0
GRACE_S = 1.0  # what a source may take beyond its timeout to say why it does not open
SMALLEST_STEP_S = 0.001
PATIENCE_S = 0.5  # what a stream may take to end by itself, so that the server hears of it
LONGEST_GAP_S = 5.0  # a stream whose own times jump further starts its clock anew

T = TypeVar("T")


@dataclass(frozen=True)
class LiveStatus:
    """How a source is doing. detail is for the picture; attempts counts since the last frame.

    crashes: how often the decoder of a stream ended by itself and was started anew. form: what the
    connection announced, '640 x 480, 25 fps, h264 yuv420p'.
    """

    state: Literal["opening", "live", "lost", "ended", "failed"]
    detail: str
    attempts: int = 0
    reconnects: int = 0
    crashes: int = 0
    frames: int = 0
    skipped: int = 0
    fps: float = 0.0
    form: str = ""


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
        frame_rate: float | None = None,
    ) -> None:
        """frame_rate: of a source that is a folder of frames."""
        self._frame_rate = frame_rate
        self._source = parse_source(source)
        self._is_file = self._source.kind == "file"
        self._on_frame = on_frame
        self._timeouts_s = (open_timeout_s, read_timeout_s)
        self._pace, self._loop = pace, loop
        self._max_retries, self._backoff_s = max_retries, backoff_s
        self._limits = limits or DecodeLimits()
        self._has_process = self._source.kind == "stream" and self._limits.isolate
        self._process: DecoderProcess | None = None  # of the connection
        self._status = LiveStatus("opening", f"opening {self._source.noun}")
        self._arrivals_s: deque[float] = deque(maxlen=1000)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._going = threading.Event()  # clear while it is paused
        self._going.set()
        self._started = threading.Event()  # the first frame came, or the source failed
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._error_raised = False
        self._pacer = Pacer(self._stop)  # of a file's laps, or of the connection
        self._began_s: float | None = None  # when the first frame arrived
        self._last_time_s = -math.inf

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
        span_s = recent_s[-1] - recent_s[0] if recent_s else 0.0
        return replace(status, fps=(len(recent_s) - 1) / span_s if span_s > 0 else 0.0)

    def start(self) -> None:
        """Returns with the first frame, or without one where another thread closes it meanwhile.

        Raises VideoError where none comes in open_timeout_s.
        """
        if self._thread is not None or self._stop.is_set():
            raise RuntimeError("a LiveSource starts once, and not after close; make a new one")
        if self._has_process:
            self._process = take_process()  # before the time runs
        thread = threading.Thread(target=self._run, name=f"live {self.name}", daemon=True)
        with self._lock:  # a concurrent close finds it running, or not at all
            thread.start()
            self._thread = thread
        try:
            if not self._started.wait(self._timeouts_s[0] + GRACE_S):
                raise VideoError(
                    f"{self._source.noun}: no picture within {self._timeouts_s[0]:g} s (timed "
                    "out); check that it is on and sending"
                )
        except BaseException:  # also Ctrl-C
            self._stop.set()
            raise
        if not self._status.frames:
            self.close()
            self.check()

    def pause(self, paused: bool) -> None:
        """Deliver nothing until resumed. A file waits at its place; of a camera or stream the
        frames that come meanwhile are left out, and are a gap.
        """
        change = self._going.clear if paused else self._going.set
        change()

    def check(self) -> None:
        """Raise what ended the source: an error of on_frame, or VideoError once retries ran out."""
        if self._error is not None:
            self._error_raised = True
            raise self._error

    def close(self) -> None:
        """End the thread and release the device. Never raises; no frame comes afterwards."""
        self._stop.set()
        self._going.set()
        with self._lock:
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        if self._has_process:
            thread.join(PATIENCE_S)
            process = self._process
            if process is not None and thread.is_alive():
                process.kill()
        thread.join(max(self._timeouts_s) + GRACE_S)

    def __enter__(self) -> LiveSource:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Closes; an unseen error of the source is raised, if none is on its way."""
        self.close()
        if kind is None and not self._error_raised:
            self.check()

    def _run(self) -> None:
        try:
            self._deliver_all()
            self._show(state="ended", detail=f"{self._source.noun} has ended")
        except BaseException as error:
            self._error = error
            self._show(state="failed", detail=str(error) or type(error).__name__)
        finally:
            self._started.set()

    def _show(self, **changes: Any) -> None:
        with self._lock:
            self._status = replace(self._status, **changes)

    def _deliver_all(self) -> None:
        """Deliver the laps of a file, or the frames of one connection after the other."""
        reader: FrameReader | None = self._open()
        while reader is not None:
            try:
                has_ended = self._read(reader)
            finally:
                self._let_go()
                reader.close()
            if self._stop.is_set() or (has_ended and not (self._is_file and self._loop)):
                return
            reader = self._open() if has_ended else self._reconnect()

    def _open(self) -> FrameReader:
        source, limits = self._source, self._limits
        if self._is_file:
            return open_file(Path(source.address), None, limits, self._frame_rate)
        self._pacer = Pacer(self._stop, LONGEST_GAP_S)
        work = partial(open_live, source, self._timeouts_s, limits.max_pixels)
        if not self._has_process:
            return work()
        process = self._process = self._process or take_process()
        began_s = time.monotonic()
        try:
            return ProcessReader(process, work, source.name, limits)
        except VideoError as error:
            self._let_go()
            if not isinstance(error, DecoderEndedError):
                raise
            raise VideoError(
                f"{source.name}: its decoder ended after {time.monotonic() - began_s:.1f} s "
                f"without a picture ({error.how}); check what the server sends"
            ) from None

    def _let_go(self) -> None:
        """Leave the process, which is idle from now on, or has ended."""
        process, self._process = self._process, None
        if process is not None and process.has_crashed:
            self._show(crashes=self._status.crashes + 1)

    def _read(self, reader: FrameReader) -> bool:
        """Deliver frames until none comes. Returns whether a file or recording ended there."""
        info = reader.info
        self._show(form=form_of(info))
        interval_s, offset_s = 1 / info.fps, 0.0
        if self._is_file and self._last_time_s > -math.inf:  # goes on one frame after the last lap
            offset_s = self._last_time_s + interval_s - info.first_s
        is_paced = self._pace if self._is_file else info.waits
        position_s: float | None = info.first_s
        last_s = info.first_s
        while position_s is not None and not self._stop.is_set():
            last_s = position_s
            if is_paced and not self._pacer.admit(offset_s + position_s, interval_s):
                self._show(skipped=self._status.skipped + 1)
            elif self._goes_on():
                time_s = offset_s + position_s if self._is_file else self._arrival_s()
                image = self._unless_lost(reader.retrieve)
                if image is None:
                    break
                self._deliver(time_s, image)
            position_s = self._unless_lost(reader.grab)
        if self._is_file:
            self._last_time_s = offset_s + last_s
            return True
        # A camera that declares a length by mistake must not count as a recording that ended.
        length_s = info.length_s if info.waits else None
        return length_s is not None and last_s - info.first_s >= length_s - 1.0

    def _goes_on(self) -> bool:
        """Whether the source is not paused; a file waits until it is resumed."""
        if self._is_file:
            began_s = time.monotonic()
            self._going.wait()
            self._pacer.rest(time.monotonic() - began_s)
        return self._going.is_set()

    def _unless_lost(self, read: Callable[[], T | None]) -> T | None:
        """What is read; None where a camera or stream breaks off."""
        try:
            return read()
        except VideoError:
            if self._is_file:
                raise
            return None

    def _arrival_s(self) -> float:
        """Seconds since the first frame; grows even where the clock is coarse."""
        now_s = time.monotonic()
        self._began_s = now_s if self._began_s is None else self._began_s
        self._last_time_s = max(now_s - self._began_s, self._last_time_s + SMALLEST_STEP_S)
        return self._last_time_s

    @property
    def form(self) -> str:
        """`status.form`, at no cost: it changes only between two frames."""
        return self._status.form

    def _reconnect(self) -> FrameReader | None:
        """Try until the source is back; None when closed. Raises VideoError after max_retries."""
        wait_s, longest_s = self._backoff_s
        lost = f"{self._source.kind} lost, trying again"
        reason = "it gave no more pictures; check that it is on"
        for attempt in itertools.islice(itertools.count(1), self._max_retries):
            detail = f"{lost} in {wait_s:g} s (attempt {attempt})"
            self._show(state="lost", detail=detail, attempts=attempt)
            if self._stop.wait(wait_s):
                return None
            self._show(detail=f"{lost} now (attempt {attempt})")
            try:
                reader = self._open()
            except VideoError as error:
                reason, wait_s = str(error), min(wait_s * 2, longest_s)
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
            was = self._status
            self._status = replace(was, state="live", detail="", attempts=0, frames=was.frames + 1)
        self._started.set()
        self._on_frame(Frame(was.frames + was.skipped, time_s, image))


def form_of(info: VideoInfo) -> str:
    """What a connection announces of itself: size, rate, codec and pixel format.

    The rate to two digits: it is an estimate, which differs a little from connection to connection.
    """
    size = f"{info.size_px[0]} x {info.size_px[1]}" if all(info.size_px) else ""
    return ", ".join(filter(None, (size, f"{float(f'{info.fps:.2g}'):g} fps", info.codec)))
