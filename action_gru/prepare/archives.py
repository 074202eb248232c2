"""Unpacks archives that nobody has vouched for. Knows nothing of datasets.

Nothing is written outside of the target, links and devices are refused, limits count what is
written, and the target appears whole or not at all. The limits hold for one archive; archives
inside of it are unpacked on their own account.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from action_gru.errors import DataError
from action_gru.paths.names import is_hidden
from action_gru.prepare.budget import Budget, Limits
from action_gru.prepare.rar import unpack_rar

SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".tar", ".zip", ".rar")
RECEIPT = ".unpacked-from"
_LIMITS = Limits()
# A tar header may announce a name or note of any length, which tarfile would read at one go.
_HEADER_BYTES = 4 * 2**20
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    OverflowError,
    RuntimeError,
    ValueError,
    LookupError,
)


def unpack(archive: Path, target: Path, limits: Limits = _LIMITS) -> None:
    """Unpack a zip, tar (.gz, .bz2, .xz) or rar into the new folder target.

    Raises DataError for anything unsafe, damaged, too large or unwritable; then no target is left.
    """
    kind = archive_kind(archive)
    if kind is None:
        raise DataError(
            f"{archive}: is no zip, tar, tar.gz, tar.bz2, tar.xz or rar archive; pass one of "
            "these or a folder"
        )
    if target.exists():
        raise DataError(f"{target}: exists already; pass that folder instead of {archive.name}")
    try:
        with _staged(target) as staging:
            _UNPACKERS[kind](archive, staging, Budget(archive, limits))
            (staging / RECEIPT).write_text(_receipt(archive), encoding="utf-8")
    except FileExistsError as error:
        name = Path(error.filename).name
        raise DataError(
            f"{archive}: refused, it names {name!r} twice; take the archive afresh"
        ) from error
    except OSError as error:
        raise DataError(
            f"{archive}: cannot be unpacked into {target} ({error}); free space, or unpack it by "
            "hand and pass the folder"
        ) from error
    except _DAMAGE as error:
        raise DataError(f"{archive}: is damaged ({error}); take the archive afresh") from error


def unpack_beside(archive: Path) -> Path:
    """The folder `<archive without its ending>` beside the archive, unpacked unless it is already.

    Raises DataError where that folder exists but came from elsewhere.
    """
    target = _target(archive)
    if target.exists():
        receipt = target / RECEIPT
        if receipt.is_file() and receipt.read_text(encoding="utf-8") == _receipt(archive):
            return target
        raise DataError(
            f"{target}: exists and was not unpacked from this {archive.name}; pass that folder "
            "instead, or move it away"
        )
    unpack(archive, target)
    return target


def unpack_inside(folder: Path, levels: int = 2) -> int:
    """Unpack the archives that lie directly in folder, and those in what comes out; the count.

    An archive whose folder exists is left alone: it was unpacked before, here or by hand.
    """
    archives = [
        path
        for path in sorted(folder.iterdir())
        if path.name.lower().endswith(SUFFIXES) and path.is_file() and not path.is_symlink()
    ]
    count = 0
    for archive in archives:
        if not is_hidden(archive.name) and not _target(archive).exists():
            target = unpack_beside(archive)
            count += 1 + (unpack_inside(target, levels - 1) if levels > 1 else 0)
    return count


def archive_kind(path: Path) -> str | None:
    """`zip`, `tar`, `tar.gz`, `tar.bz2`, `tar.xz`, `rar` or None, by content, not by name."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); check the path") from error
    for magic, offset, kind in _MAGIC:
        if head[offset:].startswith(magic):
            return kind
    return None


_MAGIC = (
    (b"PK\x03\x04", 0, "zip"),
    (b"PK\x05\x06", 0, "zip"),
    (b"Rar!\x1a\x07", 0, "rar"),
    (b"\x1f\x8b", 0, "tar.gz"),
    (b"BZh", 0, "tar.bz2"),
    (b"\xfd7zXZ\x00", 0, "tar.xz"),
    (b"ustar", 257, "tar"),
)


def _target(archive: Path) -> Path:
    name = archive.name
    ending = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return archive.with_name(name[: -len(ending)] if ending else f"{name}_unpacked")


def _receipt(archive: Path) -> str:
    info = archive.stat()
    return f"{archive.name} {info.st_size} bytes, changed at {info.st_mtime_ns} ns\n"


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A folder beside target that becomes target at the end, or vanishes on any exception."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield staging
        staging.chmod(0o755)
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _unpack_zip(archive: Path, folder: Path, budget: Budget) -> None:
    with zipfile.ZipFile(archive) as source:
        for info in source.infolist():
            path = folder / budget.inner_path(info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise budget.refuse(info.filename, "a link or a device")
            if info.flag_bits & 1:
                raise budget.refuse(info.filename, "encrypted")
            if info.is_dir():
                path.mkdir(parents=True, exist_ok=True)
            else:
                with source.open(info) as stream:
                    budget.copy(stream, path)


def _unpack_tar(open_stream: Callable[[Path], IO[bytes]]) -> Callable[[Path, Path, Budget], None]:
    def unpack_members(archive: Path, folder: Path, budget: Budget) -> None:
        with open_stream(archive) as raw:
            stream = cast(IO[bytes], _ShortReads(raw))
            with tarfile.open(fileobj=stream, mode="r:") as source:
                for member in source:
                    _unpack_member(source, member, folder, budget)

    return unpack_members


def _unpack_member(
    source: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, budget: Budget
) -> None:
    path = folder / budget.inner_path(member.name)
    stream = source.extractfile(member) if member.isreg() else None
    if stream is not None:
        budget.copy(stream, path)
    elif member.isdir():
        path.mkdir(parents=True, exist_ok=True)
    else:
        raise budget.refuse(member.name, "a link or a device")


class _ShortReads:
    """A stream that refuses a read larger than any honest header."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.seek = raw.seek
        self.tell = raw.tell

    def read(self, size: int) -> bytes:
        if size > _HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._raw.read(size)


# typeshed knows these three streams as io.BufferedIOBase, which they are, and not as IO[bytes].
_UNPACKERS: dict[str, Callable[[Path, Path, Budget], None]] = {
    "zip": _unpack_zip,
    "rar": unpack_rar,
    "tar": _unpack_tar(lambda path: path.open("rb")),
    "tar.gz": _unpack_tar(cast(Callable[[Path], IO[bytes]], gzip.GzipFile)),
    "tar.bz2": _unpack_tar(cast(Callable[[Path], IO[bytes]], bz2.BZ2File)),
    "tar.xz": _unpack_tar(cast(Callable[[Path], IO[bytes]], lzma.LZMAFile)),
}
