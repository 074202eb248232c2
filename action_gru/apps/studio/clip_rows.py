"""What clips/manifest.csv says of a project's clips: who is in one, and where it begins and ends.

Rows and columns that others wrote are kept as they are. The folders are the truth about which clips
there are: a file without a row is a clip, and the row of a file that is gone is dropped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from action_gru.core.errors import ConfigError, DataError
from action_gru.core.files import write_or_raise
from action_gru.core.paths import composed, is_video, on_disk
from action_gru.dataset.cells import FRAMES, SECONDS, name_of
from action_gru.prepare.project import is_own, is_plain, take_of
from action_gru.prepare.rows import csv_text, read_kept
from action_gru.timeline.segments import seconds_of

COLUMNS = ("path", "label", "group", "start_s", "end_s")
MOST_PERSON_CHARACTERS, MOST_TAKE_CHARACTERS = 60, 300
VIDEO_TAKE = "videos/"  # and the video's name: the group of clips that were cut from it
_TAKE = re.compile(r"\d{8}-\d{6}")
Cells = dict[str, str]
Rows = dict[str, list[Cells]]  # by path; more than one where a file is cut into several clips


@dataclass(frozen=True)
class ShelfClip:
    """id: its path below clips/. Bounds in seconds; None reaches the file's end.

    person: who is in it. take: what it was recorded in, or cut from.
    """

    id: str
    action: str
    person: str | None = None
    take: str | None = None
    start_s: float | None = None
    end_s: float | None = None


def is_take(group: str) -> bool:
    """Whether a group is no person but what its clips were recorded in, or cut from."""
    is_cut = group.startswith(VIDEO_TAKE) and is_plain(group) and len(group) <= MOST_TAKE_CHARACTERS
    return bool(_TAKE.fullmatch(group)) or is_cut


def check_person(text: str) -> str:
    """A person's name as it is kept; '' for none. Raises ConfigError."""
    name = name_of(text)
    if len(name) > MOST_PERSON_CHARACTERS or not name.isprintable():
        raise ConfigError(
            f"the person '{name[:20]!r}' is no name: at most {MOST_PERSON_CHARACTERS} characters "
            "that can be seen"
        )
    if is_take(name):
        raise ConfigError(f"'{name}' looks like a recording's name; call the person otherwise")
    return name


def clip_files(clips: Path, left_out: list[str] | None = None) -> dict[str, Path]:
    """The clips below a project's clips/, by their path in it; nothing is read through links.

    left_out: gets the names that can be none.
    """
    found = {}
    for parent, folders, files in os.walk(clips):
        if left_out is not None:
            left_out += [name for name in (*folders, *files) if not is_plain(name)]
        folders[:] = sorted(name for name in folders if is_own(name))
        for name in sorted(files) if parent != str(clips) else ():
            path = Path(parent, name)
            # A pipe would be waited for.
            if is_own(name) and path.is_file() and not path.is_symlink() and is_video(path):
                found[path.relative_to(clips).as_posix()] = path
    return found


class ClipRows:
    """The rows of a manifest, held and changed in memory; `write` keeps them.

    Raises DataError for a manifest that cannot be read, or whose labels are not the folders.
    """

    def __init__(self, clips: Path) -> None:
        self.path = clips / "manifest.csv"
        self.names: list[str] = list(COLUMNS)
        self.rows: Rows = {}
        if not self.path.exists():
            return
        names, rows = read_kept(self.path, clips)
        self.names = [*names, *(name for name in COLUMNS if name not in names)]
        for row in rows:
            if composed(row["label"]) != composed(row["path"].partition("/")[0]):
                raise DataError(
                    f"{self.path}: says '{row['label']}' of {row['path']}, and in a project a clip "
                    "shows the action whose folder it is in; move the files, or that table away"
                )
            self.rows.setdefault(composed(row["path"]), []).append(row)

    def of(self, clip: str) -> list[Cells]:
        """The rows of a file; one of its own for a file that has none."""
        if found := self.rows.get(composed(clip)):
            return [row | {"path": clip} for row in found]
        group = take_of(clip.rpartition("/")[2]) or ""
        return [{"path": clip, "label": composed(clip.partition("/")[0]), "group": group}]

    def put(self, before: Iterable[str], after: Rows) -> None:
        """Hold the rows of `after` in place of those of `before`, both by the clips' paths."""
        for clip in before:
            self.rows.pop(composed(clip), None)
        self.rows |= {composed(clip): lines for clip, lines in after.items()}

    def write(self, clips: Iterable[str]) -> None:
        """Keep one row or more for each of these clips. Raises DataError."""
        known = {composed(clip): clip for clip in clips}
        # Folders of pictures are clips, too, though none that the studio shows.
        known |= {
            path: rows[0]["path"]
            for path, rows in self.rows.items()
            if path not in known and on_disk(self.path.parent, rows[0]["path"]).is_dir()
        }
        rows = [row for clip in known.values() for row in self.of(clip)]
        lines = [[row.get(name, "") for name in self.names] for row in rows]
        text = csv_text([self.names, *lines])
        write_or_raise(self.path, text.encode(), DataError)


def moved(rows: Iterable[Cells], clip: str) -> list[Cells]:
    """The rows of a file for its new place."""
    return [row | {"path": clip, "label": composed(clip.partition("/")[0])} for row in rows]


def with_bounds(rows: list[Cells], bounds: Mapping[str, float | None]) -> list[Cells]:
    """The rows of one clip with other bounds, seconds; None reaches the file's end.

    Raises ConfigError where a file holds several clips, and for bounds that hold nothing.
    """
    if len(rows) > 1:
        raise ConfigError(
            f"{rows[0]['path']} is several clips by manifest.csv; change their bounds there"
        )
    row = rows[0] | {
        name: "" if value is None else f"{value:.3f}" for name, value in bounds.items()
    }
    if any(row.get(name) for name in FRAMES):
        raise ConfigError(
            f"{row['path']} has its bounds as frame numbers in manifest.csv; change them there"
        )
    start_s, end_s = (seconds(row, name) for name in SECONDS)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise ConfigError(f"a clip must end after its start; got {start_s or 0:g} to {end_s:g} s")
    return [row]


def seconds(row: Mapping[str, str], name: str) -> float | None:
    """A bound of a row; None where it has none, or none in plain seconds."""
    try:
        return seconds_of(row[name], name) if row.get(name) else None
    except ValueError:
        return None


def shelf_clip(clip: str, rows: ClipRows | None) -> ShelfClip:
    """A clip as its rows tell; of several, or of none that can be read, nothing is told."""
    lines = rows.of(clip) if rows else []
    row = lines[0] if len(lines) == 1 else {}
    group = row.get("group", "")
    name = clip.rpartition("/")[2]
    take = group if is_take(group) else take_of(name)
    person = None if is_take(group) else group or None
    bounds = (seconds(row, "start_s"), seconds(row, "end_s"))
    return ShelfClip(clip, composed(clip.partition("/")[0]), person, take, *bounds)
