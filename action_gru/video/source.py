"""What a live source's text names: a camera, a file or a stream. Opens nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from action_gru.core.errors import VideoError

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp")
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}


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
    scheme, mark, _ = text.partition("://")
    if not mark:
        return Source("file", text, text)
    return _parse_stream(text, scheme.lower())


def _parse_stream(text: str, scheme: str) -> Source:
    name = redacted(text)
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
