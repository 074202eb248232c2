"""KTH human actions: one row for each subsequence. Reads names only, never a video."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from action_gru.errors import DataError
from action_gru.prepare.rows import Row
from action_gru.prepare.tree import (
    find_file,
    read_lines,
    require_no_missing,
    require_split,
    videos_in,
)

FPS = 25.0
# 00sequences.txt, its header: the subdivision of Schuldt, Laptev, Caputo, ICPR 2004.
SUBJECTS = {
    "train": (11, 12, 13, 14, 15, 16, 17, 18),
    "val": (19, 20, 21, 23, 24, 25, 1, 4),
    "test": (22, 2, 3, 5, 6, 7, 8, 9, 10),
}
_SPLIT_OF = {subject: split for split, subjects in SUBJECTS.items() for subject in subjects}
_LINE = re.compile(
    r"(?P<video>(?P<person>person(?P<subject>\d\d))_(?P<action>[a-z]+)_d\d)\s+"
    r"(?:\*missing\*|frames\s+(?P<ranges>\d+-\d+(?:\s*,\s*\d+-\d+)*))"
)
_GET = (
    "put 00sequences.txt and the six unpacked archives (boxing.zip to walking.zip) into one folder"
)


@dataclass(frozen=True)
class _Video:
    name: str
    action: str
    person: str
    split: str
    frames: tuple[tuple[int, int], ...]  # first and last, counted from 1, both included


def build_kth(root: Path, split: int = 1) -> list[Row]:
    """Rows of `personNN_<action>_dN_uncomp.avi`, cut as 00sequences.txt says; group is the person.

    Any other video ending will do. Frames 1-95 at 25 fps become [0, 3.8) s. Known oddities of the
    official files, all kept as published: person13_handclapping_d3 is marked *missing* (599 videos,
    2391 subsequences); some ranges overlap or run out of order within their video
    (person16_handwaving_d4, person21_handclapping_d1, person07_jogging_d4); person01_boxing_d4 is
    said to break off near frame 305, so its fourth range (246-370) is short.
    """
    require_split("kth", split, 1)
    found = {path.name.partition(".")[0]: path for path in reversed(videos_in(root))}
    videos = _parse(find_file(root, "00sequences.txt", _GET))
    stems = [f"{video.name}_uncomp" for video in videos]
    missing = [f"{stem}.avi" for stem in stems if stem not in found]
    require_no_missing(root, missing, len(stems), _GET)
    return [
        row for stem, video in zip(stems, videos, strict=True) for row in _rows(found[stem], video)
    ]


def _rows(path: PurePosixPath, video: _Video) -> list[Row]:
    return [
        Row(str(path), video.action, video.person, video.split, (first - 1) / FPS, last / FPS)
        for first, last in video.frames
    ]


def _parse(path: Path) -> list[_Video]:
    """The videos that exist, in the file's order; text outside of the table is skipped."""
    videos: list[_Video] = []
    for number, line in enumerate(read_lines(path), start=1):
        if not re.match(r"person\d", line):
            continue
        match = _LINE.fullmatch(line)
        if match is None or int(match["subject"]) not in _SPLIT_OF:
            raise DataError(
                f"{path}:{number}: got {line!r}, expected 'personNN_<action>_dN frames 1-95, ...' "
                "with NN from 01 to 25; take the file afresh"
            )
        if match["ranges"]:
            split = _SPLIT_OF[int(match["subject"])]
            frames = _frames(path, number, match["ranges"])
            videos.append(_Video(match["video"], match["action"], match["person"], split, frames))
    if not videos:
        raise DataError(f"{path}: lists no video; take the file afresh")
    return videos


def _frames(path: Path, number: int, ranges: str) -> tuple[tuple[int, int], ...]:
    pairs = [part.strip().split("-") for part in ranges.split(",")]
    frames = tuple((int(first), int(last)) for first, last in pairs)
    for first, last in frames:
        if not 1 <= first <= last:
            raise DataError(
                f"{path}:{number}: got the frames {first}-{last}, expected first <= last from 1 "
                "on; take the file afresh"
            )
    return frames
