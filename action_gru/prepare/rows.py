"""The rows of a manifest that is written or kept, and the CSV of them.

Knows no dataset's layout and no folder.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path

from action_gru.core.csv_dialect import read_rows
from action_gru.core.errors import DataError
from action_gru.core.files import write_atomically
from action_gru.core.paths import with_slashes
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.dataset.cells import SECONDS, check_columns

_COLUMNS = ("path", "label", "group", "split", "start_s", "end_s", "frame_rate")
MISSING = "missing.csv"
_MISSING_COLUMNS = ("path", "split", "rows")
MANY_LABELS = ("data.task=frames", "data.labels=many")


@dataclass(frozen=True)
class Row:
    """One clip: path is POSIX and relative to the dataset root; [start_s, end_s) is half open.

    frame_rate: pictures a second, of a folder of pictures. is_missing: the dataset's list names the
    file, and it is not there.
    """

    path: str
    label: str
    group: str = ""
    split: str = ""
    start_s: float | None = None
    end_s: float | None = None
    frame_rate: float | None = None
    is_missing: bool = False


@dataclass(frozen=True)
class Content:
    """A CSV to write. name: of the file. splits: items in each.

    counts and paths: of a manifest, how many clips, classes and groups it has, and its files.
    missing: of a manifest, (path, split) -> how many rows a file that is not there would have had.
    settings: overrides of the config that the manifest needs. items, config: of a table, what it
    holds in words, and the config that trains on it.
    """

    text: str
    splits: dict[str, int]
    name: str = "manifest.csv"
    counts: dict[str, int] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()
    missing: dict[tuple[str, str], int] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    items: str = ""
    config: str = ""


def content_of(rows: Sequence[Row], settings: tuple[str, ...] = ()) -> Content:
    """The manifest of a dataset of clips, without the missing ones.

    settings: see Content; with MANY_LABELS a label may name several classes. Raises DataError where
    there is no clip, where a group is in more than one split (its score would be a leak), and for a
    name that the manifest's reader, which strips, would not find again.
    """
    missing = Counter((row.path, row.split) for row in rows if row.is_missing)
    rows = [row for row in rows if not row.is_missing]
    if not rows:
        raise DataError("the dataset names no clip; pass it whole")
    divided = divided_groups(rows)
    if divided:
        raise DataError(
            f"{counted(len(divided), 'group')} in more than one split (first: {divided[0]!r}), so "
            "test clips would be known from training; use the dataset's own split files, unedited"
        )
    for row in rows:
        if any(text != text.strip() for text in (row.path, row.label, row.group)):
            raise DataError(
                f"{row.path!r} of class {row.label!r}: a space at either end of a name is lost "
                "in a manifest; rename the folder or file without it"
            )
    labels = {row.label for row in rows}
    if settings == MANY_LABELS:
        labels = {name for label in labels for name in label.split("; ") if name}
    counts = {
        "clips": len(rows),
        "classes": len(labels),
        "groups": len({row.group for row in rows if row.group}),
    }
    splits = dict(sorted(Counter(row.split for row in rows if row.split).items()))
    paths = frozenset(row.path for row in rows)
    text = _manifest_text(rows)
    return Content(text, splits, counts=counts, paths=paths, missing=missing, settings=settings)


def _manifest_text(rows: Sequence[Row]) -> str:
    """One line a row, with the columns that are filled."""
    cells = [
        (row.path, row.label, row.group, row.split,
         _number(row.start_s), _number(row.end_s), _number(row.frame_rate))
        for row in rows
    ]  # fmt: skip
    is_filled = [any(column) for column in zip(*cells, strict=True)]
    return csv_text(list(compress(line, is_filled)) for line in (_COLUMNS, *cells))


def csv_text(lines: Iterable[Iterable[object]]) -> str:
    """Lines of cells as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def read_kept(path: Path, root: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and rows of a manifest, its paths as the folder has them. Raises DataError."""
    try:
        names, rows = read_rows(path, (*SECONDS, "frame_rate"), needed=("path", "label"))
        check_columns(names, path)
        cells = [{key: text.strip() for key, text in row.items()} for _, row in rows]
        return names, [row | {"path": with_slashes(root, row["path"])} for row in cells]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")


def divided_groups(rows: Iterable[Row]) -> list[str]:
    """The groups with clips in more than one split, sorted."""
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.group and row.split:
            splits[row.group].add(row.split)
    return sorted(group for group, names in splits.items() if len(names) > 1)


def part_divided_groups(rows: Sequence[Row], dataset: str) -> list[Row]:
    """The rows, where each half of a group that the official splits divide is a group of its own.

    The protocol is kept, and a warning says how many sources it divides.
    """
    if divided := divided_groups(rows):
        sources = counted(len(divided), "source video")
        warn(f"{dataset} divides {sources} between its splits (first: {divided[0]})")
    return [
        replace(row, group=f"{row.group} ({row.split})") if row.group in divided else row
        for row in rows
    ]


def warn(text: str) -> None:
    """Tell what of a dataset is not as it should be, and was used all the same."""
    Reporter().warn(text)


def merge_labels(rows: Iterable[Row]) -> list[Row]:
    """One row for each stretch of a file, in order, with the labels of all: 'read; walk'."""
    labels: dict[Row, set[str]] = defaultdict(set)
    for row in rows:
        labels[replace(row, label="")] |= {row.label} if row.label else set()
    return [replace(row, label="; ".join(sorted(names))) for row, names in labels.items()]


def write_missing(folder: Path, missing: Mapping[tuple[str, str], int]) -> Path | None:
    """Write missing.csv with the files that are not there; where none is, an older list goes.

    Returns its path, None where nothing is missing. Raises DataError where it cannot be written.
    """
    path = folder / MISSING
    header = csv_text([_MISSING_COLUMNS])
    lines = [(name, split, rows) for (name, split), rows in missing.items()]
    try:
        if missing:
            write_atomically(path, f"{header}{csv_text(lines)}".encode())
            return path
        if path.is_file() and path.read_text("utf-8", errors="replace").startswith(header):
            path.unlink()
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error}); choose another --out") from error
    return None


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
            clips = counted(counts.get("clips", 0), "clip")
            what = f"the manifest of {clips}" if counts else "the table"
            raise DataError(
                f"{path}: exists and differs from {what} that would be written; pass --overwrite "
                "to replace it, or another --out"
            )
        write_atomically(path, data)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error}); choose another --out") from error
