"""Why a file is no video, and why a camera or a stream does not open: in words, with the mend.

Decodes nothing.
"""

from __future__ import annotations

import base64
import os
import socket
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from action_gru.video.source import DEFAULT_PORTS, Source

ASKS = {"http": "GET {path} HTTP/1.0", "rtsp": "DESCRIBE {url} RTSP/1.0\r\nCSeq: 1"}
PROBE_S = 2.0


def diagnose(path: Path) -> str:
    """Why a file does not open as video, in words, with the mend."""
    with path.open("rb") as file:
        head = file.read(512)
        boxes = _mp4_boxes(path) if head[4:8] == b"ftyp" else []
    if not head:
        return "the file is empty (0 bytes); copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer (text), not the video; run 'git lfs pull'"
    if boxes and b"moov" not in boxes:
        return "the MP4 is cut short: its index (moov) is missing; copy or download it again"
    if boxes:
        return "no video stream in it (audio only?); give a file that holds video"
    if not any(byte < 9 for byte in head):
        return "this is text, not a video; check what the path points to"
    return "not a video that can be read (random or damaged bytes); copy it again or re-encode it"


def _mp4_boxes(path: Path) -> list[bytes]:
    """Names of the top-level boxes that lie wholly inside the file (ISO/IEC 14496-12, 4.2)."""
    names: list[bytes] = []
    offset, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while offset + 8 <= size and len(names) < 64:
            file.seek(offset)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            length = length or size - offset
            if length < 8 or offset + length > size:
                break
            names.append(header[4:8])
            offset += length
    return names


def why_no_camera(source: Source) -> str:
    """What is wrong with a camera that does not open; on Linux, which ones there are."""
    path = Path(f"/dev/video{source.name}" if source.name.isdecimal() else source.address)
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"no permission to use {path}; add your user to the group 'video' and log in again"
    here = ""
    if sys.platform == "linux":
        names = sorted(str(found) for found in Path("/dev").glob("video*"))
        here = f"cameras here: {', '.join(names) or 'none'}; "
    return (
        f"cannot be opened; {here}plug one in, check that no other program uses it, "
        "or give a file or rtsp:// address"
    )


def why_no_stream(source: Source, waited_s: float, timeout_s: float) -> str:
    """What is wrong with a stream that gave no frame. waited_s: how long opening it took."""
    parts = urlsplit(source.address)
    if waited_s >= timeout_s:
        return (
            f"no picture within {waited_s:.1f} s (timed out); "
            "check the address and that the server is sending"
        )
    if parts.scheme.lower() not in DEFAULT_PORTS:
        return "no video in it that can be read; check the address and what is sent there"
    try:
        answer = _ask(source.address)
    except socket.gaierror:
        return f"host '{parts.hostname}' not found; check its name and the network"
    except ConnectionRefusedError:
        return (
            "connection refused: no server listens at that address; "
            "start it, or check host and port"
        )
    except TimeoutError:
        return f"the server did not answer within {PROBE_S:g} s (timed out); check the address"
    except OSError as error:
        return f"cannot be reached ({error.strerror or type(error).__name__}); check the network"
    if answer.startswith("401"):
        return f"the server answers '{answer}'; check user name and password"
    if answer[:1] in ("4", "5"):
        return f"the server answers '{answer}'; check the address's path"
    return "the server answers, but sends no video that can be read; check the address's path"


def _ask(url: str) -> str:
    """The server's status, such as '404 Not Found'; '' where it gives none. Raises OSError."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[scheme]
    with socket.create_connection((host, port), PROBE_S) as connection:
        if scheme not in ASKS:
            return ""
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        bare = f"{scheme}://{parts.netloc.rpartition('@')[2]}{path}"
        lines = [ASKS[scheme].format(path=path, url=bare), f"Host: {host}:{port}"]
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines.append(f"Authorization: Basic {base64.b64encode(user.encode()).decode()}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head = connection.recv(256).split(b"\r\n")[0].decode("ascii", "replace")
    name, _, status = head.partition(" ")
    known = name.startswith(("HTTP/", "RTSP/")) and status.isprintable()
    return status if known else ""
