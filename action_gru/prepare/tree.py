"""Looks into a dataset's folder without leaving it. Knows nothing of any dataset's layout."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from action_gru.errors import DataError

_AVI_LIKE = (".avi", ".flv", ".gif", ".mkv", ".ogv", ".webm", ".wmv")
_MPEG_LIKE = (".3gp", ".m2ts", ".m4v", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts")
VIDEO_SUFFIXES = frozenset((*_AVI_LIKE, *_MPEG_LIKE))
_NAMES_SHOWN = 5


def is_hidden(name: str) -> bool:
    """Dot files, and the resource folder that macOS puts into its zip files."""
    return name.startswith(".") or name == "__MACOSX"


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


def is_video(path: PurePosixPath) -> bool:
    """Whether the name ends like a video's."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def clips_by_folder(root: Path) -> dict[tuple[str, str], PurePosixPath]:
    """(folder name, file name) -> path of each video; of two equal ones the first by path."""
    clips: dict[tuple[str, str], PurePosixPath] = {}
    for path in filter(is_video, walk_files(root)):
        clips.setdefault((path.parent.name, path.name), path)
    return clips


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


def require_no_missing(root: Path, missing: Sequence[str], named: int, mend: str) -> None:
    """Raise DataError that counts the clips which are named but absent, and shows the first."""
    if missing:
        shown = ", ".join(missing[:_NAMES_SHOWN]) + (", ..." if len(missing) > _NAMES_SHOWN else "")
        raise DataError(
            f"{root}: {len(missing)} of the {named} clips named are missing ({shown}); {mend}"
        )
