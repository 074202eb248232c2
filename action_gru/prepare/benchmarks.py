"""Public data sets of clips: UCF101, HMDB51 and KTH with their official splits, and fights.

Reads names only, never a video.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from action_gru.core.errors import DataError
from action_gru.prepare.rows import Row, divided_groups, locate
from action_gru.prepare.tree import find_file, read_lines, videos_in, walk_files

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
    numbers = _class_numbers(root)
    named = [
        Row(f"{label}/{name}", label, group, part)
        for part in ("train", "test")
        for label, name, group in _ucf101_clips(root, f"{part}list{split:02d}.txt", numbers)
    ]
    return locate(root, named, _UCF101_VIDEOS)


def _class_numbers(root: Path) -> dict[str, str]:
    """Class name -> its number, from the lines `1 ApplyEyeMakeup` of classInd.txt."""
    path = find_file(root, "classInd.txt", _UCF101_LISTS)
    pairs = [line.split() for line in read_lines(path) if line]
    wrong = [pair for pair in pairs if len(pair) != 2]
    if wrong:
        raise DataError(f"{path}: got the line {' '.join(wrong[0])!r}, expected '<number> <class>'")
    return {name: number for number, name in pairs}


def _ucf101_clips(
    root: Path, listing: str, numbers: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    """(class, file name, group) of the lines `<Class>/<file> <number>` or `<Class>/<file>`."""
    path = find_file(root, listing, _UCF101_LISTS)
    for line_number, line in enumerate(read_lines(path), start=1):
        if not line:
            continue
        clip, _, number = line.partition(" ")
        label, _, name = clip.partition("/")
        if label not in numbers or (number and number != numbers[label]):
            raise DataError(
                f"{path}:{line_number}: got {line!r}, which does not agree with classInd.txt; "
                f"{_UCF101_LISTS}"
            )
        match = _UCF101_CLIP.fullmatch(name)
        if match is None:
            raise DataError(
                f"{path}: got {name!r}, expected v_<Class>_gNN_cNN.avi; {_UCF101_LISTS}"
            )
        yield label, name, match["group"]


# visible body, camera motion, persons, viewpoint, quality, running number
_HMDB51_TAGS = re.compile(r"_[hulf]_(?:nm|cm)_np\d+_(?:fr|ba|le|ri)_(?:bad|med|goo)_\d+$")
_HMDB51_MARKS = {"1": "train", "2": "test", "0": ""}
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
    named = [
        Row(f"{label}/{name}", label, f"{label}/{source_video(name, label)}", part)
        for label, name, part in _hmdb51_clips(root, f"_test_split{split}.txt")
    ]
    rows = locate(root, named, _HMDB51_VIDEOS)
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


def source_video(name: str, label: str) -> str:
    """File name -> source video: `Oceans11_eat_u_cm_np1_fr_med_7.avi` -> `Oceans11`.

    The tags and the class are cut from the end; a name without the tags is its own source.
    """
    stem = name.removesuffix(".avi")
    match = _HMDB51_TAGS.search(stem)
    return stem[: match.start()].removesuffix(f"_{label}") if match else stem


def _hmdb51_clips(root: Path, ending: str) -> Iterator[tuple[str, str, str]]:
    """(class, file name, train or test) of every clip in use. ending: of the lists' names."""
    lists = [path for path in walk_files(root) if path.name.endswith(ending)]
    if not lists:
        raise DataError(f"{root}: holds no <class>{ending}; {_HMDB51_LISTS}")
    for path in lists:
        for line in filter(None, read_lines(root / path)):
            name, _, mark = line.rpartition(" ")
            if mark not in _HMDB51_MARKS or not name:
                raise DataError(
                    f"{root / path}: got the line {line!r}, expected '<file> <0, 1 or 2>'; "
                    f"{_HMDB51_LISTS}"
                )
            if part := _HMDB51_MARKS[mark]:
                yield path.name.removesuffix(ending), name.strip(), part


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


def build_kth(root: Path) -> list[Row]:
    """Rows of `personNN_<action>_dN_uncomp.avi`, cut as 00sequences.txt says; group is the person.

    Any other video ending will do. Frames 1-95 at 25 fps become [0, 3.8) s. Known oddities of the
    official files, all kept as published: person13_handclapping_d3 is marked *missing* (599 videos,
    2391 subsequences); some ranges overlap or run out of order within their video
    (person16_handwaving_d4, person21_handclapping_d1, person07_jogging_d4); person01_boxing_d4 is
    said to break off near frame 305, so its fourth range (246-370) is short.
    """
    path = find_file(root, "00sequences.txt", _KTH_FILES)
    named = [
        row
        for number, line in enumerate(read_lines(path), start=1)
        if re.match(r"person\d", line)  # text outside of the table is skipped
        for row in _kth_rows(f"{path}:{number}", line)
    ]
    if not named:
        raise DataError(f"{path}: lists no video; take the file afresh")
    return locate(root, named, _KTH_FILES)


