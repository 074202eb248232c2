"""Files on their way from a page to the disk. They are not looked into here: the reader does."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from fastapi import Request

from action_gru.apps.serving import FULL_MEND, NoSpaceError, check_space, declared_bytes
from action_gru.apps.studio.session import Studio
from action_gru.core.errors import DataError, is_full

PIECE_BYTES = 1 << 20


async def receive(request: Request, studio: Studio) -> Path:
    """The body of a request as a file in .studio/temp, whole; the caller moves or removes it.

    Raises NoSpaceError where the disk has no room for it, DataError for an empty one.
    """
    file = studio.shelf.new_file()
    try:
        await asyncio.to_thread(check_space, file.parent, declared_bytes(request.scope))
        await _write(request, file)
    except OSError as error:
        file.unlink(missing_ok=True)
        if is_full(error):
            raise NoSpaceError(f"{FULL_MEND} ({error.strerror})") from error
        raise DataError(f"{file}: cannot be written ({error}); check the folder") from error
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return file


async def _write(request: Request, file: Path) -> None:
    taken, piece = 0, bytearray()
    with file.open("xb") as opened:
        async for part in request.stream():
            piece += part
            if len(piece) >= PIECE_BYTES:
                taken += await asyncio.to_thread(opened.write, bytes(piece))
                piece.clear()
        taken += await asyncio.to_thread(opened.write, bytes(piece))
        opened.flush()
        await asyncio.to_thread(os.fsync, opened.fileno())  # a power cut must not empty it
    if not taken:
        raise DataError("the file is empty (0 bytes); send it again")
