"""A video of the web as a file, for as long as it is needed."""

from __future__ import annotations

import http.client
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from action_gru.core.errors import VideoError
from action_gru.core.paths import VIDEO_SUFFIXES
from action_gru.video.live_reader import redacted

WAIT_S = 30.0  # of a server, for its next bytes
MOST_BYTES = 4 << 30
CHUNK_BYTES = 1 << 20


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """The file at an http or https address, removed afterwards. Raises VideoError.

    Its name in errors holds no password.
    """
    name = redacted(address)
    scheme = address.partition("://")[0].lower()
    if scheme not in ("http", "https"):
        raise VideoError(
            f"{name}: a video with an end is a file or an http(s) address; a live stream is "
            "followed by stream(), or 'action-gru webcam --source'"
        )
    with tempfile.TemporaryDirectory(prefix="action_gru-") as folder:
        try:
            suffix = PurePosixPath(urlsplit(address).path).suffix.lower()
            path = Path(folder, f"video{suffix if suffix in VIDEO_SUFFIXES else ''}")
            _fetch(address, path, name)
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it holds the connection
            # The cause is left out of the chain: it may quote the address.
            raise VideoError(
                f"{name}: could not be fetched ({reason}); check the address, or download it first"
            ) from None
        yield path


def _fetch(address: str, path: Path, name: str) -> None:
    request = urllib.request.Request(address, headers={"User-Agent": "action-gru"})
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer, path.open("wb") as file:
        length = answer.headers.get("Content-Length")
        room = min(MOST_BYTES, shutil.disk_usage(path.parent).free)
        if length is not None and int(length) > room:
            raise VideoError(_too_large(name, int(length), room))
        while piece := answer.read(CHUNK_BYTES):
            file.write(piece)
            if file.tell() > room:
                raise VideoError(_too_large(name, file.tell(), room))
        if length is not None and file.tell() < int(length):
            raise VideoError(
                f"{name}: {file.tell()} of {length} bytes came, then the server ended; try again"
            )


def _too_large(name: str, size: int, room: int) -> str:
    return f"{name}: has at least {size} bytes, and {room} may be fetched; download it first"
