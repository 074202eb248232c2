"""Tells what the machine refuses for a while from what is wrong with a file, and tries again.

Knows nothing of what is tried.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

PAUSES_S = (0.2, 2.0)  # between three attempts: a burst of open files or of memory passes so

FULL = {errno.ENOSPC, errno.EDQUOT}
# Nothing can be done without these, whichever file it is.
EXHAUSTED = FULL | {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
# These may come from one file or its disk alone.
INTERRUPTED = {
    errno.EIO,
    errno.EINTR,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EBUSY,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ECONNRESET,
}


def system_errno(error: BaseException) -> int | None:
    """What the system said. PyAV's errors are OSErrors too, and tell of the file."""
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        return error.errno
    return None


def is_full(error: BaseException) -> bool:
    """Is the disk full?"""
    return any(system_errno(one) in FULL for one in _with_causes(error))


def is_exhausted(error: BaseException) -> bool:
    """Has the machine no handles, memory or disk left, for any file?"""
    return any(
        isinstance(one, MemoryError) or system_errno(one) in EXHAUSTED
        for one in _with_causes(error)
    )


def is_transient(error: BaseException) -> bool:
    """Is it worth another attempt: is the machine the reason, or a disk that did not answer?"""
    return is_exhausted(error) or any(
        system_errno(one) in INTERRUPTED for one in _with_causes(error)
    )


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
