"""A video on its way from a request to a file. It is not looked into here.

The body is read as it comes, so that memory does not grow with it, and a file that cannot be used
is refused at its first wrong byte.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from action_gru.apps.serving import FULL_MEND, NoSpaceError, check_space, declared_bytes
from action_gru.core.errors import ActionGruError, DataError, is_full
from action_gru.core.paths import VIDEO_SUFFIXES

FIELD = "file"
PIECE_BYTES = 1 << 20
SILENT_S = 30.0  # from one piece to the next
SLOW_BYTES_S, SLOW_AFTER_S = 4_000, 60.0  # slower than this on average is not waited for
MOST_NAME = 200
MOST_FIELDS = 32
HEAD_BYTES = 512  # of a file, in which its kind is told
STILLS = {
    b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\x00": "TIFF", b"MM\x00*": "TIFF",
}  # fmt: skip
MOVING = (".mjpeg", ".mjpg")  # JPEGs one after the other
CURL = "as 'curl -F file=@clip.mp4' sends it"
SCHEMA: dict[str, Any] = {  # of the body, for OpenAPI
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "title": "VideoUpload",
                "type": "object",
                "required": [FIELD],
                "properties": {
                    FIELD: {"type": "string", "format": "binary", "description": "One video."}
                },
            }
        }
    },
}


class UploadError(ActionGruError):
    """A request whose body is no single video in the field `file`."""

    status = 400


class BodyKindError(UploadError):
    status = 415


class SlowError(UploadError):
    status = 408


class StillError(UploadError):
    """A picture in place of a video."""

    status = 422


class Folder:
    """The temporary files of a server. Use as a context manager: leaving it removes them."""

    def __enter__(self) -> Folder:
        self._held = tempfile.TemporaryDirectory(prefix="action_gru_serve_")
        self.path = Path(self._held.name).resolve()
        return self

    def __exit__(self, *exception: object) -> None:
        self._held.cleanup()


class Upload:
    """One video as a file. Use as a context manager: leaving it removes the file.

    name: what the client calls it, for messages.
    """

    def __init__(self, folder: Folder) -> None:
        self._bare = folder.path / secrets.token_hex(8)
        self.path, self.name = self._bare, "the file"

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def remove(self) -> None:
        self._bare.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    async def receive(self, request: Request) -> None:
        """Write the body's field `file`. Raises UploadError, NoSpaceError, ClientDisconnect."""
        form = _Form(request.headers.get("content-type", ""))
        try:
            await asyncio.to_thread(check_space, self.path.parent, declared_bytes(request.scope))
            await self._write(request, form)
        except OSError as error:
            if is_full(error):
                raise NoSpaceError(f"{FULL_MEND} ({error.strerror})") from error
            raise DataError(f"the file cannot be written here ({error.strerror})") from error
        form.check()
        self.name = shown_name(form.file_name)
        suffix = PurePosixPath(self.name).suffix.lower()
        if (kind := _still(bytes(form.head))) is not None and suffix not in MOVING:
            raise StillError(
                f"{self.name}: this is a picture ({kind}), not a video; an action needs several: "
                "send pictures one by one over /stream, or a video"
            )
        if suffix in VIDEO_SUFFIXES:  # a few kinds are known by it alone
            self.path = self._bare.rename(self._bare.with_suffix(suffix))

    async def _write(self, request: Request, form: _Form) -> None:
        began_s, taken = time.monotonic(), 0
        with self._bare.open("xb") as opened:
            async for part in _pieces(request):
                taken += len(part)
                elapsed_s = time.monotonic() - began_s
                if elapsed_s > SLOW_AFTER_S and taken < elapsed_s * SLOW_BYTES_S:
                    raise SlowError(
                        f"only {taken:,} bytes came in {elapsed_s:.0f} s; send it again"
                    )
                form.feed(part)
                if len(form.held) >= PIECE_BYTES:
                    await asyncio.to_thread(opened.write, form.take())
            await asyncio.to_thread(opened.write, form.take())

    def shown(self, text: str) -> str:
        """A sentence with the client's name of the file in place of where it lies."""
        return text.replace(str(self.path), self.name)


async def _pieces(request: Request) -> Any:
    """The body, piece by piece. Raises SlowError where none comes for SILENT_S."""
    while True:
        try:
            message = await asyncio.wait_for(request.receive(), SILENT_S)
        except TimeoutError as error:
            raise SlowError(f"nothing came for {SILENT_S:.0f} s; send it again") from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def shown_name(name: str) -> str:
    """A client's file name without folders and what no terminal should be given."""
    last = name.replace("\\", "/").rpartition("/")[2]
    clean = "".join(char for char in last if char.isprintable()).strip()
    return clean[-MOST_NAME:] or "the file"


def _still(head: bytes) -> str | None:
    """The kind of picture that a file's first bytes announce; one that may move is none."""
    found = next((kind for magic, kind in STILLS.items() if head.startswith(magic)), None)
    return None if found == "PNG" and b"acTL" in head else found


class _Form:
    """What is known of a multipart body so far; `held` are bytes of its file."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            shown = kind.decode("latin-1")[:60] or "of no kind"
            raise BodyKindError(
                f"the body is {shown}; a video comes in the field '{FIELD}' of multipart/form-data,"
                f" {CURL}"
            )
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise UploadError(f"the content type names no boundary; let the client set it, {CURL}")
        self.held, self.head = bytearray(), bytearray()
        self.file_name = ""
        self.files, self.bytes, self.others = 0, 0, list[str]()
        self._name, self._value, self._headers = b"", b"", dict[bytes, bytes]()
        self._is_file = self._is_whole = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._add_name,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add_data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise UploadError(f"the boundary cannot be used ({error}); {CURL}") from error

    def feed(self, part: bytes) -> None:
        try:
            self._parser.write(part)
        except FormParserError as error:
            raise UploadError(
                f"the body is no multipart/form-data ({error}); send it {CURL}"
            ) from error

    def take(self) -> bytes:
        taken = bytes(self.held)
        self.held.clear()
        return taken

    def check(self) -> None:
        """Raise UploadError unless all of one file came."""
        if not self._is_whole:
            raise UploadError("the body ends too early; send it again")
        if not self.files:
            others = ", ".join(f"'{name}'" for name in self.others[:5]) or "no field at all"
            raise UploadError(f"no field '{FIELD}' came, but {others}; send one video, {CURL}")
        if not self.bytes:
            raise UploadError(f"{shown_name(self.file_name)} is empty (0 bytes); send it again")

    def _begin(self) -> None:
        self._headers.clear()

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode(errors="replace")
        self._is_file = name == FIELD
        if not self._is_file:
            self.others.append(shown_name(name))
            if len(self.others) > MOST_FIELDS:
                raise UploadError(f"more than {MOST_FIELDS} fields came; send one video, {CURL}")
            return
        self.files += 1
        if self.files > 1:
            raise UploadError(f"two fields '{FIELD}' came; send one video with each request")
        self.file_name = options.get(b"filename", b"").decode(errors="replace")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.bytes += end - start
            self.held += data[start:end]
            self.head += data[start : min(end, start + HEAD_BYTES - len(self.head))]

    def _end(self) -> None:
        self._is_whole = True
