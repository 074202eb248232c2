"""Files that appear whole or not at all. Knows nothing of what is in them.

While it is written, a file is called .NAME.MACHINE-PID-TIME.part and its writer holds a lock on it.
The lock ends with the process, however that ends: a file without a lock is a leftover.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from action_gru.core.errors import CheckpointError

PART = ".part"
YOUNG_S = 3600.0  # what is younger may belong to a process of another machine


def write_atomically(
    path: Path, data: bytes | Iterable[bytes | memoryview], root: Path | None = None
) -> None:
    """Write beside the place, sync, rename: a crash leaves the old file or the new one.

    data: all of it, or its pieces. root: a folder at most one above the file, which is not made
    again where it has vanished. Of several processes the last one wins. Raises OSError.
    """
    mark = f"{_machine()}-{os.getpid()}-{time.monotonic_ns()}"
    part = path.with_name(f".{path.name}.{mark}{PART}")
    if path.parent != root:
        path.parent.mkdir(parents=root is None, exist_ok=True)
    try:
        with part.open("wb") as file:
            _lock(file, fcntl.LOCK_EX)
            for piece in [data] if isinstance(data, bytes) else data:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_or_raise(
    path: Path,
    data: bytes | Iterable[bytes | memoryview],
    kind: type[Exception],
    failed: str = "cannot be written",
    mend: str = "free space, or make the folder writable",
    root: Path | None = None,
) -> None:
    """Like `write_atomically`; raises `kind` with what failed, the system's reason and the mend."""
    try:
        write_atomically(path, data, root)
    except OSError as error:
        raise kind(f"{path}: {failed} ({error.strerror or error}); {mend}") from error


def is_abandoned(part: Path) -> bool:
    """Has the process that wrote this .part file ended, so that the file can be removed?

    A process of this machine is known by its lock and its number. Locks of other machines are not
    always seen: their files must be an hour old too.
    """
    try:
        with part.open("rb") as file:
            if not _lock(file, fcntl.LOCK_SH | fcntl.LOCK_NB):
                return False
            found = os.fstat(file.fileno())
    except OSError:  # gone meanwhile, or not ours to judge
        return False
    machine, _, rest = part.name.removesuffix(PART).rpartition(".")[2].partition("-")
    writer = rest.partition("-")[0]
    if machine == _machine() and writer.isdecimal() and not _is_running(int(writer)):
        return True
    return time.time() - max(found.st_atime, found.st_mtime) > YOUNG_S


def write_run_file(path: Path, data: bytes, root: Path | None = None) -> None:
    """Write a file of a run, whole or not at all. Raises CheckpointError if that fails.

    root: the run's folder, which is not made again when it has vanished.
    """
    mend = "free space or set run.folder to a folder you may write"
    write_or_raise(path, data, CheckpointError, "cannot be written", mend, root)


def remove_leftovers(folder: Path) -> int:
    """Remove the abandoned .part files of a folder and of those below it; how many there were."""
    removed = 0
    for part in sorted(folder.rglob(f".*{PART}")):
        if is_abandoned(part):
            with contextlib.suppress(OSError):
                part.unlink()
                removed += 1
    return removed


def hold_folder(folder: Path) -> int | None:
    """Lock a folder until the number that is returned is closed, or this process ends.

    None where the file system knows no locks. Raises BlockingIOError when another one holds it.
    """
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(number)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return number


def is_held(folder: Path) -> bool:
    """Whether a process works in the folder now (`hold_folder`). Raises OSError.

    It asks for a shared lock, so that several may ask at once.
    """
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # the file system knows no locks, so nobody holds one
    finally:
        os.close(number)
    return False


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lock(file: IO[Any], how: int) -> bool:
    """Take the lock, which ends with the open file; False when another one holds it."""
    try:
        fcntl.flock(file, how)
    except OSError as error:  # without locks on the file system the age alone counts
        return not isinstance(error, BlockingIOError)
    return True


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:  # of another user's process: permission
        return not isinstance(error, ProcessLookupError)
    return True


@functools.cache
def _machine() -> str:
    """This machine since it was started, in eight letters."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:8]