def _kth_rows(where: str, line: str) -> Iterator[Row]:
    """The subsequences of a video, none of one that is missing."""
    match = _KTH_LINE.fullmatch(line)
    if match is None or int(match["subject"]) not in _KTH_SPLIT_OF:
        raise DataError(
            f"{where}: got {line!r}, expected 'personNN_<action>_dN frames 1-95, ...' "
            "with NN from 01 to 25; take the file afresh"
        )
    split = _KTH_SPLIT_OF[int(match["subject"])]
    for part in filter(None, (match["ranges"] or "").split(",")):
        first, last = map(int, part.split("-"))  # counted from 1, both included
        if not 1 <= first <= last:
            raise DataError(
                f"{where}: got the frames {first}-{last}, expected first <= last from 1 "
                "on; take the file afresh"
            )
        start_s, end_s = (first - 1) / KTH_FPS, last / KTH_FPS
        name = f"{match['video']}_uncomp.avi"
        yield Row(name, match["action"], match["person"], split, start_s, end_s)


_FIGHTS_LABELS = ("fight", "noFight")
_FIGHTS_SOURCE = re.compile(r"https?://\S*?(?:[?&]v=(?P<id>[\w-]+)\S*)?")
_FIGHTS_CLIP = re.compile(r"(?P<clip>(?:no)?fi\d+)\s*:.*")
_FIGHTS_RANGE = re.compile(
    r"(?P<kind>(?:no)?fi)(?P<first>\d+)\s*-\s*(?P=kind)(?P<last>\d+)\s*:\s*(?P<source>.+)"
)
# videos.txt puts two clips under two sources each. nofi022 is 640x360 and 2.0 s long like the
# entry and all other clips of IZjLv7alWTk; those of g0x9-0pOuhw are 640x314, its entry 2.1 s.
# nofi076 shows the same corridor as nofi075.
_FIGHTS_SETTLED = {"nofi022": "IZjLv7alWTk", "nofi076": "CamNet Dataset"}
_FIGHTS_FILES = "clone fight-detection-surv-dataset whole and pass its folder"


def build_fights(root: Path) -> list[Row]:
    """Rows of the repository fight-detection-surv-dataset; group is the video's id or a dataset.

    Layout: `fight/fiNNN.mp4`, `noFight/nofiNNN.mp4` and `videos.txt`, which lists the clips below
    the address of the video they were cut from and ends with ranges of clips from other datasets:

        https://www.youtube.com/watch?v=OK56kxE8H9c
        fi018: 0.34.10 - 0.36.10

        nofi062 - nofi076 : CamNet Dataset

    A part of the clips is enough. Raises DataError for a clip that videos.txt does not name.
    """
    listing = find_file(root, "videos.txt", _FIGHTS_FILES)
    sources = _fights_sources(listing)
    named = {(path.parent.name, path.name): path for path in videos_in(root)}
    clips = [path for (folder, _), path in named.items() if folder in _FIGHTS_LABELS]
    unnamed = [str(path) for path in clips if path.stem not in sources]
    if unnamed:
        raise DataError(
            f"{listing}: names no source for {len(unnamed)} of {len(clips)} clips (first: "
            f"{unnamed[0]}), so they cannot be kept out of a split; {_FIGHTS_FILES}"
        )
    if not clips:
        raise DataError(f"{root}: holds no video in fight/ or noFight/; {_FIGHTS_FILES}")
    return [Row(str(path), path.parent.name, sources[path.stem]) for path in clips]


def _fights_sources(listing: Path) -> dict[str, str]:
    """Clip name -> source video or dataset."""
    sources: dict[str, str] = {}
    for clip, source in _fights_claims(listing):
        earlier = sources.setdefault(clip, source)
        if earlier != source:
            settled = _FIGHTS_SETTLED.get(clip)
            if settled is None or settled not in (earlier, source):
                raise DataError(
                    f"{listing}: names two sources for {clip}, {earlier} and {source}; "
                    "remove the wrong line"
                )
            sources[clip] = settled
    return sources


def _fights_claims(listing: Path) -> Iterator[tuple[str, str]]:
    """(clip, source) in the order of the file."""
    current: str | None = None
    for number, line in enumerate(read_lines(listing), start=1):
        if not line:
            continue
        if match := _FIGHTS_SOURCE.fullmatch(line):
            current = match["id"] or line
        elif match := _FIGHTS_RANGE.fullmatch(line):
            yield from _fights_range(match)
        elif (match := _FIGHTS_CLIP.fullmatch(line)) and current is not None:
            yield match["clip"], current
        else:
            raise DataError(
                f"{listing}:{number}: got {line!r}, expected the address of a video, then its "
                "clips 'fi001: 0.13.50 - 0.15.60', or a range 'fi001 - fi009 : <source>'; "
                f"{_FIGHTS_FILES}"
            )


def _fights_range(match: re.Match[str]) -> Iterator[tuple[str, str]]:
    """nofi062 - nofi076 -> nofi062, nofi063, ... nofi076."""
    width = len(match["first"])
    for number in range(int(match["first"]), int(match["last"]) + 1):
        yield f"{match['kind']}{number:0{width}d}", match["source"]
