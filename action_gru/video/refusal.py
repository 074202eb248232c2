"""Says why a camera or a stream does not open, in words, with the mend. Decodes nothing."""

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
