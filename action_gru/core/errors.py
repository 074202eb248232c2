"""Every error that a user can cause or meet, and which errors of the system may pass.

ActionGruError               exit code
├── MachineError             1   no handles, memory or disk left for the work, whatever the file
├── ConfigError              2   a key, a type, a range or a path in the YAML or an override
├── DataError                3   a manifest, a label, a split, a class list
├── VideoError               4   a file or stream that is no video, or gives no frame
├── BackboneError            5   weights that are missing, unsafe or of another kind
├── CacheError               6   a feature store that cannot be read or written
├── CheckpointError          7   a run that is missing, damaged or does not fit the data
├── MissingExtraError        8   an optional package that is not installed
├── TrainingError            9   a training whose loss is no number any more
│   └── LostProcessError     9   a training in several processes, one of which ended
└── ClusterError            10   a cluster that is not there, or whose workers cannot work

Other exit codes: 0 done, 1 the system (a path that cannot be used, and unforeseen errors), 2 a
command line that is none, 130 interrupted.

Each message says what went wrong, what was found, and how to mend it.
"""

from __future__ import annotations

import errno
from pathlib import Path

PAUSES_S = (0.2, 2.0)  # between three attempts
FULL = {errno.ENOSPC, errno.EDQUOT}
# No file can be read without these.
EXHAUSTED = FULL | {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
# These may come from one file or its disk alone.
INTERRUPTED = {
    errno.EIO, errno.EINTR, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY, errno.ENOTCONN,
    errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET,
}  # fmt: skip


class ActionGruError(Exception):
    """Base of all errors with a message meant for the user."""

    exit_code = 1


class MachineError(ActionGruError):
    exit_code = 1


class ConfigError(ActionGruError):
    exit_code = 2


class DataError(ActionGruError):
    exit_code = 3


class VideoError(ActionGruError):
    exit_code = 4


class BackboneError(ActionGruError):
    exit_code = 5


class CacheError(ActionGruError):
    exit_code = 6


class CheckpointError(ActionGruError):
    exit_code = 7


class MissingExtraError(ActionGruError):
    exit_code = 8

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed; "
            f"install it with: pip install 'action-gru[{extra}]' (in a clone: '-e .[{extra}]')"
        )


class TrainingError(ActionGruError):
    exit_code = 9


class LostProcessError(TrainingError):
    def __init__(self) -> None:
        super().__init__(
            "another process of this training ended; its own message, or the launcher's, says why. "
            "Whole epochs are kept: go on with 'action-gru resume RUN', under the same launcher"
        )


class ClusterError(ActionGruError):
    exit_code = 10


class RunInterrupted(KeyboardInterrupt):
    """ctrl-C in a training with a finished epoch: `action-gru resume RUN` continues."""

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run


def system_errno(error: BaseException) -> int | None:
    """The system's error number; None for PyAV's OSErrors, which concern the file."""
    is_of_system = isinstance(error, OSError) and type(error).__module__ == "builtins"
    return error.errno if is_of_system else None  # type: ignore[attr-defined]


def is_full(error: BaseException) -> bool:
    """Is the disk full?"""
    return bool(_errnos(error) & FULL)


def is_exhausted(error: BaseException) -> bool:
    """Has the machine no handles, memory or disk left, for any file?"""
    return bool(_errnos(error) & EXHAUSTED)


def is_transient(error: BaseException) -> bool:
    """Is another attempt worthwhile: a machine at its limit, or a disk that did not answer?"""
    return bool(_errnos(error) & (EXHAUSTED | INTERRUPTED))


def _errnos(error: BaseException | None) -> set[int | None]:
    """The numbers of an error and its causes."""
    found = set()
    while error is not None:
        found.add(errno.ENOMEM if isinstance(error, MemoryError) else system_errno(error))
        error = error.__cause__
    return found
