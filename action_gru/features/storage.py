"""The storage of a cache: a folder, or an object store below a URL.

Both show a file whole or not at all, under names such as 'ab/abcd.safetensors', and have the same
methods. Knows nothing of entries.
"""

from __future__ import annotations

import mmap
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import unquote

from filelock import FileLock, Timeout

from action_gru.core.errors import CacheError, MissingExtraError
from action_gru.core.files import YOUNG_S, is_abandoned, write_atomically

URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)\Z", re.DOTALL | re.IGNORECASE)
# A URL that is cut or mistyped: 's3:bucket', 'http:/host'. A folder 'a:b' is none.
NEARLY_URL = re.compile(r"(file|memory|s3):|[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
SCHEMES = ("memory", "s3")  # of object stores: how an object appears whole differs between stores
KINDS = "take a folder, file://, " + " or ".join(f"{name}://" for name in SCHEMES)


class Status(NamedTuple):
    """size in bytes; used_s: when it was last read or written, seconds since 1970; version: another
    value whenever the file was replaced.
    """

    size: int
    used_s: float
    version: tuple[object, ...]


class Folder:
    """A folder of this machine or of a shared file system. It is made at the first write.

    One that vanishes while in use, or that becomes another one, as the empty folder below a disk
    that was unmounted, is never made or filled again: the disk may be full of entries.
    """

    young_s = YOUNG_S  # a younger file may belong to a process whose lock is not seen

    def __init__(self, root: Path) -> None:
        self.root = root
        self._identity = self._found()

    def label(self, name: str) -> str:
        """The name as a user would write it."""
        return str(self.root / name)

    def read(self, name: str) -> bytes:
        """The whole file. Raises FileNotFoundError, like every method that reads, and OSError."""
        return (self.root / name).read_bytes()

    def read_part(self, name: str, start: int, size: int) -> bytes:
        """size bytes from start on, or what the file has of them."""
        with self.open(name) as file:
            length = os.fstat(file.fileno()).st_size
            if not 0 <= start <= length or size < 0:
                return b""
            file.seek(start)
            return file.read(min(size, length - start))  # what an index claims takes no memory

    def open(self, name: str) -> BinaryIO:
        """The file, to be read a piece at a time: an object as a copy on disk."""
        return (self.root / name).open("rb")

    def view(self, name: str) -> memoryview:
        """The whole file, mapped where the storage can do it."""
        with self.open(name) as file:
            if os.fstat(file.fileno()).st_size == 0:  # which cannot be mapped
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def status(self, name: str) -> Status | None:
        """None where there is no such file."""
        try:
            found = (self.root / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        version = found.st_ino, found.st_size, found.st_mtime_ns
        return Status(found.st_size, max(found.st_atime, found.st_mtime), version)

    def write(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        """The file appears whole or not at all; of several writers the last one wins."""
        try:
            self._make()
            write_atomically(self.root / name, pieces, self.root)
        except OSError as error:
            self.check_there()
            raise CacheError(
                f"{self.root}: a feature entry cannot be written ({error.strerror or error}); "
                "free space or set features.cache_dir to a folder you may write"
            ) from error

    def _make(self) -> None:
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
        """Raise CacheError when the storage has vanished since it was opened."""
        if self._identity is not None and self._found() != self._identity:
            raise CacheError(
                f"{self.root}: the cache folder has vanished while it was in use; bring it back "
                "(is its disk still mounted?) and run again: what was finished is in it"
            )

    def remove(self, name: str) -> None:
        """Remove a file if it exists and can be removed."""
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError:  # a read-only cache keeps it, which harms nothing
            return

    def names(self, ending: str) -> Iterator[str]:
        """The files one folder below the top that end so, in order."""
        # A folder at a time: a million paths at once would be half a gigabyte.
        if self.root.is_dir():
            for folder in sorted(self.root.iterdir()):
                try:
                    names = sorted(entry.name for entry in os.scandir(folder))
                except (FileNotFoundError, NotADirectoryError):  # removed meanwhile, or a file
                    continue
                yield from (
                    f"{folder.name}/{name}"
                    for name in names
                    if name.endswith(ending) and not name.startswith(".")
                )

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keeps other processes out, in a folder. Raises CacheError when one is inside."""
        path = self.root / name
        self._make()
        path.parent.mkdir(exist_ok=True)
        try:
            with FileLock(path, blocking=False):
                yield
        except Timeout as error:
            raise CacheError(
                f"{self.root}: another process packs this cache now; wait for it"
            ) from error

    def leftovers(self, only_abandoned: bool = False) -> Iterator[str]:
        """Half-written files; only_abandoned: not those of a running process."""
        for path in sorted(self.root.glob("*/.*.part")):
            if not only_abandoned or is_abandoned(path):
                yield f"{path.parent.name}/{path.name}"


class ObjectStore:
    """Objects below a URL, by fsspec: an object that is cut half-way never becomes one.

    Raises CacheError when the store refuses or does not answer.
    """

    young_s = 86_400.0  # without locks: a running packing is assumed to be younger

    def __init__(self, scheme: str, path: str) -> None:
        import fsspec

        self.scheme, self.root = scheme, path.rstrip("/")
        self._bucket_was_there = scheme == "memory"  # which needs no bucket
        try:
            # Listings are not remembered: other machines write at the same time.
            self._files: Any = fsspec.filesystem(scheme, use_listings_cache=False)
        except ImportError as error:
            raise MissingExtraError("s3fs", "s3", f"a cache at {scheme}://") from error

    def label(self, name: str) -> str:
        return f"{self.scheme}://{self.root}/{name}"

    def read(self, name: str) -> bytes:
        with self._answering(name):
            return bytes(self._files.cat_file(self._at(name)))

    def read_part(self, name: str, start: int, size: int) -> bytes:
        try:
            with self._answering(name):
                return bytes(self._files.cat_file(self._at(name), start=start, end=start + size))
        except CacheError:
            status = self.status(name)
            if status and status.size <= start:  # S3 refuses a range that begins behind the end
                return b""
            raise

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

    def status(self, name: str) -> Status | None:
        try:
            with self._answering(name):
                found = self._files.info(self._at(name))
        except FileNotFoundError:
            return None
        size, written = int(found["size"]), found.get("LastModified") or found.get("created")
        return Status(size, written.timestamp(), (found.get("ETag"), size, str(written)))

    def write(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        """All pieces are made before the first byte is sent."""
        try:
            with self._answering(name):
                if self.scheme == "memory":
                    self._files.pipe_file(self._at(name), b"".join(pieces))
                    return
                # From disk, so that memory does not grow with them. S3 shows an object after its
                # put, or after the last step of a put in parts, and not before.
                with tempfile.NamedTemporaryFile() as file:
                    file.writelines(pieces)
                    file.flush()
                    self._files.put_file(file.name, self._at(name))
        except FileNotFoundError:
            self._check_bucket()  # which was there before
            raise

    def remove(self, name: str) -> None:
        try:
            self._files.rm_file(self._at(name))
        except Exception:  # read-only, or removed already: it harms nothing
            return

    def names(self, ending: str) -> Iterator[str]:
        with self._answering(""):
            found = self._files.find(self.root)
            if not found:
                self.check_there()
        start = len(self._files._strip_protocol(self.root).rstrip("/")) + 1
        for path in sorted(found):
            name = path[start:]
            if name.endswith(ending) and name.count("/") == 1:
                yield name

    def locked(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    def leftovers(self, only_abandoned: bool = False) -> Iterator[str]:
        return iter(())

    def check_there(self) -> None:
        """Raise CacheError if the bucket does not exist. Checks once."""
        if not self._bucket_was_there:
            self._check_bucket()
            self._bucket_was_there = True

    def _check_bucket(self) -> None:
        """Only a look-up of the bucket distinguishes it from an absent object."""
        bucket = self.root.partition("/")[0]
        try:
            self._files.info(bucket)
        except FileNotFoundError as error:
            raise CacheError(
                f"{self.scheme}://{self.root}: there is no bucket '{bucket}'; check the name in "
                "features.cache_dir and the address of the store (AWS_ENDPOINT_URL), or make the "
                f"bucket: aws s3 mb {self.scheme}://{bucket}"
            ) from error
        except Exception:  # a bucket without permission to look it up exists, or its use raises
            return

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"

    @contextmanager
    def _answering(self, name: str) -> Iterator[None]:
        """Every store's driver raises its own kinds: only 'not there' is kept apart."""
        try:
            yield
        except FileNotFoundError:
            self.check_there()
            raise
        except CacheError:
            raise
        except Exception as error:
            kind = type(error).__name__
            raise CacheError(
                f"{self.label(name)}: the object store refused or did not answer ({kind}: {error});"
                " check features.cache_dir, the network and the credentials"
            ) from error


Storage = Folder | ObjectStore


def open_storage(where: str | Path) -> Storage:
    """A folder by its path or file:// URL, or an object store by its URL.

    Raises CacheError for what looks like a URL and is none of these: no folder of such a name.
    """
    text = str(where)
    if not text.strip():
        raise CacheError(f"a cache at '{text}': that is no place; {KINDS}")
    match = URL.match(text)
    if match is None:
        return Folder(_path(text))
    scheme, (host, slash, path) = match[1].lower(), match[2].partition("/")
    if scheme == "file":
        if host.lower() not in ("", "localhost") or not slash:
            raise CacheError(
                f"{text}: a file:// URL names a folder of this machine from its root on, such as "
                "file:///mnt/share/features; mount that of another machine"
            )
        return Folder(Path("/" + unquote(path)))
    if scheme not in SCHEMES:
        raise CacheError(f"{where}: no cache can be kept at {scheme}://; {KINDS}")
    if not host:
        raise CacheError(f"{where}: it names no bucket; write {scheme}://BUCKET/PREFIX")
    return ObjectStore(scheme, match[2])


def _path(text: str) -> Path:
    if NEARLY_URL.match(text):
        raise CacheError(
            f"{text}: neither a URL nor clearly a path; {KINDS}. A folder of that name: ./{text}"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise CacheError(f"{text}: {error}; write the path in full") from error
