"""Names of clip files: safe on every system, unique in their folder, and told by their bytes."""

from __future__ import annotations

import filecmp
import re
from datetime import datetime
from pathlib import Path

from action_gru.apps.studio.errors import NotVideoError
from action_gru.core.paths import VIDEO_SUFFIXES, composed
from action_gru.prepare.project_file import DEVICES, NO_LETTERS, is_shown

MOST_STEM_BYTES = 100
FILES = "files"  # in the folder of a tried video: what can be fetched
_MP4 = b"ftyp"


def safe_name(name: str) -> str:
    """A file's own name without what is no name everywhere; its folders are left out.

    Raises NotVideoError for an ending that no video has.
    """
    last = composed(re.split(r"[/\\]", name)[-1])
    letters = ("_" if letter in NO_LETTERS else letter for letter in last if is_shown(letter))
    stem, dot, ending = "".join(letters).rpartition(".")
    suffix = f".{ending.lower()}" if dot else ""
    if suffix not in VIDEO_SUFFIXES:
        raise NotVideoError(
            f"'{last[:80]}' is no video by its name; give an .mp4, .webm, .mov, .avi or .mkv"
        )
    stem = stem.encode()[:MOST_STEM_BYTES].decode(errors="ignore").strip(" ._-")
    return f"{'_' * bool(DEVICES.fullmatch(stem))}{stem or 'clip'}{suffix}"


def recorded_place(folder: Path, take: str | None, number: int, file: Path) -> Path:
    """Where a recording goes: TAKE-NUMBER with the ending of its kind, the next number if taken.

    take: when it began, '20261129-101500'; None for now. A page that got no answer, as from a
    server that was killed, sends the recording again: the same bytes have the same place.
    """
    take = take or f"{datetime.now():%Y%m%d-%H%M%S}"
    taken = {path.stem for path in folder.iterdir()}
    ending = _ending(file)
    while f"{take}-{number}" in taken:
        there = folder / f"{take}-{number}{ending}"
        if there.is_file() and filecmp.cmp(there, file, shallow=False):
            return there
        number += 1
    return folder / f"{take}-{number}{ending}"


def _ending(file: Path) -> str:
    """By the first bytes: browsers record WebM, or MP4 where they are Safari."""
    with file.open("rb") as opened:
        head = opened.read(12)
    return ".mp4" if head[4:8] == _MP4 else ".webm"


def new_name() -> str:
    """Of a folder in the trash; no other one has it."""
    return f"{datetime.now():%Y%m%d-%H%M%S-%f}"
