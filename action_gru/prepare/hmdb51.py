"""HMDB51 with its official splits. Reads names only, never a video."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from action_gru.errors import DataError
from action_gru.prepare.rows import Row, divided_groups
from action_gru.prepare.tree import (
    finder,
    read_lines,
    require_no_missing,
    require_split,
    videos_in,
    walk_files,
)

logger = logging.getLogger(__name__)

# visible body, camera motion, persons, viewpoint, quality, running number
_TAGS = re.compile(r"_[hulf]_(?:nm|cm)_np\d+_(?:fr|ba|le|ri)_(?:bad|med|goo)_\d+$")
_PARTS = {"1": "train", "2": "test", "0": None}
_GET_SPLITS = "unpack test_train_splits.rar into the same folder as the videos and pass that folder"
_GET_VIDEOS = "unpack hmdb51_org.rar, and the archive of each class in it, into the folder passed"


def build_hmdb51(root: Path, split: int = 1) -> list[Row]:
    """Rows of `<class>/*.avi` as `<class>_test_split{split}.txt` divides them.

    Its marks: 1 train, 2 test, 0 unused (left out). group is `<class>/<source video>`. The class
    belongs to it because the official splits keep a source video whole within a class only: in
    split 1 RETURN_OF_THE_KING trains `drink` and tests `stand`. Where a list divides a source
    within a class, the protocol is kept, both halves get groups of their own, and a warning
    says how many.
    """
    require_split("hmdb51", split, 3)
    find = finder(videos_in(root))
    rows: list[Row] = []
    missing: list[str] = []
    for label, name, part in _entries(root, split):
        found = find(label, name)
        if found is None:
            missing.append(f"{label}/{name}")
        else:
            rows.append(Row(str(found), label, f"{label}/{source_video(name, label)}", part))
    require_no_missing(root, missing, len(missing) + len(rows), _GET_VIDEOS)
    return _keep_groups_whole(rows, split)


def source_video(name: str, label: str) -> str:
    """File name -> source video: `Oceans11_eat_u_cm_np1_fr_med_7.avi` -> `Oceans11`.

    The tags and the class are cut from the end; a name without the tags is its own source.
    """
    stem = name.removesuffix(".avi")
    match = _TAGS.search(stem)
    return stem[: match.start()].removesuffix(f"_{label}") if match else stem


def _entries(root: Path, split: int) -> Iterator[tuple[str, str, str]]:
    """(class, file name, train or test) of every clip in use."""
    ending = f"_test_split{split}.txt"
    lists = [path for path in walk_files(root) if path.name.endswith(ending)]
    if not lists:
        raise DataError(f"{root}: holds no <class>{ending}; {_GET_SPLITS}")
    for path in lists:
        label = path.name.removesuffix(ending)
        for line in filter(None, read_lines(root / path)):
            name, _, mark = line.rpartition(" ")
            if mark not in _PARTS or not name:
                raise DataError(
                    f"{root / path}: got the line {line!r}, expected '<file> <0, 1 or 2>'; "
                    f"{_GET_SPLITS}"
                )
            part = _PARTS[mark]
            if part is not None:
                yield label, name.strip(), part


def _keep_groups_whole(rows: list[Row], split: int) -> list[Row]:
    divided = set(divided_groups(rows))
    if divided:
        logger.warning(
            "hmdb51 split %d divides %d source videos between train and test (first: %s)",
            split,
            len(divided),
            min(divided),
        )
    return [
        replace(row, group=f"{row.group} ({row.split})") if row.group in divided else row
        for row in rows
    ]
