"""An object store as the storage of a cache, and the storage that a path or URL names.

An object store takes an object as a whole: what is cut half-way never becomes one.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from action_gru.core.errors import CacheError, MissingExtraError
from action_gru.features.storage import Folder, Status, Storage

URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)\Z", re.DOTALL | re.IGNORECASE)
# A URL that is cut or mistyped: 's3:bucket', 'http:/host'. A folder 'a:b' is none.
NEARLY_URL = re.compile(r"(file|memory|s3):|[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


class ObjectStore:
    """Objects below a URL, by fsspec. Raises CacheError when the store refuses or does not answer.

    How an object appears whole is different from store to store, so only those of PUTS are taken.
    """

    has_locks: bool = False

    def __init__(self, scheme: str, path: str) -> None:
        self.scheme, self.root = scheme, path.rstrip("/")
        self._bucket_was_there = scheme not in WITH_BUCKETS
        self._put = PUTS[scheme]
        self._files = _file_system(scheme)

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
            if self.status(name).size <= start:  # S3 refuses a range that begins behind the end
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

    def version(self, name: str) -> tuple[object, ...]:
        try:
            with self._answering(name):
                found = self._files.info(self._at(name))
        except FileNotFoundError:
            return ()
        written = found.get("LastModified", found.get("created"))
        return found.get("ETag"), found["size"], str(written)

    def write(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        try:
            with self._answering(name):
                self._put(self._files, self._at(name), pieces)
        except FileNotFoundError:
            self._check_bucket()  # which was there before
            raise

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
            if not found:
                self.check_there()
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
        """Raise CacheError when there is no such bucket. It is asked for once."""
        if not self._bucket_was_there:
            self._check_bucket()
            self._bucket_was_there = True

    def _check_bucket(self) -> None:
        """Raise CacheError when there is no such bucket: S3 tells it from an object that is absent
        only if it is asked for the bucket.
        """
        bucket = self.root.partition("/")[0]
        try:
            self._files.info(bucket)
        except FileNotFoundError as error:
            raise CacheError(
                f"{self.scheme}://{self.root}: there is no bucket '{bucket}'; check the name in "
                "features.cache_dir and the address of the store (AWS_ENDPOINT_URL), or make the "
                f"bucket: aws s3 mb {self.scheme}://{bucket}"
            ) from error
        except Exception:  # one that may not be looked at is there, or its use will tell
            return

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"

    @contextmanager
    def _answering(self, name: str) -> Iterator[None]:
        """Every store's driver raises kinds of its own: told apart here is only 'not there'."""
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
WITH_BUCKETS = ("s3",)  # that must be made before the first object
KINDS = "take a folder, file://, " + " or ".join(f"{name}://" for name in sorted(PUTS))


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
    scheme, rest = match[1].lower(), match[2]
    if scheme == "file":
        return Folder(_path_of_url(text, rest))
    if scheme not in PUTS:
        raise CacheError(f"{where}: no cache can be kept at {scheme}://; {KINDS}")
    if not rest.partition("/")[0]:
        raise CacheError(f"{where}: it names no bucket; write {scheme}://BUCKET/PREFIX")
    return ObjectStore(scheme, rest)


def _path(text: str) -> Path:
    if NEARLY_URL.match(text):
        raise CacheError(
            f"{text}: neither a URL nor clearly a path; {KINDS}. A folder of that name: ./{text}"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise CacheError(f"{text}: {error}; write the path in full") from error


def _path_of_url(url: str, rest: str) -> Path:
    host, slash, path = rest.partition("/")
    if host.lower() not in ("", "localhost") or not slash:
        raise CacheError(
            f"{url}: a file:// URL names a folder of this machine from its root on, such as "
            "file:///mnt/share/features; mount that of another machine"
        )
    return Path("/" + unquote(path))
