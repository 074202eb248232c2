"""Folders and archives of numbered pictures: which of their files are the frames of one clip.

Knows names, no codec. The number of a picture is the last run of digits in its name.
"""

from __future__ import annotations

import contextlib
import glob
import gzip
import hashlib
import io
import itertools
import os
import re
import tarfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar

from action_gru.core.errors import VideoError
from action_gru.core.files import file_sha256
from action_gru.core.paths import PICTURE_SUFFIXES, is_archive, is_hidden
from action_gru.core.text import command_line, counted, name_some

_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})([^0-9]*)", re.DOTALL)
_HEAD_BYTES = 1 << 20  # of an unpacked tar: its first file begins in it
_BROKEN = (OSError, EOFError, RuntimeError, ValueError, zlib.error)
ARCHIVE_ERRORS = (*_BROKEN, tarfile.TarError, zipfile.BadZipFile, NotImplementedError)
AnyPath = TypeVar("AnyPath", bound=PurePath)


@dataclass(frozen=True)
class PictureList:
    """The frames of a clip: names in the order of their numbers. strays: files that are none."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    strays: tuple[str, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """What to know before believing an answer: numbers that are missing, files left out."""
        pairs = list(zip(self.names, self.numbers, strict=True))
        gaps = [
            (second - first - 1, f"{name} and {following}")
            for (name, first), (following, second) in itertools.pairwise(pairs)
            if second - first > 1
        ]
        found = []
        if gaps:
            lost, places = sum(count for count, _ in gaps), counted(len(gaps), "place")
            found.append(
                f"{counted(lost, 'number')} missing at {places}, the first between {gaps[0][1]}: "
                "read as time without a picture"
            )
        if self.strays:
            files = counted(len(self.strays), "file")
            found.append(f"{files} left out, as no pictures: {name_some(self.strays)}")
        return tuple(found)


def list_pictures(names: Iterable[str]) -> PictureList:
    """The frames among the files of one folder or archive, by their POSIX paths in it.

    Raises ValueError, which says what is wrong and the mend, where there is no picture, one has no
    number, two have the same, or they lie in several folders.
    """
    numbered, strays = dict[int, str](), []
    for name in sorted(names):
        path = PurePosixPath(name)
        is_shown = name.isprintable() and not any(map(is_hidden, path.parts))
        if not is_shown or path.suffix.lower() not in PICTURE_SUFFIXES:
            strays.append(name if name.isprintable() else ascii(name))  # may steer a terminal
            continue
        match = _NUMBERED.fullmatch(path.stem)
        if match is None:
            raise ValueError(f"the picture {name} has no number; number them in order of time")
        if other := numbered.get(int(match[2])):
            raise ValueError(
                f"{other} and {name} have the same number; give each clip a folder of its own"
            )
        numbered[int(match[2])] = name
    if not numbered:
        out = f" (left out: {name_some(strays)})" if strays else ""
        raise ValueError(f"no picture in it{out}; give one that holds numbered pictures")
    parents = {str(PurePosixPath(name).parent): name for name in numbered.values()}
    if len(parents) > 1:
        raise ValueError(
            f"pictures lie in {len(parents)} folders of it ({name_some(sorted(parents))}); make an "
            "archive of each"
        )
    numbers = sorted(numbered)
    return PictureList(tuple(map(numbered.__getitem__, numbers)), tuple(numbers), tuple(strays))


def list_folder(folder: Path) -> PictureList:
    """The frames of a folder, without what lies in folders of it. Raises VideoError."""
    try:
        return list_pictures(path.name for path in folder.iterdir() if path.is_file())
    except ValueError as error:
        raise VideoError(f"{folder}: {error}") from error


def content_sha256(path: Path) -> str:
    """Hash of what a clip is decoded from, in hex: a file's bytes, or a folder's frames.

    Of a folder it takes each picture's place and bytes in order: other names or stray files make
    no difference. Raises VideoError for a folder of anything else.
    """
    if not path.is_dir():
        return file_sha256(path)
    listed, digest = list_folder(path), hashlib.sha256()
    for name, number in zip(listed.names, listed.numbers, strict=True):
        place = number - listed.numbers[0]
        digest.update(f"{place} {file_sha256(path / name)}\n".encode())
    return digest.hexdigest()


def frame_folders(files: Iterable[AnyPath], videos: Iterable[AnyPath]) -> list[AnyPath]:
    """The folders, of those below a place, that are clips by the names of their files, sorted.

    files: all of them; videos: those that are video. A folder is no clip where a video lies in it
    or below it (pictures beside videos are thumbnails), nor one whose numbers do not run.
    """
    inside = defaultdict(list)
    for file in files:
        inside[file.parent].append(file.name)
    above = {parent for video in videos for parent in video.parents}
    places = sorted(inside.keys() - above)
    return [place for place in places if _why_no_clip(inside[place]) is None]


def _why_no_clip(names: Iterable[str]) -> str | None:
    """Why pictures are taken for single ones and not for the frames of a clip; None for a clip.

    At least two, with one name around the number, and half of the numbers from first to last.
    """
    try:
        listed = list_pictures(names)
    except ValueError as error:
        return str(error).partition(";")[0]
    forms = {_NUMBERED.sub(r"\1*\3", PurePosixPath(name).stem) for name in listed.names}
    first, last, count = listed.numbers[0], listed.numbers[-1], len(listed.numbers)
    if len(forms) > 1 or count < 2 or 2 * count < last - first + 1:
        return f"{counted(count, 'picture')} with numbers from {first} to {last} do not run"
    return None


def is_frame_archive(path: Path) -> bool:
    """Whether an archive's name and its first file say that it holds the frames of a clip."""
    if not is_archive(path):
        return False
    try:
        names = _names_at_start(path)
    except ARCHIVE_ERRORS:
        return False
    shown = (name for name in names if not any(map(is_hidden, PurePosixPath(name).parts)))
    return PurePosixPath(next(shown, "")).suffix.lower() in PICTURE_SUFFIXES


