"""Public data sets of short clips: UCF101, HMDB51 and KTH with their official splits, fights.

Reads names and lists only, never a video.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from action_gru.core.errors import DataError
from action_gru.core.text import counted
from action_gru.prepare.files import find_file, locate, match_lines, videos_in, walk_files
from action_gru.prepare.rows import Row, part_divided_groups

_UCF101_CLASS = re.compile(r"(?P<number>\S+)\s+(?P<name>\S+)")
_UCF101_CLIP = re.compile(
    r"(?P<label>[^/]*)/(?P<name>v_\w+_(?P<group>g\d{2})_c\d{2}\.avi)(?: (?P<number>.*))?"
)
_UCF101_FILES = (
    "unpack UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip whole into the folder passed"
)


def build_ucf101(root: Path, split: int = 1) -> list[Row]:
    """Rows of `<Class>/v_<Class>_gNN_cNN.avi` as trainlist0N.txt and testlist0N.txt divide them.

    group is gNN over all classes: the splits part the 25 groups by their number (split 1 tests
    g01 to g07), so no group is divided. Source: Soomro, Zamir, Shah, "UCF101", CRCV-TR-12-01.
    The class of a file name may differ in case from its folder (HandstandPushups); the folder
    counts.
    """
    index = find_file(root, "classInd.txt", _UCF101_FILES)
    classes = match_lines(index, _UCF101_CLASS, "'<number> <class>'", _UCF101_FILES)
    numbers = {match["name"]: match["number"] for _, match in classes}
    named = [row for part in ("train", "test") for row in _ucf101_rows(root, part, split, numbers)]
    return locate(root, named, _UCF101_FILES)


def _ucf101_rows(root: Path, part: str, split: int, numbers: dict[str, str]) -> Iterator[Row]:
    """One row for each line `<Class>/<file> <number>` or `<Class>/<file>`."""
    listing = find_file(root, f"{part}list{split:02d}.txt", _UCF101_FILES)
    expected = "<Class>/v_<Class>_gNN_cNN.avi"
    for where, clip in match_lines(listing, _UCF101_CLIP, expected, _UCF101_FILES):
        label = clip["label"]
        if label not in numbers or (clip["number"] and clip["number"] != numbers[label]):
            raise DataError(
                f"{where}: got {clip[0]!r}, which does not agree with classInd.txt; {_UCF101_FILES}"
            )
        yield Row(f"{label}/{clip['name']}", label, clip["group"], part)


# visible body, camera motion, persons, viewpoint, quality, running number
_HMDB51_TAGS = re.compile(r"_[hulf]_(?:nm|cm)_np\d+_(?:fr|ba|le|ri)_(?:bad|med|goo)_\d+$")
_HMDB51_CLIP = re.compile(r"(?P<name>.*\S)\s+(?P<mark>[012])")
_HMDB51_MARKS = {"1": "train", "2": "test"}  # 0: unused
_HMDB51_FILES = (
    "unpack test_train_splits.rar, hmdb51_org.rar and the archive of each class in it into the "
    "folder passed"
)


def build_hmdb51(root: Path, split: int = 1) -> list[Row]:
    """Rows of `<class>/*.avi` as `<class>_test_split{split}.txt` divides them, less unused clips.

    group is `<class>/<source video>`. The class belongs to it because the official splits keep a
    source video whole within a class only: in split 1 RETURN_OF_THE_KING trains `drink` and tests
    `stand`. Where a list divides a source within a class, the protocol is kept, both halves get
    groups of their own, and a warning says how many.
    """
    rows = locate(root, list(_hmdb51_rows(root, f"_test_split{split}.txt")), _HMDB51_FILES)
    return part_divided_groups(rows, f"hmdb51 split {split}")


def _hmdb51_rows(root: Path, ending: str) -> Iterator[Row]:
    """A row for each clip in use. ending: of the lists' names."""
    lists = [path for path in walk_files(root) if path.name.endswith(ending)]
    if not lists:
        raise DataError(f"{root}: holds no <class>{ending}; {_HMDB51_FILES}")
    for path in lists:
        label, expected = path.name.removesuffix(ending), "'<file> <0, 1 or 2>'"
        for _, clip in match_lines(root / path, _HMDB51_CLIP, expected, _HMDB51_FILES):
            if part := _HMDB51_MARKS.get(clip["mark"]):
                group = f"{label}/{source_video(clip['name'], label)}"
                yield Row(f"{label}/{clip['name']}", label, group, part)


def source_video(name: str, label: str) -> str:
    """File name -> source video: `Oceans11_eat_u_cm_np1_fr_med_7.avi` -> `Oceans11`.

    The tags and the class are cut from the end; a name without the tags is its own source.
    """
    stem = name.removesuffix(".avi")
    match = _HMDB51_TAGS.search(stem)
    return stem[: match.start()].removesuffix(f"_{label}") if match else stem


