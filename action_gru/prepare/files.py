"""The files of a dataset's folder. Looks into it without leaving it; knows no dataset's layout."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from action_gru.core.errors import DataError
from action_gru.core.numbered_pictures import frame_folders, is_frame_archive
from action_gru.core.paths import VIDEO_SUFFIXES, is_hidden, is_video
from action_gru.core.text import command_line, counted, name_some
from action_gru.prepare.rows import Row

_ENDINGS_SHOWN = 12
_ARCHIVE = re.compile(r"(.+)\.(zip|rar|tar(?:\.gz|\.bz2|\.xz)?|tgz|tbz2|txz)", re.IGNORECASE)


def walk_files(root: Path) -> Iterator[PurePosixPath]:
    """All files below root, relative to it, hidden ones skipped; in a fixed order.

    Links are followed, but for one to a folder that it lies in; see `first_link`.
    """
    for parent, folders, files in os.walk(root, onerror=_unreadable, followlinks=True):
        folders[:] = sorted(name for name in folders if _is_entered(Path(parent, name)))
        inner = PurePosixPath(Path(parent).relative_to(root).as_posix())
        yield from (inner / name for name in sorted(files) if not is_hidden(name))


def _is_entered(folder: Path) -> bool:
    if is_hidden(folder.name) or not folder.is_symlink():
        return not is_hidden(folder.name)
    inside = folder.parent.resolve()
    return folder.resolve() not in (inside, *inside.parents)


def first_link(root: Path) -> Path | None:
    """A link below root, hidden ones aside: what it names may lie outside of it."""
    for parent, folders, files in os.walk(root, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        visible = sorted(name for name in files if not is_hidden(name))
        for path in (Path(parent, name) for name in [*folders, *visible]):
            if path.is_symlink():
                return path
    return None


def has_links(root: Path, allowed: bool) -> bool:
    """Whether a link lies below root. Raises DataError for one where none is allowed."""
    link = first_link(root)
    if link and not allowed:
        raise DataError(
            f"{link}: is a link, and nothing is read through links inside of {root}; put the real "
            "files there, or pass --follow-links (of prepare) or data.follow_links=true"
        )
    return link is not None


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error}); check its permissions") from error


def videos_in(root: Path) -> list[PurePosixPath]:
    """The videos below root, relative to it."""
    return [path for path in walk_files(root) if is_video(root / path)]


def clips_in(root: Path, files: Sequence[PurePosixPath] | None = None) -> list[PurePosixPath]:
    """The videos below root, then its archives and its folders of frames, relative to it.

    files: all below root, where they are known.
    """
    files = list(walk_files(root)) if files is None else files
    videos = [path for path in files if is_video(root / path)]
    archives = [path for path in files if is_frame_archive(root / path)]
    return [*videos, *archives, *frame_folders(files, videos)]


def ending(path: PurePosixPath) -> str:
    """A file's ending in small letters."""
    return path.suffix.lower() or "no ending"


def count(names: Iterable[str]) -> dict[str, int]:
    """How often each name occurs, the most frequent first."""
    return dict(Counter(names).most_common())


def counts_text(counts: Mapping[str, int]) -> str:
    """{'.divx': 2, '.vob': 1} -> '.divx 2, .vob 1'."""
    shown = [f"{name} {number}" for name, number in counts.items()][:_ENDINGS_SHOWN]
    return ", ".join(shown) + (", ..." if len(counts) > _ENDINGS_SHOWN else "")


def find_file(root: Path, name: str, mend: str) -> Path:
    """The one file of this name below root; of several, the one nearest to root.

    Raises DataError with the mend where there is none.
    """
    found = [path for path in walk_files(root) if path.name == name]
    if not found:
        raise DataError(f"{root}: holds no {name}; {mend}")
    return root / min(found, key=lambda path: len(path.parts))


