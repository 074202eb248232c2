"""The files of a dataset's folder, and the CSV that is written of them.

Looks into the folder without leaving it. Knows nothing of any dataset's layout.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path, PurePosixPath

from action_gru.core.errors import DataError
from action_gru.core.files import write_atomically
from action_gru.core.numbered_pictures import about_pictures, frame_folders, is_frame_archive
from action_gru.core.paths import is_hidden, is_video
from action_gru.core.text import command_line

_COLUMNS = ("path", "label", "group", "split", "start_s", "end_s")
_NAMES_SHOWN, _ENDINGS_SHOWN = 5, 12
_ARCHIVE = re.compile(r"(.+)\.(zip|rar|tar(?:\.gz|\.bz2|\.xz)?|tgz|tbz2|txz)", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One clip: path is POSIX and relative to the dataset root; [start_s, end_s) is half open."""

    path: str
    label: str
    group: str = ""
    split: str = ""
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Content:
    """A CSV to write. name: of the file. splits: items in each.

    counts and paths: of a manifest, how many clips, classes and groups it has, and its files.
    """

    text: str
    splits: dict[str, int]
    name: str = "manifest.csv"
    counts: dict[str, int] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()


def content_of(rows: Sequence[Row]) -> Content:
    """The manifest of a dataset of clips.

    Raises DataError where there is no clip, where a group is in more than one split (its score
    would be a leak), and for a name that the manifest's reader, which strips, would not find again.
    """
    if not rows:
        raise DataError("the dataset names no clip; pass it whole")
    divided = divided_groups(rows)
    if divided:
        raise DataError(
            f"{len(divided)} groups are in more than one split (first: {divided[0]!r}), so test "
            "clips would be known from training; use the dataset's own split files, unedited"
        )
    for row in rows:
        if any(text != text.strip() for text in (row.path, row.label, row.group)):
            raise DataError(
                f"{row.path!r} of class {row.label!r}: a space at either end of a name is lost "
                "in a manifest; rename the folder or file without it"
            )
    counts = {
        "clips": len(rows),
        "classes": len({row.label for row in rows}),
        "groups": len({row.group for row in rows if row.group}),
    }
    splits = dict(sorted(Counter(row.split for row in rows if row.split).items()))
    paths = frozenset(row.path for row in rows)
    return Content(_manifest_text(rows), splits, counts=counts, paths=paths)


def _manifest_text(rows: Sequence[Row]) -> str:
    """One line a row, with the columns that are filled."""
    cells = [
        (row.path, row.label, row.group, row.split, _seconds(row.start_s), _seconds(row.end_s))
        for row in rows
    ]
    is_filled = [any(column) for column in zip(*cells, strict=True)]
    return csv_text(list(compress(line, is_filled)) for line in (_COLUMNS, *cells))


def csv_text(lines: Iterable[Iterable[object]]) -> str:
    """Lines of cells as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")


def divided_groups(rows: Sequence[Row]) -> list[str]:
    """The groups with clips in more than one split, sorted."""
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.group and row.split:
            splits[row.group].add(row.split)
    return sorted(group for group, names in splits.items() if len(names) > 1)


def write_content(path: Path, content: Content, *, overwrite: bool) -> None:
    """Write the CSV whole or not at all; an equal file stays, a different one is refused."""
    try:
        data = content.text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{path}: a clip's name is no valid text ({error.object!r}); rename the file"
        ) from error
    try:
        if path.is_file() and path.read_bytes() == data:
            return
        if path.exists() and not overwrite:
            counts = content.counts
            what = f"the manifest of {counts['clips']} clips" if counts else "the table"
            raise DataError(
                f"{path}: exists and differs from {what} that would be written; pass --overwrite "
                "to replace it, or another --out"
            )
        write_atomically(path, data)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error}); choose another --out") from error


def walk_files(root: Path) -> Iterator[PurePosixPath]:
    """All files below root, relative to it, hidden ones skipped; in a fixed order.

    Raises DataError at a link: its target may be outside of the root.
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


def clips_in(root: Path) -> list[PurePosixPath]:
    """The videos below root, then its archives and its folders of frames, relative to it."""
    files = list(walk_files(root))
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


def locate(root: Path, named: Sequence[Row], mend: str) -> list[Row]:
    """The rows of an official list with the paths of their videos below root.

    named: their path is `<folder>/<file>`, or a file in any folder. A clip that was encoded anew
    is found by its stem: `v_1.avi` as `v_1.mp4`, `v_1.avi.mp4` and as the folder `v_1` of its
    frames; of several the first by path.
    Raises DataError with the number of missing and of found files.
    """
    files = list(walk_files(root))
    videos = clips_in(root)
    known: dict[str, str] = {}
    for attribute in ("name", "stem"):
        for path in videos:
            name = getattr(path, attribute)
            known.setdefault(f"{path.parent.name}/{name}", str(path))
            known.setdefault(name, str(path))
    names = dict.fromkeys(row.path for row in named)
    found = {name: known.get(name) or known.get(name.rpartition(".")[0]) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        shown = ", ".join(missing[:_NAMES_SHOWN]) + (", ..." if len(missing) > _NAMES_SHOWN else "")
        here = counts_text(count(map(ending, files)))
        if not videos:
            mend = about_pictures(root) or mend
        raise DataError(
            f"{root}: {len(missing)} of the {len(names)} clips named are missing ({shown}); the "
            f"files here are {here or 'none'}; {mend}"
        )
    return [replace(row, path=found[row.path] or "") for row in named]


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
