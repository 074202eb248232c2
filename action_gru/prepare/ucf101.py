"""UCF101 with its official splits. Reads names only, never a video."""

from __future__ import annotations

import re
from pathlib import Path

from action_gru.errors import DataError
from action_gru.prepare.rows import Row
from action_gru.prepare.tree import (
    find_file,
    finder,
    read_lines,
    require_no_missing,
    require_split,
    videos_in,
)

_CLIP = re.compile(r"v_\w+_(?P<group>g\d{2})_c\d{2}\.avi")
_GET_SPLITS = (
    "unpack UCF101TrainTestSplits-RecognitionTask.zip into the same folder as the videos "
    "and pass that folder"
)
_GET_VIDEOS = "unpack UCF101.rar whole into the folder passed"


def build_ucf101(root: Path, split: int = 1) -> list[Row]:
    """Rows of `<Class>/v_<Class>_gNN_cNN.avi` as trainlist0N.txt and testlist0N.txt divide them.

    group is gNN over all classes: the splits part the 25 groups by their number (split 1 tests
    g01 to g07), so no group is divided. Source: Soomro, Zamir, Shah, "UCF101", CRCV-TR-12-01.
    The class of a file name may differ in case from its folder (HandstandPushups); the folder
    counts.
    """
    require_split("ucf101", split, 3)
    numbers = _class_numbers(root)
    find = finder(videos_in(root))
    rows: list[Row] = []
    missing: list[str] = []
    for part in ("train", "test"):
        path = find_file(root, f"{part}list{split:02d}.txt", _GET_SPLITS)
        for label, name in _entries(path, numbers):
            found = find(label, name)
            if found is None:
                missing.append(f"{label}/{name}")
            else:
                rows.append(Row(str(found), label, _group(path, name), part))
    require_no_missing(root, missing, len(missing) + len(rows), _GET_VIDEOS)
    return rows


def _class_numbers(root: Path) -> dict[str, str]:
    """Class name -> its number, from the lines `1 ApplyEyeMakeup` of classInd.txt."""
    path = find_file(root, "classInd.txt", _GET_SPLITS)
    pairs = [line.split() for line in read_lines(path) if line]
    wrong = [pair for pair in pairs if len(pair) != 2]
    if wrong:
        raise DataError(f"{path}: got the line {' '.join(wrong[0])!r}, expected '<number> <class>'")
    return {name: number for number, name in pairs}


def _entries(path: Path, numbers: dict[str, str]) -> list[tuple[str, str]]:
    """(class, file name) of the lines `<Class>/<file> <number>` or `<Class>/<file>`."""
    entries: list[tuple[str, str]] = []
    for line_number, line in enumerate(read_lines(path), start=1):
        if not line:
            continue
        clip, _, number = line.partition(" ")
        label, slash, name = clip.partition("/")
        if not slash or label not in numbers or (number and number != numbers[label]):
            raise DataError(
                f"{path}:{line_number}: got {line!r}, which does not agree with classInd.txt; "
                f"{_GET_SPLITS}"
            )
        entries.append((label, name))
    return entries


def _group(path: Path, name: str) -> str:
    match = _CLIP.fullmatch(name)
    if match is None:
        raise DataError(f"{path}: got {name!r}, expected v_<Class>_gNN_cNN.avi; {_GET_SPLITS}")
    return match["group"]
