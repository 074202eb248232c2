"""Public data sets with several labels at once, each with its times: AVA, Charades, falls.

Reads names and lists only, never a video. Rows are stretches of long videos, for data.task: frames
and data.labels: many; two classes of one stretch are one row with both names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from action_gru.core.csv_dialect import read_rows
from action_gru.core.errors import DataError
from action_gru.core.text import counted
from action_gru.prepare.files import find_file, locate, match_lines, walk_files
from action_gru.prepare.rows import Row, merge_labels, part_divided_groups, warn
from action_gru.timeline.segments import Annotations
from action_gru.timeline.text_formats import read_classes

_AVA_LIST = re.compile(r"ava_(?P<split>train|val)_v(?P<version>\d+\.\d+)\.csv")
_AVA_CLASS = re.compile(r'name:\s*"(?P<name>[^"]+)"\s*(?:label_)?id:\s*(?P<id>\d+)')
_AVA_LINE = re.compile(
    r"(?P<video>[^,]+),(?P<time>\d+(?:\.\d+)?)(?:(?:,[\d.]*){4},(?P<action>\d*)(?:,-?\d*)?)?"
)
_AVA_FILES = (
    "pass a folder with the unpacked annotations (ava_train_v2.2.csv, ava_val_v2.2.csv and "
    "ava_action_list_v2.2.pbtxt) and the whole videos, called by their YouTube ids"
)


def build_ava(root: Path) -> list[Row]:
    """Rows of AVA Actions: a second around each key frame, with the actions of everyone in it.

    group is the video. Lines are `video_id,time,x1,y1,x2,y2,action_id,person_id` without a header,
    with the time in seconds from the start of the whole video; one without an action shows nothing
    of the classes. The classes are those of the label maps (*.pbtxt); actions outside them, as with
    the 60 classes of the ActivityNet challenge, are left out. So are the times of
    ava_*_excluded_timestamps_*.csv. Source: https://research.google.com/ava/download.html.
    """
    lists = [(path, m) for path in walk_files(root) if (m := _AVA_LIST.fullmatch(path.name))]
    if not lists:
        raise DataError(f"{root}: holds no ava_train_v2.2.csv; {_AVA_FILES}")
    newest = max(found["version"] for _, found in lists)
    classes, named = _ava_classes(root), list[Row]()
    for path, found in lists:
        if found["version"] == newest:
            excluded = path.name.replace(
                f"_{found['split']}_", f"_{found['split']}_excluded_timestamps_"
            )
            left_out = set(_ava_times(root / path.with_name(excluded)))
            named += _ava_rows(root / path, found["split"], classes, left_out)
    return locate(root, merge_labels(named), _AVA_FILES)


def _ava_classes(root: Path) -> dict[str, str]:
    """Action id -> name, of all label maps."""
    maps = [root / path for path in walk_files(root) if path.suffix == ".pbtxt"]
    found = {m["id"]: m["name"] for path in maps for m in _AVA_CLASS.finditer(path.read_text())}
    if not found:
        raise DataError(f"{root}: holds no label map (.pbtxt) that names actions; {_AVA_FILES}")
    return found


def _ava_times(path: Path) -> Iterator[tuple[str, float]]:
    """The (video, time) of a list of excluded key frames, where there is one."""
    if path.is_file():
        for _, line in match_lines(path, _AVA_LINE, "'<video>,<time>'", _AVA_FILES):
            yield line["video"], float(line["time"])


def _ava_rows(
    path: Path, split: str, classes: dict[str, str], left_out: set[tuple[str, float]]
) -> Iterator[Row]:
    expected = "'<video>,<time>,<box>,<action>,<person>'"
    for _, line in match_lines(path, _AVA_LINE, expected, _AVA_FILES):
        time_s, video = float(line["time"]), line["video"]
        if (video, time_s) not in left_out:
            label = classes.get(line["action"] or "", "")
            yield Row(video, label, video, split, max(0.0, time_s - 0.5), time_s + 0.5)


_CHARADES_LIST = re.compile(r"Charades_v1_(?P<split>train|test)\.csv")
_CHARADES_CLASS = re.compile(r"(?P<id>c\d{3})\s+(?P<name>.+)")
_CHARADES_ACTION = re.compile(r"(?P<id>c\d{3})\s+(?P<start>[\d.]+)\s+(?P<end>[\d.]+)")
_CHARADES_FILES = (
    "pass a folder with the unpacked Charades.zip (Charades_v1_train.csv, Charades_v1_test.csv and "
    "Charades_v1_classes.txt) and the videos (Charades_v1_480.zip), called by their ids"
)


def build_charades(root: Path) -> list[Row]:
    """Rows of Charades: one for each action of a video, and one without a label for all of it.

    The latter says that the video was watched in full: where no action lies in it, there is none.
    group is the subject. A list has the columns id, subject and actions (`c092 11.90 21.20;c147
    0.00 12.60`, classes with seconds) among others. Source: the README of Charades.zip,
    https://prior.allenai.org/projects/charades.
    """
    index = find_file(root, "Charades_v1_classes.txt", _CHARADES_FILES)
    lines = match_lines(index, _CHARADES_CLASS, "'c000 <class>'", _CHARADES_FILES)
    classes = {line["id"]: line["name"] for _, line in lines}
    lists = [(path, m) for path in walk_files(root) if (m := _CHARADES_LIST.fullmatch(path.name))]
    named = [
        row for path, found in lists for row in _charades_rows(root / path, found["split"], classes)
    ]
    if not named:
        raise DataError(f"{root}: holds no Charades_v1_train.csv with videos; {_CHARADES_FILES}")
    return part_divided_groups(locate(root, merge_labels(named), _CHARADES_FILES), "charades")


def _charades_rows(path: Path, split: str, classes: dict[str, str]) -> Iterator[Row]:
    try:
        names, rows = read_rows(path, ())
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    if lacking := {"id", "subject", "actions"} - set(names):
        raise DataError(f"{path}: has no column {' and '.join(sorted(lacking))}; {_CHARADES_FILES}")
    unread = []
    for line, row in rows:
        whole = Row(row["id"].strip(), "", row["subject"].strip(), split)
        yield whole
        for part in filter(None, map(str.strip, row["actions"].split(";"))):
            action = _CHARADES_ACTION.fullmatch(part)
            if action is None or action["id"] not in classes:
                raise DataError(f"{path}:{line}: got the action {part!r}; {_CHARADES_FILES}")
            start_s, end_s = float(action["start"]), float(action["end"])
            if start_s < end_s:
                label = classes[action["id"]]
                yield replace(whole, label=label, start_s=start_s, end_s=end_s)
            else:
                unread.append(f"line {line}: {part}")
    _tell_unread(path, unread)


def _tell_unread(path: Path, unread: list[str]) -> None:
    """Warn of the labels of a list that have no usable times."""
    if unread:
        told = "; ".join(unread[:3]) + ("; ..." if len(unread) > 3 else "")
        warn(f"{path}: left out {counted(len(unread), 'label')} ({told})")


_SUBJECT = re.compile(r"subject\s*\d+", re.IGNORECASE)
_FALLS_FILES = (
    "pass the unpacked GMDCSA24 whole: Subject 1/ADL/01.mp4, Subject 1/Fall/01.mp4 and beside them "
    "Subject 1/ADL.csv and Subject 1/Fall.csv"
)


def build_falls(root: Path) -> list[Row]:
    """Rows of GMDCSA24, falls and daily activities at home; group is the subject.

    Layout: `Subject N/ADL/NN.mp4`, `Subject N/Fall/NN.mp4`, and a CSV for each of the two folders
    beside it or in it. Its first column is the file, its last one the classes with their seconds:
    `Falling (SW)[3.4 to 6]; Sitting[0 to 3.4]`. Times between two labels are unlabelled. Source:
    https://github.com/ekramalam/GMDCSA24-A-Dataset-for-Human-Fall-Detection-in-Videos.
    """
    lists = [
        (path, subject[0])
        for path in walk_files(root)
        if path.stem.lower() in ("adl", "fall") and path.suffix.lower() == ".csv"
        if (subject := _SUBJECT.search(str(path.parent))) is not None
    ]
    named = [row for path, subject in lists for row in _falls_rows(root, path, subject)]
    if not named:
        raise DataError(f"{root}: holds no ADL.csv or Fall.csv of a subject; {_FALLS_FILES}")
    return locate(root, merge_labels(named), _FALLS_FILES)


def _falls_rows(root: Path, path: PurePosixPath, subject: str) -> Iterator[Row]:
    try:
        names, rows = read_rows(root / path, ())
    except ValueError as error:
        raise DataError(f"{root / path}: {error}") from error
    if "file name" not in names or names[-1] != "classes":
        raise DataError(f"{root / path}: has no columns File Name and Classes; {_FALLS_FILES}")
    folder = path.parent if path.parent.name.lower() == path.stem.lower() else path.with_suffix("")
    found = Annotations()
    for line, row in rows:
        read_classes(row["classes"], f"line {line}", str(folder / row["file name"].strip()), found)
    for one in found.segments:
        if one.end is not None and one.start < one.end:
            yield Row(one.video, one.label, subject, start_s=one.start, end_s=one.end)
    _tell_unread(root / path, found.problems)
