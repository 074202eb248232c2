"""Checks where a command is to write before its work, not after."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from action_gru.errors import ConfigError
from action_gru.timeline import FORMATS

VIDEOS = (".mp4", ".mov", ".mkv")
PICTURE, SENTENCES = ".png", ".txt"


def check_target(
    option: str, target: Path, suffixes: tuple[str, ...], kept: Sequence[Path]
) -> None:
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


def check_targets(
    option: str, targets: Sequence[Path], suffixes: tuple[str, ...], kept: Sequence[Path]
) -> None:
    """Each of several targets, which must not be each other either."""
    for index, target in enumerate(targets):
        check_target(option, target, suffixes, [*kept, *targets[:index]])


def check_folder(named: str, folder: Path) -> None:
    """Raise ConfigError where nothing could be written into a folder, made if need be.

    named: what errors begin with.
    """
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise ConfigError(f"{named}{'' if nearest == folder else f': {nearest}'} is a file; "
                          "choose another folder")  # fmt: skip
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"{named}: cannot be written ({nearest} allows it not); name another")


def check_picture_or_folder(option: str, target: Path, kept: Sequence[Path]) -> None:
    """The same for a .png, or for a folder that gets one."""
    if target.suffix.lower() == ".png" and not target.is_dir():
        check_target(option, target, (".png",), kept)
    elif target.suffix and not target.is_dir():
        raise ConfigError(f"{option} {target}: is neither a folder nor a .png; name one of these")
    else:
        check_folder(f"{option} {target}", target)


def timeline_endings(in_words: bool) -> tuple[str, ...]:
    """What a timeline can be written as; sentences only where there are any."""
    return (*FORMATS, PICTURE, *([SENTENCES] if in_words else []))


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