def _names_at_start(path: Path) -> list[str]:
    """Names of the files in an archive: of a zip all, of a tar those in its first megabyte."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            return [one.filename for one in archive.infolist() if not one.is_dir()]
    with _unpacked(path) as file:
        head = io.BytesIO(file.read(_HEAD_BYTES))
    names = []
    with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=head, mode="r:") as tar:
        for member in tar:  # an error where the head ends inside a file
            names += [member.name] if member.isreg() else []
    return names


def _unpacked(path: Path) -> BufferedReader | gzip.GzipFile:
    return path.open("rb") if path.suffix.lower() == ".tar" else gzip.open(path, "rb")


def about_pictures(place: Path) -> str | None:
    """Why pictures below a place are no clip, and the mend; None where there is no picture."""
    for parent, folders, files in os.walk(place):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        suffixes = Counter(Path(name).suffix for name in files if not is_hidden(name))
        pictures = [suffix for suffix in suffixes if suffix.lower() in PICTURE_SUFFIXES]
        if not pictures:
            continue
        why = _why_no_clip(files)
        if why is None:
            return f"the pictures in {parent} are the frames of a clip: name that folder"
        suffix = max(sorted(pictures), key=suffixes.__getitem__)
        return (
            f"it holds pictures, and {why}, so they are not the frames of a clip; number them in "
            "order of time, or make a video of each folder, at the rate they were taken: "
            f"{_video_of_pictures(Path(parent), suffix)}"
        )
    return None


def _video_of_pictures(folder: Path, suffix: str) -> str:
    """The ffmpeg command that makes `folder.mkv` of a folder's pictures of one ending, by name."""
    folder = folder if folder.name else folder.resolve()
    # ffmpeg takes a dash for an option, and the text before a colon for a protocol.
    shown = f"./{folder}" if str(folder).startswith("-") or ":" in str(folder) else str(folder)
    pictures = ("-pattern_type", "glob", "-i", f"{glob.escape(shown)}/*{suffix}")
    codec = ("-c:v", "mjpeg", "-q:v", "2")  # takes odd sizes, unlike H.264
    return command_line("ffmpeg", "-framerate", "25", *pictures, *codec, f"{shown}.mkv")
