"""Where the files of a store lie: the protocol, and a folder as such a storage.

A storage shows a file whole or not at all. A folder does it by writing beside the place and
renaming. Knows nothing of entries.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from filelock import FileLock, Timeout

from action_gru.core.errors import CacheError
from action_gru.core.files import is_abandoned, write_atomically


class Status(NamedTuple):
    """size in bytes; used_s: when it was last read or written, seconds since 1970."""

    size: int
    used_s: float


class Storage(Protocol):
    """Files by name, such as 'ab/abcd.safetensors'. Any of them may raise FileNotFoundError.

    has_locks: does `locked` keep others out?
    """

    has_locks: bool

    def label(self, name: str) -> str:
        """The name as a user would write it."""

    def read(self, name: str) -> bytes:
        """The whole file. Raises OSError when a local file cannot be read."""

    def read_part(self, name: str, start: int, size: int) -> bytes:
        """size bytes from start on, or what the file has of them."""

    def open(self, name: str) -> BinaryIO:
        """The file, to be read a piece at a time: an object as a copy on disk."""

    def view(self, name: str) -> memoryview:
        """The whole file without reading it now, where the storage can."""

    def version(self, name: str) -> tuple[object, ...]:
        """Another value whenever the file was replaced; () where there is none."""

    def write(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        """The file appears whole or not at all; of several writers the last one wins."""

    def remove(self, name: str, version: tuple[object, ...] = ()) -> None:
        """Remove a file if it is there; what cannot be removed stays, and what is of another
        version than the one that was given.
        """

    def names(self, ending: str) -> Iterator[str]:
        """The files one folder below the top that end so, in order."""

    def status(self, name: str) -> Status: ...

    def locked(self, name: str) -> AbstractContextManager[None]:
        """Only one process of a folder is inside. Raises CacheError when another one is."""

    def leftovers(self) -> Iterator[str]:
        """Half-written files: of running processes, and of some that were killed."""

    def is_abandoned(self, name: str) -> bool:
        """Will nobody finish this half-written file?"""

    def check_there(self) -> None:
        """Raise CacheError when the storage has vanished since it was opened."""


class Folder:
    """A folder of this machine or of a shared file system. It is made at the first write.

    One that vanishes while in use, or that becomes another one, as the empty folder below a disk
    that was unmounted, is never made or filled again: the disk may be full of entries.
    """

    has_locks: bool = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self._identity = self._found()

    def label(self, name: str) -> str:
        return str(self.root / name)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def read_part(self, name: str, start: int, size: int) -> bytes:
        with (self.root / name).open("rb") as file:
            there = os.fstat(file.fileno()).st_size
            if not 0 <= start <= there or size < 0:
                return b""
            file.seek(start)
            return file.read(min(size, there - start))  # what an index claims takes no memory

    def open(self, name: str) -> BinaryIO:
        return (self.root / name).open("rb")

    def view(self, name: str) -> memoryview:
        with (self.root / name).open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:  # which cannot be mapped
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def version(self, name: str) -> tuple[object, ...]:
        try:
            found = (self.root / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def write(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        try:
            self._stand()
            write_atomically(self.root / name, pieces, self.root)
        except OSError as error:
            self.check_there()
            raise CacheError(
                f"{self.root}: a feature entry cannot be written ({error.strerror or error}); "
                "free space or set features.cache_dir to a folder you may write"
            ) from error

    def _stand(self) -> None:
        """Make the folder, unless it was there before."""
        if self._identity is None:
            self.root.mkdir(parents=True, exist_ok=True)
            self._identity = self._found()
        self.check_there()

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self.root.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_dev, found.st_ino

    def check_there(self) -> None:
        if self._identity is not None and self._found() != self._identity:
            raise CacheError(
                f"{self.root}: the cache folder has vanished while it was in use; bring it back "
                "(is its disk still mounted?) and run again: what was finished is in it"
            )

    def remove(self, name: str, version: tuple[object, ...] = ()) -> None:
        if version and self.version(name) != version:
            return
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError:  # a read-only cache keeps it, which harms nothing
            return

    def names(self, ending: str) -> Iterator[str]:
        # A folder at a time: a million paths at once would be half a gigabyte.
        if self.root.is_dir():
            for folder in sorted(self.root.iterdir()):
                try:
                    names = sorted(entry.name for entry in os.scandir(folder))
                except (FileNotFoundError, NotADirectoryError):  # gone meanwhile, or a file
                    continue
                yield from (
                    f"{folder.name}/{name}"
                    for name in names
                    if name.endswith(ending) and not name.startswith(".")
                )

    def status(self, name: str) -> Status:
        found = (self.root / name).stat()
        return Status(found.st_size, max(found.st_atime, found.st_mtime))

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        path = self.root / name
        self._stand()
        path.parent.mkdir(exist_ok=True)
        try:
            with FileLock(path, blocking=False):
                yield
        except Timeout as error:
            raise CacheError(
                f"{self.root}: another process packs this cache now; wait for it"
            ) from error

    def leftovers(self) -> Iterator[str]:
        if self.root.is_dir():
            for path in sorted(self.root.glob("*/.*.part")):
                yield f"{path.parent.name}/{path.name}"

    def is_abandoned(self, name: str) -> bool:
        return is_abandoned(self.root / name)
