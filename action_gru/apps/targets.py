"""Checks where a command is to write before its work, not after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from action_gru.errors import ConfigError


def check_target(option: str, target: Path, suffixes: tuple[str, ...], kept: list[Path]) -> None:
    """Raise ConfigError where a file could not be written, or would replace one of `kept`."""
    named = f"{option} {target}"
    if target.suffix.lower() not in suffixes:
        raise ConfigError(f"{named}: unknown ending '{target.suffix}'; use {', '.join(suffixes)}")
    if target.is_dir():
        raise ConfigError(f"{named}: is a folder; name a new file")
    if target.resolve() in [path.resolve() for path in kept]:
        raise ConfigError(f"{named}: would replace a file that is read or written; choose another")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"{named}: no folder {folder}; make it first")
    # As long as the longest name that the writing itself will use beside the target.
    probe = folder / f".{target.name}.{os.getpid()}.{'0' * 15}.part"
    try:
        probe.write_bytes(b"probe")
    except OSError as error:
        raise ConfigError(f"{named}: cannot be written ({error.strerror or error})") from error
    finally:
        probe.unlink(missing_ok=True)


@contextmanager
def folder_for(option: str, folder: Path) -> Iterator[Path]:
    """A folder made before the work, so that a place that cannot be written is named at once.

    A new one is removed again when the work fails before anything is in it. Raises ConfigError.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{option} {folder}: no folder can be made there ({error.strerror}); name another"
        ) from error
    try:
        yield folder
    except BaseException:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()
        raise
