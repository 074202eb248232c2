"""Folders and archives of numbered pictures as frames: number n is at (n - first) / rate seconds.

Decoded by Pillow: exact RGB, the size before any pixel, and an error for a picture that is cut
short, where other decoders give one that is partly grey. An archive is read in place: no name in it
is ever a path on the disk. Knows no processes.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np

from action_gru.core.errors import VideoError, is_transient
from action_gru.core.numbered_pictures import (
    ARCHIVE_ERRORS,
    PictureList,
    list_folder,
    list_pictures,
)
from action_gru.video.frame import DecodeLimits, Image, VideoInfo, Watch

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# Of a pixel that is not compressed: four channels of 16 bits. Headers come on top.
MOST_PIXEL_BYTES, MOST_HEADER_BYTES = 8, 1 << 20


class PictureReader:
    """One pass over a clip of pictures; a `FrameReader`. One that can't be decoded is damage.

    Raises VideoError where no picture can be decoded, where sizes differ, and without a rate.
    """

    def __init__(
        self, path: Path, frame_rate: float | None, limits: DecodeLimits | None = None
    ) -> None:
        """frame_rate: how many numbers are a second."""
        self._limits = limits = limits or DecodeLimits()
        self._path, self.damaged = path, 0
        self._image: Image = np.empty((0, 0, 3), np.uint8)  # the one that was grabbed
        if frame_rate is None:
            raise VideoError(
                f"{path}: pictures have no frame rate of their own; give the one at which they "
                "were taken as data.frame_rate=25, or in the manifest's column frame_rate"
            )
        self._rate = frame_rate
        self._watch = Watch(str(path), limits.max_silence_s, limits.max_frames, limits.max_decode_s)
        with contextlib.ExitStack() as on_failure:
            with self._watch:
                self._store = _open(path, limits)
                on_failure.callback(self._store.close)
            self._begin()
            on_failure.pop_all()

    def _begin(self) -> None:
        listed = self._store.listed
        self._first, self._shown, self._why = listed.numbers[0], "", ""
        self._left: Iterator[tuple[str, int]] = zip(listed.names, listed.numbers, strict=True)
        first_s = self.grab()
        if first_s is None:
            raise VideoError(
                f"{self._path}: none of its {len(listed.names)} pictures can be decoded, the "
                f"first: {self._why}; copy it again, or save the pictures as PNG or JPEG"
            )
        height_px, width_px = self._image.shape[:2]
        length_s = (listed.numbers[-1] - self._first + 1) / self._rate
        size_px = width_px, height_px
        self.info = VideoInfo(first_s, self._rate, size_px, length_s, notes=listed.notes())

    def grab(self) -> float | None:
        """Instant of the next picture that can be decoded, in seconds; None at the end."""
        with self._watch:
            for name, number in self._left:
                if self._decodes(name):
                    self._watch.frames += 1
                    return (number - self._first) / self._rate
        return None

    def _decodes(self, name: str) -> bool:
        """Whether the picture is now the frame. Raises VideoError for one of another size."""
        try:
            data = self._store.read(name)
            image = decode_picture(data, f"{self._path}: {name}", self._limits.max_pixels)
        except DamageError as error:
            self.damaged += 1
            self._why = self._why or f"{name}: {error}"
            return False
        if self._shown and image.shape != self._image.shape:
            sizes = [f"{one.shape[1]} x {one.shape[0]}" for one in (self._image, image)]
            raise VideoError(
                f"{self._path}: its pictures differ in size: {self._shown} is {sizes[0]} pixels, "
                f"{name} {sizes[1]}; scale them to one size, or give each size a folder of its own"
            )
        self._image, self._shown = image, name
        return True

    def retrieve(self) -> Image:
        """The picture that was grabbed, (H, W, 3) uint8 RGB."""
        return self._image

    def close(self) -> None:
        self._store.close()


class DamageError(Exception):
    """One picture cannot be decoded; the others may be."""


def decode_picture(data: bytes, name: str, most_pixels: int) -> Image:
    """A picture's bytes as (H, W, 3) uint8 RGB, upright as its EXIF says.

    Of 16 bits the high byte is taken, of transparency the colours without it, of several pictures
    in one file the first. Raises VideoError for too many pixels, DamageError for what is none.
    """
    from PIL import ImageOps

    try:
        with _opened(data) as opened:
            width_px, height_px = opened.size
            if width_px * height_px <= most_pixels:
                upright = ImageOps.exif_transpose(opened)
                if upright.mode.startswith("I;16"):
                    grey = (np.asarray(upright) >> 8).astype(np.uint8)
                    return np.repeat(grey[..., None], 3, 2)
                if upright.mode in ("I", "F"):
                    raise ValueError("32 bits a pixel; save it with 8 or 16")
                return np.asarray(upright.convert("RGB"))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly any for a damaged picture
        raise DamageError(str(error)) from error
    raise VideoError(
        f"{name}: its header announces {width_px} x {height_px}, more than {most_pixels:,} pixels; "
        "scale it down, or raise decoding.max_pixels"
    )


def _opened(data: bytes) -> ImageFile:
    """The picture, its header read. Raises what Pillow's readers raise."""
    from PIL import Image as Pillow
    from PIL import TiffImagePlugin, WebPImagePlugin  # noqa: F401 - they register themselves

    Pillow.preinit()  # the others
    # Not Pillow.open: ultralytics replaces it by one that would fetch a package for other formats.
    for name in FORMATS:
        read, accepts = Pillow.OPEN[name]
        if accepts is None or accepts(data[:16]) is True:
            return read(io.BytesIO(data), "")
    raise ValueError(f"none of {', '.join(FORMATS)}")


