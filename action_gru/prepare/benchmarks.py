"""The public benchmarks of clips: UCF101, HMDB51 and KTH with their official splits.

Reads names only, never a video.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from action_gru.errors import DataError
from action_gru.prepare.rows import Row, divided_groups
from action_gru.prepare.tree import (
    find_file,
    finder,
    read_lines,
    require_no_missing,
    require_split,
    videos_in,
    walk_files,
)

logger = logging.getLogger(__name__)

_UCF101_CLIP = re.compile(r"v_\w+_(?P<group>g\d{2})_c\d{2}\.avi")
_UCF101_LISTS = (
    "unpack UCF101TrainTestSplits-RecognitionTask.zip into the same folder as the videos "
    "and pass that folder"
)
_UCF101_VIDEOS = "unpack UCF101.rar whole into the folder passed"


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
        path = find_file(root, f"{part}list{split:02d}.txt", _UCF101_LISTS)
        for label, name in _ucf101_entries(path, numbers):
            found = find(label, name)
            if found is None:
                missing.append(f"{label}/{name}")
            else:
                rows.append(Row(str(found), label, _ucf101_group(path, name), part))
    require_no_missing(root, missing, len(missing) + len(rows), _UCF101_VIDEOS)
    return rows


def _class_numbers(root: Path) -> dict[str, str]:
    """Class name -> its number, from the lines `1 ApplyEyeMakeup` of classInd.txt."""
    path = find_file(root, "classInd.txt", _UCF101_LISTS)
    pairs = [line.split() for line in read_lines(path) if line]
    wrong = [pair for pair in pairs if len(pair) != 2]
    if wrong:
        raise DataError(f"{path}: got the line {' '.join(wrong[0])!r}, expected '<number> <class>'")
    return {name: number for number, name in pairs}


def _ucf101_entries(path: Path, numbers: dict[str, str]) -> list[tuple[str, str]]:
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
                f"{_UCF101_LISTS}"
            )
        entries.append((label, name))
    return entries


def _ucf101_group(path: Path, name: str) -> str:
    match = _UCF101_CLIP.fullmatch(name)
    if match is None:
        raise DataError(f"{path}: got {name!r}, expected v_<Class>_gNN_cNN.avi; {_UCF101_LISTS}")
    return match["group"]


# visible body, camera motion, persons, viewpoint, quality, running number
_HMDB51_TAGS = re.compile(r"_[hulf]_(?:nm|cm)_np\d+_(?:fr|ba|le|ri)_(?:bad|med|goo)_\d+$")
_HMDB51_MARKS = {"1": "train", "2": "test", "0": None}
_HMDB51_LISTS = (
    "unpack test_train_splits.rar into the same folder as the videos and pass that folder"
)
_HMDB51_VIDEOS = (
    "unpack hmdb51_org.rar, and the archive of each class in it, into the folder passed"
)


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
    for label, name, part in _hmdb51_entries(root, split):
        found = find(label, name)
        if found is None:
            missing.append(f"{label}/{name}")
        else:
            rows.append(Row(str(found), label, f"{label}/{source_video(name, label)}", part))
    require_no_missing(root, missing, len(missing) + len(rows), _HMDB51_VIDEOS)
    return _keep_groups_whole(rows, split)


def source_video(name: str, label: str) -> str:
    """File name -> source video: `Oceans11_eat_u_cm_np1_fr_med_7.avi` -> `Oceans11`.

    The tags and the class are cut from the end; a name without the tags is its own source.
    """
    stem = name.removesuffix(".avi")
    match = _HMDB51_TAGS.search(stem)
    return stem[: match.start()].removesuffix(f"_{label}") if match else stem


def _hmdb51_entries(root: Path, split: int) -> Iterator[tuple[str, str, str]]:
    """(class, file name, train or test) of every clip in use."""
    ending = f"_test_split{split}.txt"
    lists = [path for path in walk_files(root) if path.name.endswith(ending)]
    if not lists:
        raise DataError(f"{root}: holds no <class>{ending}; {_HMDB51_LISTS}")
    for path in lists:
        label = path.name.removesuffix(ending)
        for line in filter(None, read_lines(root / path)):
            name, _, mark = line.rpartition(" ")
            if mark not in _HMDB51_MARKS or not name:
                raise DataError(
                    f"{root / path}: got the line {line!r}, expected '<file> <0, 1 or 2>'; "
                    f"{_HMDB51_LISTS}"
                )
            part = _HMDB51_MARKS[mark]
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


KTH_FPS = 25.0
# 00sequences.txt, its header: the subdivision of Schuldt, Laptev, Caputo, ICPR 2004.
KTH_SUBJECTS = {
    "train": (11, 12, 13, 14, 15, 16, 17, 18),
    "val": (19, 20, 21, 23, 24, 25, 1, 4),
    "test": (22, 2, 3, 5, 6, 7, 8, 9, 10),
}
_KTH_SPLIT_OF = {subject: split for split, subjects in KTH_SUBJECTS.items() for subject in subjects}
_KTH_LINE = re.compile(
    r"(?P<video>(?P<person>person(?P<subject>\d\d))_(?P<action>[a-z]+)_d\d)\s+"
    r"(?:\*missing\*|frames\s+(?P<ranges>\d+-\d+(?:\s*,\s*\d+-\d+)*))"
)
_KTH_FILES = (
    "put 00sequences.txt and the six unpacked archives (boxing.zip to walking.zip) into one folder"
)


@dataclass(frozen=True)
class _KthVideo:
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
    videos = _kth_videos(find_file(root, "00sequences.txt", _KTH_FILES))
    stems = [f"{video.name}_uncomp" for video in videos]
    missing = [f"{stem}.avi" for stem in stems if stem not in found]
    require_no_missing(root, missing, len(stems), _KTH_FILES)
    return [
        row
        for stem, video in zip(stems, videos, strict=True)
        for row in _kth_rows(found[stem], video)
    ]


def _kth_rows(path: PurePosixPath, video: _KthVideo) -> list[Row]:
    return [
        Row(
            str(path),
            video.action,
            video.person,
            video.split,
            (first - 1) / KTH_FPS,
            last / KTH_FPS,
        )
        for first, last in video.frames
    ]


def _kth_videos(path: Path) -> list[_KthVideo]:
    """The videos that exist, in the file's order; text outside of the table is skipped."""
    videos: list[_KthVideo] = []
    for number, line in enumerate(read_lines(path), start=1):
        if not re.match(r"person\d", line):
            continue
        match = _KTH_LINE.fullmatch(line)
        if match is None or int(match["subject"]) not in _KTH_SPLIT_OF:
            raise DataError(
                f"{path}:{number}: got {line!r}, expected 'personNN_<action>_dN frames 1-95, ...' "
                "with NN from 01 to 25; take the file afresh"
            )
        if match["ranges"]:
            split = _KTH_SPLIT_OF[int(match["subject"])]
            frames = _kth_frames(path, number, match["ranges"])
            videos.append(
                _KthVideo(match["video"], match["action"], match["person"], split, frames)
            )
    if not videos:
        raise DataError(f"{path}: lists no video; take the file afresh")
    return videos


def _kth_frames(path: Path, number: int, ranges: str) -> tuple[tuple[int, int], ...]:
    pairs = [part.strip().split("-") for part in ranges.split(",")]
    frames = tuple((int(first), int(last)) for first, last in pairs)
    for first, last in frames:
        if not 1 <= first <= last:
            raise DataError(
                f"{path}:{number}: got the frames {first}-{last}, expected first <= last from 1 "
                "on; take the file afresh"
            )
    return frames
