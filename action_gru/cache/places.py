"""Where the files of a store lie: a folder, or an object store by URL. Knows nothing of entries.

Both show a file whole or not at all. A folder does it by writing beside the place and renaming; an
object store takes an object as a whole, and what is cut half-way never becomes one.
"""

from __future__ import annotations

import mmap
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast
from urllib.parse import unquote

from filelock import FileLock, Timeout

from action_gru.errors import CacheError, MissingExtraError
from action_gru.files import is_abandoned, write_atomically

URL = re.compile(r"^([a-z][a-z0-9+.-]*)://(.*)$", re.DOTALL)


class Status(NamedTuple):
    """size in bytes; used_s: when it was last read or written, seconds since 1970."""

    size: int
    used_s: float


class Place(Protocol):
    """Files by name, such as 'ab/abcd.safetensors'. Any of them may raise FileNotFoundError."""

    def label(self, name: str) -> str:
        """The name as a user would write it."""

    def read(self, name: str) -> bytes:
        """The whole file. Raises OSError when a local file cannot be read."""

    def read_part(self, name: str, start: int, size: int) -> bytes:
        """size bytes from start on; none where the file has fewer."""

    def open(self, name: str) -> BinaryIO:
        """The file, to be read a piece at a time: an object as a copy on disk."""

    def view(self, name: str) -> memoryview:
        """The whole file without reading it now, where the place can."""

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
        """Raise CacheError when the place has vanished since it was opened."""


class Folder:
    """A folder of this machine or of a shared file system. It is made at the first write.

    One that vanishes while in use, or that becomes another one, as the empty folder below a disk
    that was unmounted, is never made or filled again: the disk may be full of entries.
    """

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
            if not 0 <= start <= start + size <= there:  # what an index claims takes no memory
                return b""
            file.seek(start)
            return file.read(size)

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


class ObjectStore:
    """Objects below a URL, by fsspec. Raises CacheError when the store refuses or does not answer.

    How an object appears whole is different from store to store, so only those of PUTS are taken.
    """

    def __init__(self, scheme: str, path: str) -> None:
        self.scheme, self.root = scheme, path.rstrip("/")
        self._put = PUTS[scheme]
        self._files = _file_system(scheme)

    def label(self, name: str) -> str:
        return f"{self.scheme}://{self.root}/{name}"

    def read(self, name: str) -> bytes:
        with self._answering(name):
            return bytes(self._files.cat_file(self._at(name)))

    def read_part(self, name: str, start: int, size: int) -> bytes:
        with self._answering(name):
            return bytes(self._files.cat_file(self._at(name), start=start, end=start + size))

    def open(self, name: str) -> BinaryIO:
        file = tempfile.NamedTemporaryFile()  # noqa: SIM115 the caller closes it
        try:
            with self._answering(name):
                self._files.get_file(self._at(name), file.name)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return cast(BinaryIO, file)

    def view(self, name: str) -> memoryview:
        return memoryview(self.read(name))

    def version(self, name: str) -> tuple[object, ...]:
        try:
            with self._answering(name):
                found = self._files.info(self._at(name))
        except FileNotFoundError:
            return ()
        written = found.get("LastModified", found.get("created"))
        return found.get("ETag"), found["size"], str(written)

    def write(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        with self._answering(name):
            self._put(self._files, self._at(name), pieces)

    def remove(self, name: str, version: tuple[object, ...] = ()) -> None:
        if version and self.version(name) != version:
            return
        try:
            self._files.rm_file(self._at(name))
        except Exception:  # read-only, or gone already: it harms nothing
            return

    def names(self, ending: str) -> Iterator[str]:
        with self._answering(""):
            found = self._files.find(self.root)
        start = len(self._files._strip_protocol(self.root).rstrip("/")) + 1
        for path in sorted(found):
            name = path[start:]
            if name.endswith(ending) and name.count("/") == 1:
                yield name

    def status(self, name: str) -> Status:
        with self._answering(name):
            found = self._files.info(self._at(name))
        written = found.get("LastModified") or found.get("created")
        return Status(int(found["size"]), written.timestamp())

    def locked(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    def leftovers(self) -> Iterator[str]:
        return iter(())  # a put that was cut is no object

    def is_abandoned(self, name: str) -> bool:
        return False

    def check_there(self) -> None:
        """A store that does not answer says so by itself."""

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"

    @contextmanager
    def _answering(self, name: str) -> Iterator[None]:
        """Every store's driver raises kinds of its own: told apart here is only 'not there'."""
        try:
            yield
        except (FileNotFoundError, CacheError):
            raise
        except Exception as error:
            kind = type(error).__name__
            raise CacheError(
                f"{self.label(name)}: the object store refused or did not answer ({kind}: {error});"
                " check features.cache_dir, the network and the credentials"
            ) from error


def _file_system(scheme: str) -> Any:
    import fsspec

    try:
        # Listings are not remembered: other machines write at the same time.
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtraError("s3fs", "s3", f"a cache at {scheme}://") from error


def _put_at_once(files: Any, path: str, pieces: Iterable[bytes | memoryview]) -> None:
    files.pipe_file(path, b"".join(pieces))


def _put_from_disk(files: Any, path: str, pieces: Iterable[bytes | memoryview]) -> None:
    """All pieces are made before the first byte is sent, in memory that does not grow with them.

    S3 shows an object after its put, or after the last step of a put in parts, and not before.
    """
    with tempfile.NamedTemporaryFile() as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        files.put_file(file.name, path)


PUTS: dict[str, Callable[[Any, str, Iterable[bytes | memoryview]], None]] = {
    "memory": _put_at_once,
    "s3": _put_from_disk,
}


def open_place(where: str | Path) -> Place:
    """A folder by its path or file:// URL, or an object store by its URL."""
    match = URL.match(str(where))
    if match is None:
        return Folder(Path(where))
    scheme, rest = match.groups()
    if scheme == "file":
        return Folder(Path(unquote(rest)))
    if scheme not in PUTS:
        raise CacheError(
            f"{where}: no cache can be kept at {scheme}://; take a folder, file://, "
            + " or ".join(f"{name}://" for name in sorted(PUTS))
        )
    return ObjectStore(scheme, rest)