def match_lines(
    path: Path, pattern: re.Pattern[str], expected: str, mend: str
) -> Iterator[tuple[str, re.Match[str]]]:
    """(`path:number`, match of the pattern) of each line that is not blank, stripped.

    Raises DataError for a line that does not match and for a file that is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read as UTF-8 text ({error}); take the file afresh"
        ) from error
    for number, line in enumerate(map(str.strip, lines), start=1):
        if line:
            match = pattern.fullmatch(line)
            if match is None:
                raise DataError(f"{path}:{number}: got {line!r}, expected {expected}; {mend}")
            yield f"{path}:{number}", match


class Library:
    """The clips below a root by their names: videos, archives and folders of frames.

    A clip that was encoded anew is found by its stem: `v_1.avi` as `v_1.mp4`, `v_1.avi.mp4` and as
    the folder `v_1` of its frames; of several the first by path.
    """

    def __init__(self, root: Path) -> None:
        files = list(walk_files(root))
        clips = clips_in(root, files)
        self._root, self._endings = root, count(map(ending, files))
        self._known: dict[str, str] = {}
        for attribute in ("name", "stem"):
            for path in clips:
                self._add(path, getattr(path, attribute))
        self.frames = {str(path) for path in clips if path.suffix.lower() not in VIDEO_SUFFIXES}

    def _add(self, path: PurePosixPath, name: str) -> None:
        for key in (str(path.with_name(name)), f"{path.parent.name}/{name}", name):
            self._known.setdefault(key, str(path))

    def find(self, name: str) -> str | None:
        """The path of a clip, below the root. name: its path, `<folder>/<file>` or file, with or
        without an ending.
        """
        return self._known.get(name) or self._known.get(name.rpartition(".")[0])

    def refuse_none(self, rows: Sequence[Row], mend: str) -> None:
        """Raise DataError where all rows are missing, with what is there instead."""
        if not all(row.is_missing for row in rows):
            return
        names = list(dict.fromkeys(row.path for row in rows))
        raise DataError(
            f"{self._root}: none of the {counted(len(names), 'clip')} named is here "
            f"({name_some(names)}); the files here are {counts_text(self._endings) or 'none'}; "
            f"{mend}"
        )


def locate(
    root: Path, named: Sequence[Row], mend: str, frame_rate: float | None = None
) -> list[Row]:
    """The rows of an official list with the paths of their clips below root, or as missing.

    named: their path is one that `Library.find` takes. frame_rate: of clips that are frames, where
    the dataset says it. Raises DataError where all are missing.
    """
    library = Library(root)
    found = {row.path: library.find(row.path) for row in named}
    rows = [
        replace(row, path=path, frame_rate=frame_rate if path in library.frames else None)
        if (path := found[row.path])
        else replace(row, is_missing=True)
        for row in named
    ]
    library.refuse_none(rows, mend)
    return rows


def how_to_unpack(place: Path) -> str | None:
    """The shell command that unpacks an archive, or those of a folder that lack their folder."""
    if place.is_file():
        archive = place.absolute()
        match = _ARCHIVE.fullmatch(archive.name)
        return match and f"Unpack the archive and pass its folder: {_unpack(archive, match)}"
    packed = [
        (place / path, match)
        for path in walk_files(place)
        if (match := _ARCHIVE.fullmatch(path.name))
        and not (place / path).with_name(match[1]).exists()
    ]
    if not packed:
        return None
    archive, match = packed[0]
    others = f", and {len(packed) - 1} others likewise" if len(packed) > 1 else ""
    command = _unpack(archive, match)
    return f"It holds archives that are not unpacked; unpack {archive.name}{others}: {command}"


def _unpack(archive: Path, name: re.Match[str]) -> str:
    """The command that unpacks an archive into a folder of its name beside it."""
    folder, kind = archive.with_name(name[1]), name[2].lower()
    if kind == "zip":
        command = command_line("unzip", archive, "-d", folder)
    else:  # GNU tar reads no rar; bsdtar, of libarchive, does
        program = "bsdtar" if kind == "rar" else "tar"
        command = command_line(program, "-xf", archive, "-C", folder)
    return f"{command_line('mkdir', '-p', folder)} && {command}"
