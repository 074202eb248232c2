"""What the studio refuses, and what is wrong with a file of its own."""

from __future__ import annotations

from pydantic import ValidationError

from action_gru.core.errors import ActionGruError


class NotVideoError(ActionGruError):
    """A file is no video by its name."""

    status = 415


def what_of(error: OSError | ValueError) -> str:
    """What is wrong with a file of ours, in one line: the first thing that does not fit."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}"