class _Store(Protocol):
    """Where the pictures are."""

    listed: PictureList

    def read(self, name: str) -> bytes:
        """One picture's bytes; they are asked for in the order of the list."""

    def close(self) -> None: ...


def _open(path: Path, limits: DecodeLimits) -> _Store:
    """Raises VideoError for what holds no frames of a clip."""
    if path.is_dir():
        return _Folder(path, limits)
    try:
        return (_Zip if path.suffix.lower() == ".zip" else _Tar)(path, limits)
    except ValueError as error:
        raise VideoError(f"{path}: {error}") from error
    except ARCHIVE_ERRORS as error:
        if is_transient(error):
            raise
        raise VideoError(f"{path}: no archive that can be read ({error}); copy it again") from error


def _bytes_of(open_file: Callable[[], IO[bytes] | None], limits: DecodeLimits) -> bytes:
    """A picture's bytes. Raises DamageError for more of them than a picture can have."""
    most = MOST_PIXEL_BYTES * limits.max_pixels + MOST_HEADER_BYTES
    try:
        file = open_file()
        assert file is not None
        with file:
            data = file.read(most + 1)
    except ARCHIVE_ERRORS as error:
        if is_transient(error):  # the disk's fault, and not the picture's
            raise
        raise DamageError(str(error)) from error
    if len(data) > most:
        raise DamageError(f"more than {most:,} bytes, as no picture of decoding.max_pixels has")
    return data


class _Folder:
    def __init__(self, path: Path, limits: DecodeLimits) -> None:
        self._path, self._limits = path, limits
        self.listed = list_folder(path)

    def read(self, name: str) -> bytes:
        if not (self._path / name).is_file():  # another clip from now on, and no damaged one
            raise VideoError(f"{self._path}: {name} was there and is gone; read it again")
        return _bytes_of(lambda: (self._path / name).open("rb"), self._limits)

    def close(self) -> None:
        pass


class _Zip:
    def __init__(self, path: Path, limits: DecodeLimits) -> None:
        self._limits = limits
        with contextlib.ExitStack() as on_failure:
            self._file = on_failure.enter_context(zipfile.ZipFile(path))
            files = [one.filename for one in self._file.infolist() if not one.is_dir()]
            self.listed = list_pictures(files)
            on_failure.pop_all()

    def read(self, name: str) -> bytes:
        return _bytes_of(partial(self._file.open, name), self._limits)

    def close(self) -> None:
        self._file.close()


class _Tar:
    """A packed one is unpacked once, from start to end: pictures that come early are kept."""

    def __init__(self, path: Path, limits: DecodeLimits) -> None:
        self._path, self._limits = path, limits
        self._is_packed = path.suffix.lower() != ".tar"
        self._early: dict[str, bytes] = {}
        self._room = int(limits.max_memory_gb * (1 << 30)) // 4
        with contextlib.ExitStack() as on_failure:
            mode: Any = "r:gz" if self._is_packed else "r:"
            self._file = on_failure.enter_context(tarfile.open(path, mode))
            files = [one for one in self._file if one.isreg()]
            self.listed = list_pictures(one.name for one in files)
            members = {one.name: one for one in files}
            on_failure.pop_all()
        self._members = {name: members[name] for name in self.listed.names}
        self._rest = iter(sorted(self._members.values(), key=lambda one: one.offset))

    def read(self, name: str) -> bytes:
        if not self._is_packed:
            return self._read(self._members[name])
        while name not in self._early:
            member = next(self._rest)
            try:
                data = self._read(member)
            except DamageError:
                data = b""  # fails again when it is asked for
            self._early[member.name] = data
            self._room -= len(data)
            if self._room < 0:
                raise VideoError(
                    f"{self._path}: its pictures lie in another order than their numbers, and too "
                    "many come early to be kept; unpack it, or pack them sorted by name as .tar"
                )
        data = self._early.pop(name)
        self._room += len(data)
        return data

    def _read(self, member: tarfile.TarInfo) -> bytes:
        return _bytes_of(partial(self._file.extractfile, member), self._limits)

    def close(self) -> None:
        self._file.close()
