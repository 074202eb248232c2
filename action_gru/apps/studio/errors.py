"""What a request is answered with when it cannot be done: a sentence and an HTTP status."""

from __future__ import annotations

from pydantic import ValidationError

from action_gru.core.errors import ActionGruError, is_full

FULL_MEND = "the disk is full: free space, then try again"


class MissingThingError(ActionGruError):
    """What a request names is not there, or not any more."""

    status = 404


class NotVideoError(ActionGruError):
    """A file is no video by its name."""

    status = 415


class NoSpaceError(ActionGruError):
    """The disk is full."""

    status = 507


def status_of(error: ActionGruError) -> int:
    """The HTTP status of an error of ours: its own, that of a full disk, or 400."""
    return int(getattr(error, "status", 507 if is_full(error) else 400))


def what_of(error: OSError | ValueError) -> str:
    """What is wrong with a file of ours, in one line: the first thing that does not fit."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}"
