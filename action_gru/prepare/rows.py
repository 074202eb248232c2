"""Manifest rows and the CSV that they become. Knows nothing of any dataset."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from action_gru.core.errors import DataError
from action_gru.core.files import write_atomically
from action_gru.core.paths import about_pictures, is_video
from action_gru.prepare.tree import count, counts_text, ending, walk_files

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Row:
    """One clip: path is POSIX and relative to the dataset root; [start_s, end_s) is half open."""

    path: str
    label: str
    group: str | None = None
    split: str | None = None
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


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")


# The optional columns with the way to write each; a column that no row fills is left out.
_OPTIONAL: dict[str, Callable[[Row], str]] = {
    "group": lambda row: row.group or "",
    "split": lambda row: row.split or "",
    "start_s": lambda row: _seconds(row.start_s),
    "end_s": lambda row: _seconds(row.end_s),
}


def manifest_text(rows: Sequence[Row]) -> str:
    """The manifest: `path,label[,group][,split][,start_s,end_s]`, one line a row."""
    columns = [name for name, show in _OPTIONAL.items() if any(show(row) for row in rows)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["path", "label", *columns])
    for row in rows:
        writer.writerow([row.path, row.label, *(_OPTIONAL[name](row) for name in columns)])
    return buffer.getvalue()


def content_of(rows: Sequence[Row]) -> Content:
    """The manifest of a dataset of clips.

    Raises DataError where there is no clip, where a group stands in more than one split (its score
    would be a leak), and for a name that the manifest's reader, which strips, would not find again.
    """
    if not rows:
        raise DataError("the dataset names no clip; pass it whole")
    divided = divided_groups(rows)
    if divided:
        raise DataError(
            f"{len(divided)} groups stand in more than one split (first: {divided[0]!r}), so test "
            "clips would be known from training; use the dataset's own split files, unedited"
        )
    for row in rows:
        if any(text != text.strip() for text in (row.path, row.label, row.group or "")):
            raise DataError(
                f"{row.path!r} of class {row.label!r}: a space at either end of a name is lost "
                "in a manifest; rename the folder or file without it"
            )
    counts = {
        "clips": len(rows),
        "classes": len({row.label for row in rows}),
        "groups": len({row.group for row in rows if row.group is not None}),
    }
    splits = dict(sorted(Counter(row.split for row in rows if row.split is not None).items()))
    paths = frozenset(row.path for row in rows)
    return Content(manifest_text(rows), splits, counts=counts, paths=paths)


def divided_groups(rows: Sequence[Row]) -> list[str]:
    """The groups with clips in more than one split, sorted."""
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.group is not None and row.split is not None:
            splits[row.group].add(row.split)
    return sorted(group for group, names in splits.items() if len(names) > 1)


def locate(root: Path, named: Sequence[Row], mend: str) -> list[Row]:
    """The rows of an official list with the paths of their videos below root.

    named: their path is `<folder>/<file>`, or a file wherever it lies. A clip that was encoded anew
    is found by its stem: `v_1.avi` as `v_1.mp4` and `v_1.avi.mp4`; of several the first by path.
    Raises DataError that counts the files which are absent, and what is there.
    """
    files = list(walk_files(root))
    videos = [path for path in files if is_video(root / path)]
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
            what = (
                f"the manifest of {content.counts['clips']} clips"
                if content.counts
                else "the table"
            )
            raise DataError(
                f"{path}: exists and differs from {what} that would be written; pass --overwrite "
                "to replace it, or another --out"
            )
        write_atomically(path, data)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error}); choose another --out") from error
