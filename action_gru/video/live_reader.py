"""One open camera or network stream. Knows nothing of threads or of trying again.

A camera is read by OpenCV, a stream by PyAV, which prefers RTSP over TCP. Both give up by
themselves.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import av
import cv2
import numpy as np

from action_gru.core.errors import VideoError
from action_gru.video.errors import why_no_camera, why_no_stream
from action_gru.video.file_reader import (
    DEFAULT_FPS,
    believable_fps,
    declared_length_s,
    rate_of,
)
from action_gru.video.frame import FrameReader, Image, VideoInfo
from action_gru.video.picture import PictureMaker
from action_gru.video.source import Source

CAMERA_APIS = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION}
ERRORS = (av.FFmpegError, OSError, ValueError)


class CameraReader:
    """A camera through OpenCV. Its times are the camera's own, in seconds."""

    def __init__(self, address: str | int, api: int) -> None:
        cv2.utils.logging.setLogLevel(2)  # errors only: what does not open gets a typed error
        self._capture = cv2.VideoCapture()
        is_open = bool(self._capture.open(address, api))
        fps = believable_fps(self._capture.get(cv2.CAP_PROP_FPS) if is_open else 0.0)
        sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        width_px, height_px = (int(self._capture.get(side)) if is_open else 0 for side in sides)
        self.info = VideoInfo(0.0, fps, (width_px, height_px))

    def grab(self) -> float | None:
        if not self._capture.grab():  # False also where nothing opened
            return None
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0

    def retrieve(self) -> Image:
        ok, bgr = self._capture.retrieve()
        if not ok:
            raise VideoError("a frame was announced by the camera but could not be converted")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def close(self) -> None:
        self._capture.release()


class StreamReader:
    """A stream through PyAV."""

    def __init__(
        self, address: str, open_timeout_s: float, read_timeout_s: float, max_pixels: int
    ) -> None:
        self._read_timeout_s = read_timeout_s
        self._frames: deque[Any] = deque()  # one packet can hold several
        self._frame: Any = None
        self._pictures = PictureMaker()
        self._container: Any = None
        self._packets: Iterator[Any] = iter(())
        self.info = VideoInfo(0.0, DEFAULT_FPS, (0, 0))
        options = {"rtsp_flags": "prefer_tcp"} if address.lower().startswith("rtsp") else {}
        timeouts_s = (open_timeout_s, read_timeout_s)
        try:
            self._container = av.open(address, options=options, timeout=timeouts_s)
        except ERRORS:  # the error quotes the address, password included; `open_live` says why
            return
        for stream in self._container.streams.video[:1]:
            # Slice threads give wrong pictures over RTSP, frame threads hold frames back.
            stream.thread_type = "NONE"
            stream.codec_context.options = {"max_pixels": str(max_pixels)}
            size_px = stream.codec_context.width, stream.codec_context.height
            self.info = replace(self.info, fps=rate_of(stream), size_px=size_px)
            self._packets = self._container.demux(stream)
        length_s = declared_length_s(self._container)
        self.info = replace(self.info, length_s=length_s, waits=waits(address, length_s))

    def grab(self) -> float | None:
        give_up_s = time.monotonic() + self._read_timeout_s
        while not self._frames:
            try:
                packet = next(self._packets, None)
            except ERRORS:
                return None
            if packet is None or time.monotonic() > give_up_s:
                return None
            try:
                self._frames.extend(packet.decode())
            except ERRORS:  # a damaged packet; the next may be whole
                continue
        self._frame = self._frames.popleft()
        return float(self._frame.time or 0.0)

    def retrieve(self) -> Image:
        try:
            return self._pictures.picture(self._frame)
        except ERRORS as error:
            raise VideoError(f"a frame of the stream cannot be converted ({error})") from error

    def close(self) -> None:
        if self._container is not None:
            self._container.close()


def open_live(
    source: Source, open_timeout_s: float, read_timeout_s: float, max_pixels: int
) -> FrameReader:
    """A camera's or stream's reader, which stands on the first frame.

    max_pixels: of a frame. Raises VideoError with the reason where none comes; it names the source,
    never a password.
    """
    began_s = time.monotonic()
    reader = _reader(source, open_timeout_s, read_timeout_s, max_pixels)
    width_px, height_px = reader.info.size_px
    if width_px * height_px > max_pixels:
        reader.close()
        raise VideoError(
            f"{source.noun} announces frames of {width_px} x {height_px}, more than "
            f"{max_pixels:,} pixels; have it send smaller ones, or raise decoding.max_pixels"
        )
    first_s = reader.grab()
    if first_s is not None:
        reader.info = replace(reader.info, first_s=first_s)
        return reader
    reader.close()
    if source.kind == "camera":
        raise VideoError(f"{source.noun} {why_no_camera(source)}")
    waited_s = time.monotonic() - began_s
    timeout_s = min(open_timeout_s, read_timeout_s)
    raise VideoError(f"{source.name}: {why_no_stream(source, waited_s, timeout_s)}")


def _reader(
    source: Source, open_timeout_s: float, read_timeout_s: float, max_pixels: int
) -> CameraReader | StreamReader:
    if source.kind == "camera":
        index = int(source.address) if source.address.isdecimal() else source.address
        return CameraReader(index, CAMERA_APIS.get(sys.platform, cv2.CAP_ANY))
    return StreamReader(source.address, open_timeout_s, read_timeout_s, max_pixels)


def waits(address: str, length_s: float | None) -> bool:
    """Whether a server sends as fast as it is read: an HTTP recording, or HLS."""
    parts = urlsplit(address)
    is_http = parts.scheme.lower() in ("http", "https")
    return is_http and (length_s is not None or parts.path.lower().endswith(".m3u8"))
