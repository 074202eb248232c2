"""Manifest rows and the CSV they become. Knows nothing of any dataset."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from action_gru.errors import DataError
from action_gru.files import write_atomically


@dataclass(frozen=True)
class Row:
    """One clip: path is POSIX and relative to the dataset root; [start_s, end_s) is half open."""

    path: str
    label: str
    group: str | None = None
    split: str | None = None
    start_s: float | None = None
    end_s: float | None = None


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


def write_manifest(manifest: Path, rows: Sequence[Row], *, overwrite: bool) -> None:
    """Write the CSV whole or not at all; an equal file stays, a different one is refused."""
    _refuse_outer_spaces(rows)
    try:
        data = manifest_text(rows).encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{manifest}: a clip's name is no valid text ({error.object!r}); rename the file"
        ) from error
    try:
        if manifest.is_file() and manifest.read_bytes() == data:
            return
        if manifest.exists() and not overwrite:
            raise DataError(
                f"{manifest}: exists and differs from the manifest of {len(rows)} clips that "
                "would be written; pass --overwrite to replace it, or another --out"
            )
        write_atomically(manifest, data)
    except OSError as error:
        raise DataError(f"{manifest}: cannot be written ({error}); choose another --out") from error


def _refuse_outer_spaces(rows: Sequence[Row]) -> None:
    """Raise DataError for a name that the manifest's reader, which strips, would not find again."""
    for row in rows:
        for text in (row.path, row.label, row.group or ""):
            if text != text.strip():
                raise DataError(
                    f"{row.path!r} of class {row.label!r}: a space at either end of a name is lost "
                    "in a manifest; rename the folder or file without it"
                )


def divided_groups(rows: Sequence[Row]) -> list[str]:
    """The groups with clips in more than one split, sorted."""
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.group is not None and row.split is not None:
            splits[row.group].add(row.split)
    return sorted(group for group, names in splits.items() if len(names) > 1)


def refuse_divided_groups(rows: Sequence[Row]) -> None:
    """Raise DataError where a group stands in more than one split: its score would be a leak."""
    divided = divided_groups(rows)
    if divided:
        raise DataError(
            f"{len(divided)} groups stand in more than one split (first: {divided[0]!r}), so test "
            "clips would be known from training; use the dataset's own split files, unedited"
        )


def clips_per_split(rows: Sequence[Row]) -> dict[str, int]:
    """Number of clips in each split; empty where the dataset has none."""
    return dict(sorted(Counter(row.split for row in rows if row.split is not None).items()))