KTH_FPS = 25.0
# 00sequences.txt, its header: the subdivision of Schuldt, Laptev, Caputo, ICPR 2004.
KTH_SUBJECTS = {
    "train": (11, 12, 13, 14, 15, 16, 17, 18),
    "val": (19, 20, 21, 23, 24, 25, 1, 4),
    "test": (22, 2, 3, 5, 6, 7, 8, 9, 10),
}
_KTH_SPLIT_OF = {subject: split for split, subjects in KTH_SUBJECTS.items() for subject in subjects}
_KTH_LINE = re.compile(
    r"(?P<video>(?P<person>person(?P<subject>0[1-9]|1\d|2[0-5]))_(?P<action>[a-z]+)_d\d)\s+"
    r"(?:\*missing\*|frames\s+(?P<ranges>\d+-\d+(?:\s*,\s*\d+-\d+)*))"
    r"|(?!person\d).*"  # the text around the table
)
_KTH_FILES = (
    "put 00sequences.txt as published and the six unpacked archives (boxing.zip to walking.zip) "
    "into one folder"
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
    expected = "'personNN_<action>_dN frames 1-95, ...' with NN from 01 to 25"
    videos = match_lines(path, _KTH_LINE, expected, _KTH_FILES)
    named = [row for where, video in videos for row in _kth_rows(where, video)]
    if not named:
        raise DataError(f"{path}: lists no video; {_KTH_FILES}")
    return locate(root, named, _KTH_FILES)


def _kth_rows(where: str, video: re.Match[str]) -> Iterator[Row]:
    """The subsequences of a video, none of one that is missing."""
    for part in filter(None, (video["ranges"] or "").split(",")):
        first, last = map(int, part.split("-"))  # counted from 1, both included
        if not 1 <= first <= last:
            raise DataError(
                f"{where}: got the frames {first}-{last}, expected first <= last from 1 on; "
                f"{_KTH_FILES}"
            )
        yield Row(
            f"{video['video']}_uncomp.avi",
            video["action"],
            video["person"],
            _KTH_SPLIT_OF[int(video["subject"])],
            (first - 1) / KTH_FPS,
            last / KTH_FPS,
        )


_FIGHTS_LINE = re.compile(
    r"(?P<url>https?://\S*?(?:[?&]v=(?P<id>[\w-]+)\S*)?)"
    r"|(?P<kind>(?:no)?fi)(?P<first>\d+)\s*-\s*(?P=kind)(?P<last>\d+)\s*:\s*(?P<dataset>.+)"
    r"|(?P<clip>(?:no)?fi\d+)\s*:.*"
)
# videos.txt puts two clips under two sources each. nofi022 is 640x360 and 2.0 s long like the
# entry and all other clips of IZjLv7alWTk; those of g0x9-0pOuhw are 640x314, its entry 2.1 s.
# nofi076 shows the same corridor as nofi075.
_FIGHTS_KNOWN = {"nofi022": "IZjLv7alWTk", "nofi076": "CamNet Dataset"}
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
    sources: dict[str, str] = {}
    for clip, source in _fights_sources(listing):
        earlier = sources.setdefault(clip, source)
        if earlier != source:
            sources[clip] = _FIGHTS_KNOWN.get(clip, "")
            if sources[clip] not in (earlier, source):
                raise DataError(
                    f"{listing}: names two sources for {clip}, {earlier} and {source}; "
                    "remove the wrong line"
                )
    clips = [path for path in videos_in(root) if path.parent.name in ("fight", "noFight")]
    clips = list({path.parts[-2:]: path for path in clips}.values())
    unnamed = [str(path) for path in clips if path.stem not in sources]
    if unnamed:
        raise DataError(
            f"{listing}: names no source for {len(unnamed)} of {counted(len(clips), 'clip')} "
            f"(first: {unnamed[0]}), so they cannot be kept out of a split; {_FIGHTS_FILES}"
        )
    if not clips:
        raise DataError(f"{root}: holds no video in fight/ or noFight/; {_FIGHTS_FILES}")
    return [Row(str(path), path.parent.name, sources[path.stem]) for path in clips]


def _fights_sources(listing: Path) -> Iterator[tuple[str, str]]:
    """(clip, source video or dataset) in the order of the file."""
    expected = (
        "the address of a video, then its clips 'fi001: 0.13.50 - 0.15.60', or a range "
        "'fi001 - fi009 : <source>'"
    )
    source = ""
    for where, line in match_lines(listing, _FIGHTS_LINE, expected, _FIGHTS_FILES):
        if line["url"]:
            source = line["id"] or line["url"]
        elif line["kind"]:  # nofi062 - nofi076 -> nofi062, nofi063, ... nofi076
            for number in range(int(line["first"]), int(line["last"]) + 1):
                yield f"{line['kind']}{number:0{len(line['first'])}d}", line["dataset"]
        elif source:
            yield line["clip"], source
        else:
            raise DataError(f"{where}: got {line[0]!r}, expected {expected}; {_FIGHTS_FILES}")
