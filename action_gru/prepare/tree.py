"""Looks into a dataset's folder without leaving it. Knows nothing of any dataset's layout."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from action_gru.errors import DataError
from action_gru.paths.names import is_hidden, is_video
from action_gru.paths.to_paste import command_line

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
    paths = [place.absolute()] if place.is_file() else [place / path for path in walk_files(place)]
    archives = [
        (path, path.with_name(match[1]), match[2].lower())
        for path in paths
        if (match := _ARCHIVE.fullmatch(path.name))
    ]
    if place.is_dir():
        archives = [one for one in archives if not one[1].exists()]
    if not archives:
        return None
    archive, folder, kind = archives[0]
    unpack: list[str | Path] = (
        ["unzip", archive, "-d"] if kind == "zip" else ["tar", "-xf", archive, "-C"]
    )
    if kind == "rar":
        unpack[0] = "bsdtar"  # of libarchive; GNU tar reads no rar
    command = f"{command_line('mkdir', '-p', folder)} && {command_line(*unpack, folder)}"
    if place.is_file():
        return f"Unpack the archive and pass {folder}: {command}"
    others = f", and {len(archives) - 1} others likewise" if len(archives) > 1 else ""
    return f"It holds archives that are not unpacked; unpack {archive.name}{others}: {command}"


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


def require_split(dataset: str, split: int, count: int) -> None:
    """Raise DataError unless 1 <= split <= count."""
    if not 1 <= split <= count:
        have = "one split" if count == 1 else f"the splits 1 to {count}"
        raise DataError(f"{dataset} has {have}, got --split {split}; choose one of these")
