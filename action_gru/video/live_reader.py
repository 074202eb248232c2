"""Cameras and network streams: what a text names, one open connection, and why one does not open.

A camera is read by OpenCV, a stream by PyAV, which prefers RTSP over TCP. Both give up by
themselves. Knows nothing of threads or of trying again.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import av
import cv2
import numpy as np

from action_gru.core.errors import VideoError
from action_gru.video.frame import (
    DEFAULT_FPS,
    FrameReader,
    Image,
    PictureMaker,
    VideoInfo,
    Watch,
    believable_fps,
    declared_length_s,
)

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp")
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
REQUESTS = {"http": "GET {path} HTTP/1.0", "rtsp": "DESCRIBE {url} RTSP/1.0\r\nCSeq: 1"}
PROBE_S = 2.0
GRACE_S = 3.0  # a stream's decoder gives up by itself after its timeouts; later it hangs
CAMERA_APIS = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION}
ERRORS = (av.FFmpegError, OSError, ValueError)


@dataclass(frozen=True)
class Source:
    """A parsed source. address is what opens it and may hold a password; name is for people."""

    kind: Literal["camera", "file", "stream"]
    address: str = field(repr=False)
    name: str

    @property
    def noun(self) -> str:
        """What a person calls it: 'camera 0', 'file walk.mp4', 'stream rtsp://host/1'."""
        return f"{self.kind} {self.name}"


def parse_source(text: str) -> Source:
    """'0' and '/dev/video0' are cameras, 'rtsp://...' a stream, anything else a file."""
    try:
        text.encode()
    except UnicodeEncodeError as error:  # OpenCV would end the process
        raise VideoError("the source's name is no valid text; rename the file") from error
    if not text.strip() or "\0" in text:
        raise VideoError(f"{text!r} names no source; give a camera (0), a file or rtsp://...")
    if text.isascii() and text.isdecimal() and len(text) <= 4:
        return Source("camera", text, str(int(text)))
    if text.startswith("/dev/"):
        return Source("camera", text, text)
    return _parse_stream(text) if "://" in text else Source("file", text, text)


def _parse_stream(text: str) -> Source:
    name, scheme = redacted(text), text.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise VideoError(
            f"{name}: no live source has addresses of the kind {scheme}://; "
            f"give one of {', '.join(f'{known}://' for known in SCHEMES)}, a camera or a file"
        )
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        # The cause is left out of the chain: it quotes a piece of the address.
        raise VideoError(
            f"{name}: {'the port is not valid' if 'ort' in str(error) else 'not an address'}; "
            "in a user name or password write / as %2F, @ as %40, : as %3A"
        ) from None
    if not host and scheme != "udp":
        raise VideoError(f"{name}: no host in the address; write {scheme}://HOST/PATH")
    return Source("stream", text, name)


def redacted(url: str) -> str:
    """The address without user, password and query: 'rtsp://a:b@cam/1?key=c' -> 'rtsp://cam/1?…'.

    Everything before the last @ goes, so that a password with / or ? in it never shows.
    """
    scheme, _, rest = url.partition("://")
    shown = rest.rpartition("@")[2]
    plain = shown.split("?")[0].split("#")[0]
    return f"{scheme}://{plain}" + ("?…" if plain != shown else "")


class CameraReader:
    """A camera through OpenCV. Its times are the camera's own, in seconds."""

    damaged = 0

    def __init__(self, address: str) -> None:
        cv2.utils.logging.setLogLevel(2)  # errors only: what does not open gets a typed error
        self._capture = cv2.VideoCapture()
        index = int(address) if address.isdecimal() else address
        is_open = self._capture.open(index, CAMERA_APIS.get(sys.platform, cv2.CAP_ANY))
        kinds = (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        fps, width, height = (self._capture.get(kind) if is_open else 0.0 for kind in kinds)
        self.info = VideoInfo(0.0, believable_fps(fps), (int(width), int(height)))

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
    """A stream through PyAV. timeouts_s: for opening it, and for each frame."""

    damaged = 0

    def __init__(self, address: str, timeouts_s: tuple[float, float], max_pixels: int) -> None:
        self._read_timeout_s = timeouts_s[1]
        self._give_up_s = 0.0
        self._pictures = PictureMaker()
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self.info = VideoInfo(0.0, DEFAULT_FPS, (0, 0))
        options = {"rtsp_flags": "prefer_tcp"} if address.lower().startswith("rtsp") else {}
        # The error quotes the address, password included; `open_live` says why.
        with contextlib.suppress(*ERRORS), Watch(address, sum(timeouts_s) + GRACE_S):
            self._container = av.open(address, options=options, timeout=timeouts_s)
            self._begin(address, max_pixels)
        self._watch = Watch(address, self._read_timeout_s + GRACE_S)

    def _begin(self, address: str, max_pixels: int) -> None:
        length_s = declared_length_s(self._container)
        self.info = replace(self.info, length_s=length_s, waits=waits(address, length_s))
        for stream in self._container.streams.video[:1]:
            # Slice threads give wrong pictures over RTSP, frame threads hold frames back.
            stream.thread_type = "NONE"
            context = stream.codec_context
            context.options = {"max_pixels": str(max_pixels)}
            fps = believable_fps(stream.guessed_rate, stream.average_rate)
            codec = " ".join(filter(None, (context.codec.canonical_name, context.pix_fmt)))
            size_px = context.width, context.height
            self.info = replace(self.info, fps=fps, size_px=size_px, codec=codec)
            self._frames = self._decoded(stream)

    def _decoded(self, stream: Any) -> Iterator[Any]:
        with contextlib.suppress(*ERRORS):
            for packet in self._container.demux(stream):
                if time.monotonic() > self._give_up_s:
                    return
                with contextlib.suppress(*ERRORS):  # a damaged packet; the next may be whole
                    yield from packet.decode()

    def grab(self) -> float | None:
        self._give_up_s = time.monotonic() + self._read_timeout_s
        with self._watch:
            self._frame = next(self._frames, None)
        return None if self._frame is None else float(self._frame.time or 0.0)

    def retrieve(self) -> Image:
        try:
            with self._watch:
                return self._pictures.picture(self._frame)
        except ERRORS as error:
            raise VideoError(f"a frame of the stream cannot be converted ({error})") from error

    def close(self) -> None:
        if self._container is not None:
            self._container.close()


def waits(address: str, length_s: float | None) -> bool:
    """Whether a server sends as fast as it is read: an HTTP recording, or HLS."""
    parts = urlsplit(address)
    is_http = parts.scheme.lower() in ("http", "https")
    return is_http and (length_s is not None or parts.path.lower().endswith(".m3u8"))


def open_live(source: Source, timeouts_s: tuple[float, float], max_pixels: int) -> FrameReader:
    """A camera's or stream's reader, at the first frame.

    timeouts_s: for opening it, and for each frame. max_pixels: of a frame. Raises VideoError with
    the reason where none comes; it names the source, never a password.
    """
    began_s = time.monotonic()
    reader: CameraReader | StreamReader
    if source.kind == "camera":
        reader = CameraReader(source.address)
    else:
        reader = StreamReader(source.address, timeouts_s, max_pixels)
    width_px, height_px = reader.info.size_px
    is_too_large = width_px * height_px > max_pixels
    first_s = None if is_too_large else reader.grab()
    if first_s is not None:
        reader.info = replace(reader.info, first_s=first_s)
        return reader
    reader.close()
    if is_too_large:
        raise VideoError(
            f"{source.noun} announces frames of {width_px} x {height_px}, more than "
            f"{max_pixels:,} pixels; have it send smaller ones, or raise decoding.max_pixels"
        )
    if source.kind == "camera":
        raise VideoError(f"{source.noun} {why_no_camera(source)}")
    waited_s = time.monotonic() - began_s
    raise VideoError(f"{source.name}: {_why_no_stream(source, waited_s, min(timeouts_s))}")


def why_no_camera(source: Source) -> str:
    """What is wrong with a camera that does not open; on Linux, which ones there are."""
    path = Path(f"/dev/video{source.name}" if source.name.isdecimal() else source.address)
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"no permission to use {path}; add your user to the group 'video' and log in again"
    names = ", ".join(sorted(map(str, Path("/dev").glob("video*"))))
    here = f"cameras here: {names or 'none'}; " if sys.platform == "linux" else ""
    return (
        f"cannot be opened; {here}plug one in, check that no other program uses it, "
        "or give a file or rtsp:// address"
    )


def _why_no_stream(source: Source, waited_s: float, timeout_s: float) -> str:
    """What is wrong with a stream that gave no frame. waited_s: how long opening it took."""
    if waited_s >= timeout_s:
        check = "check the address and that the server is sending"
        return f"no picture within {waited_s:.1f} s (timed out); {check}"
    parts = urlsplit(source.address)
    if parts.scheme.lower() not in DEFAULT_PORTS:
        return "no video in it that can be read; check the address and what is sent there"
    try:
        status = _status_of(source.address)
    except socket.gaierror:
        return f"host '{parts.hostname}' not found; check its name and the network"
    except ConnectionRefusedError:
        mend = "start it, or check host and port"
        return f"connection refused: no server listens at that address; {mend}"
    except TimeoutError:
        return f"the server did not answer within {PROBE_S:g} s (timed out); check the address"
    except OSError as error:
        return f"cannot be reached ({error.strerror or type(error).__name__}); check the network"
    if status.startswith("401"):
        return f"the server answers '{status}'; check user name and password"
    if status[:1] in ("4", "5"):
        return f"the server answers '{status}'; check the address's path"
    return "the server answers, but sends no video that can be read; check the address's path"


def _status_of(url: str) -> str:
    """The server's status, such as '404 Not Found'; '' where it gives none. Raises OSError."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[scheme]
    with socket.create_connection((host, port), PROBE_S) as connection:
        if scheme not in REQUESTS:
            return ""
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        bare = f"{scheme}://{parts.netloc.rpartition('@')[2]}{path}"
        lines = [REQUESTS[scheme].format(path=path, url=bare), f"Host: {host}:{port}"]
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines.append(f"Authorization: Basic {base64.b64encode(user.encode()).decode()}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head = connection.recv(256).split(b"\r\n")[0].decode("ascii", "replace")
    name, _, status = head.partition(" ")
    known = name.startswith(("HTTP/", "RTSP/")) and status.isprintable()
    return status if known else ""
