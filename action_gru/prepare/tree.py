"""Looks into a dataset's folder without leaving it. Knows nothing of any dataset's layout."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from action_gru.core.errors import DataError
from action_gru.core.paths import is_hidden, is_video
from action_gru.core.text import command_line

_ENDINGS_SHOWN = 12
_ARCHIVE = re.compile(r"(.+)\.(zip|rar|tar(?:\.gz|\.bz2|\.xz)?|tgz|tbz2|txz)", re.IGNORECASE)


def walk_files(root: Path) -> Iterator[PurePosixPath]:
    """All files below root, relative to it, hidden ones skipped; in a fixed order.

    Raises DataError at a link: what it points to may lie outside of the root.
    """
    for parent, folders, files in os.walk(root, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        visible = sorted(name for name in files if not is_hidden(name))
        for name in [*folders, *visible]:
            if Path(parent, name).is_symlink():
                raise DataError(
                    f"{Path(parent, name)}: is a link, and nothing is read through links inside "
                    f"of {root}; put the real files there, or pass the folder they lie in"
                )
        inner = PurePosixPath(Path(parent).relative_to(root).as_posix())
        yield from (inner / name for name in visible)


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error}); check its permissions") from error


def videos_in(root: Path) -> list[PurePosixPath]:
    """The videos below root, relative to it."""
    return [path for path in walk_files(root) if is_video(root / path)]


def how_to_unpack(place: Path) -> str | None:
    """What to do about an archive, or about those below a folder: the shell's command.

    None where there is none, or each has a folder of its name beside it: it is unpacked already.
    """
    if place.is_file():
        archive = place.absolute()
        match = _ARCHIVE.fullmatch(archive.name)
        return match and f"Unpack the archive and pass its folder: {_unpack(archive, match)}"
    packed = [
        (root_path, match)
        for path in walk_files(place)
        if (match := _ARCHIVE.fullmatch(path.name))
        and not (root_path := place / path).with_name(match[1]).exists()
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


def ending(path: PurePosixPath) -> str:
    """A file's ending in small letters."""
    return path.suffix.lower() or "no ending"


def count(names: Iterable[str]) -> dict[str, int]:
    """How often each name comes, the most frequent first."""
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


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, stripped of space at their ends."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read as UTF-8 text ({error}); take the file afresh"
        ) from error
