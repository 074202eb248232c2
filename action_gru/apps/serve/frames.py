"""Pictures that come one by one, decoded as files are: in a process of its own, within limits."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

from action_gru.core.errors import VideoError
from action_gru.video.decoder_process import DecoderProcess, give_back_process, take_process
from action_gru.video.frame import DecodeLimits, Image
from action_gru.video.picture_files import DamageError, decode_picture

TIME = struct.Struct("<d")
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF")  # of JPEG, PNG, WebP
MEND = "send a JPEG, PNG or WebP, with its time in 8 bytes before it or without"
NAME = "a frame"


def split_message(message: bytes) -> tuple[float | None, bytes]:
    """A frame's time in seconds, None where it names none, and its picture. Raises VideoError."""
    if message.startswith(MAGIC, TIME.size):
        (time_s,) = TIME.unpack_from(message)
        return time_s, message[TIME.size :]
    if message.startswith(MAGIC):
        return None, message
    raise VideoError(f"a frame of {len(message):,} bytes is no picture; {MEND}")


def decoded(data: bytes, most_pixels: int) -> Iterator[tuple[float | None, dict[str, Image], Any]]:
    """The work of the process: the picture, (H, W, 3) uint8 RGB, and the end."""
    try:
        image = decode_picture(data, NAME, most_pixels)
    except DamageError as error:
        raise VideoError(f"a frame of {len(data):,} bytes is damaged ({error}); {MEND}") from error
    yield 0.0, {NAME: image}, {}
    yield None, {}, {}


class FrameDecoder:
    """Decodes the pictures of one client; one thread at a time uses it."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._process: DecoderProcess | None = None

    def decode(self, data: bytes) -> Image:
        """(H, W, 3) uint8 RGB. Raises VideoError for what is no picture, or too large."""
        work = partial(decoded, data, self._limits.max_pixels)
        if self._process is None or not self._process.is_alive:
            self._process = take_process()
        answer = self._process.begin("run", work, NAME, self._limits)
        image: Image = answer["pictures"][NAME]
        self._process.receive()
        return image

    def close(self) -> None:
        if self._process is not None:
            give_back_process(self._process)
            self._process = None
