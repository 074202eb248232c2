"""Public data sets whose lists name clips by an id: Kinetics, Something-Something, Jester.

Reads names and lists only, never a video. Their test labels are held out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from action_gru.core.csv_dialect import open_csv, read_rows
from action_gru.core.errors import DataError
from action_gru.core.paths import split_of
from action_gru.prepare.files import Library, locate, match_lines, walk_files
from action_gru.prepare.rows import Row, part_divided_groups

_KINETICS_FILES = (
    "pass a folder with the lists (train.csv, val.csv and test.csv, with the columns label, "
    "youtube_id, time_start, time_end and split) and the videos, called ID_000010_000020.mp4 or "
    "ID.mp4"
)


def build_kinetics(root: Path) -> list[Row]:
    """Rows of Kinetics-400, -600 or -700 as its CSV lists divide them; group is the YouTube id.

    A list is any CSV with the column youtube_id; rows without a label, as of a test list, are left
    out. A clip is `ID_000010_000020` (its seconds in six digits), cut as in the list, or `ID`, a
    whole video, of which the row takes its bounds; in any container and any folder. Sources:
    https://github.com/cvdfoundation/kinetics-dataset and
    https://github.com/activitynet/ActivityNet/tree/master/Crawler/Kinetics.
    """
    library = Library(root)
    named = dict.fromkeys(row for path in _kinetics_lists(root) for row in _kinetics_rows(path))
    if not named:
        raise DataError(f"{root}: holds no list of Kinetics with labels; {_KINETICS_FILES}")
    rows = [_kinetics_clip(row, library) for row in named]
    library.refuse_none(rows, _KINETICS_FILES)
    return part_divided_groups(rows, "kinetics")


def _kinetics_lists(root: Path) -> Iterator[Path]:
    for path in walk_files(root):
        if path.suffix.lower() == ".csv":
            with open_csv(root / path, errors="replace") as file:
                if "youtube_id" in file.readline(1000).lower():
                    yield root / path


def _kinetics_rows(path: Path) -> Iterator[Row]:
    """The rows of a list with labels, each of the whole video with its bounds."""
    try:
        names, rows = read_rows(path, ("time_start", "time_end"))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    lacking = {"time_start", "time_end", "split"} - set(names)
    if lacking:
        raise DataError(f"{path}: has no column {' and '.join(sorted(lacking))}; {_KINETICS_FILES}")
    for line, row in rows:
        if label := row.get("label", "").strip():
            split, video = split_of(row["split"]), row["youtube_id"].strip()
            try:
                start_s, end_s = float(row["time_start"]), float(row["time_end"])
            except ValueError:
                start_s = end_s = 0.0
            if not (video and split and 0 <= start_s < end_s):
                raise DataError(f"{path}:{line}: got {','.join(row.values())!r}; {_KINETICS_FILES}")
            yield Row(video, label, video, split, start_s, end_s)


def _kinetics_clip(row: Row, library: Library) -> Row:
    """The row of the clip that was cut, or else of the whole video."""
    cut = f"{row.path}_{int(row.start_s or 0):06d}_{int(row.end_s or 0):06d}"
    if path := library.find(cut):
        return replace(row, path=path, start_s=None, end_s=None)
    if path := library.find(row.path):
        return replace(row, path=path)
    return replace(row, path=cut, is_missing=True)


# Both were recorded, and Jester's pictures taken, at 12 frames a second.
FRAME_RATE = 12.0
_ID_LISTS = {
    "something": (
        re.compile(r"(?:.*[-_])?(?P<split>train|validation)\.json"),
        "pass a folder with the unpacked videos (ID.webm, or a folder of pictures ID) and the "
        "labels: train.json, validation.json and labels.json, also as something-something-v2-*",
    ),
    "jester": (
        re.compile(r"(?:.*[-_])?(?P<split>train|validation)\.csv"),
        "pass a folder with the unpacked pictures (a folder ID for each clip) and the lists "
        "jester-v1-train.csv, jester-v1-validation.csv and jester-v1-labels.csv",
    ),
}
_ID_LINE = re.compile(r"(?P<id>\d+);(?P<label>[^;]*\S)(?:;.*)?")


def build_by_id(root: Path, dataset: str) -> list[Row]:
    """Rows of Something-Something (V2) or Jester, split into train and val. No groups are known.

    A clip is a video `ID.webm`, or in any other container, or a folder ID of pictures. Something-
    Something: JSON lists of `{"id", "template"}`; the class is the template without its brackets.
    Jester: lines `id;label`. Both have a list of the classes beside them, which is checked.
    Sources: https://www.qualcomm.com/developer/software/something-something-v-2-dataset and
    https://www.qualcomm.com/developer/software/jester-dataset.
    """
    pattern, mend = _ID_LISTS[dataset]
    lists = [(path, found) for path in walk_files(root) if (found := pattern.fullmatch(path.name))]
    named: list[Row] = []
    for path, found in lists:
        index = path.with_name(path.name.replace(found["split"], "labels"))
        read = _templates if dataset == "something" else _id_lines
        classes = _class_names(root / index, mend)
        for where, clip, label in read(root / path, mend):
            if classes is not None and label not in classes:
                raise DataError(f"{where}: {label!r} is no class of {index.name}; {mend}")
            named.append(Row(clip, label, split=split_of(found["split"])))
    if not named:
        raise DataError(f"{root}: holds no list of train and validation clips; {mend}")
    return locate(root, list(dict.fromkeys(named)), mend, FRAME_RATE)


def _templates(path: Path, mend: str) -> Iterator[tuple[str, str, str]]:
    """(where, id, class) of each entry of a JSON list; '[something]' becomes 'something'."""
    entries = _json(path, mend)
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries], start=1):
        if not isinstance(entry, dict) or not {"id", "template"} <= set(entry):
            raise DataError(f"{path}, entry {number}: has no id and template; {mend}")
        label = str(entry["template"]).replace("[", "").replace("]", "")
        yield f"{path}, entry {number}", str(entry["id"]), label


def _id_lines(path: Path, mend: str) -> Iterator[tuple[str, str, str]]:
    for where, line in match_lines(path, _ID_LINE, "'<id>;<class>'", mend):
        yield where, line["id"], line["label"]


def _class_names(path: Path, mend: str) -> set[str] | None:
    """The classes of labels.json (class -> number) or labels.csv (a class a line); None without."""
    if not path.is_file():
        return None
    if path.suffix == ".json":
        return set(map(str, _json(path, mend)))
    return {line[0] for _, line in match_lines(path, re.compile(".*"), "a class", mend)}


def _json(path: Path, mend: str) -> list[object] | dict[str, object]:
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); {mend}") from error
    if not isinstance(document, list | dict):
        raise DataError(f"{path}: holds neither a list nor an object; {mend}")
    return document
