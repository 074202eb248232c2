"""Readers of the JSON of annotation tools and datasets, and of the tables that these write.

Each takes a `Source` and adds what it finds to `Annotations`; times are given as they stand there.
A document of another shape makes a reader fail with the errors that Python raises for it; the door
(see readers.py) turns them into a DataError.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from action_gru.core.paths import VIDEO_SUFFIXES
from action_gru.timeline.segments import Annotations, Source

Json = dict[str, Any]
VIA_DELETED = 1
VIA_SEGMENT = "FILE1_Z2_XY0"  # the anchor of what describes a stretch of one file
# Create ML leaves the names to the user; these are its defaults and the usual ones.
_CREATEML = {
    "video": {"videopath", "video", "videofile", "path", "filepath", "file", "filename"},
    "label": {"label", "action"},
    "start": {"start", "starttime", "starts"},
    "end": {"end", "endtime", "ends"},
}


def has_keys(document: Any, *keys: str) -> bool:
    """Whether it is an object with these keys."""
    return isinstance(document, dict) and all(key in document for key in keys)


def read_timeline_json(source: Source, found: Annotations) -> None:
    """The .json that `timeline --out` writes, and the answer of `timeline --json`: seconds."""
    video = source.json["source"] if "source" in source.json else source.json["video"]
    found.videos[video] = None
    for number, one in enumerate(source.json["events"], 1):
        more = {"score": float(one.get("score", 1.0)), "person": one.get("person")}
        found.add(f"event {number}", one["label"], (one["start_s"], one["end_s"]), video, **more)


def read_activitynet(source: Source, found: Annotations) -> None:
    """ActivityNet: database -> video id -> annotations with a segment in seconds.

    http://activity-net.org/download.html
    """
    for video, entry in source.json["database"].items():
        found.videos[video] = None
        for number, one in enumerate(entry.get("annotations", ()), 1):
            where = f"{video}, annotation {number}"
            found.add(where, one["label"], one["segment"], video)


def read_charades(source: Source, found: Annotations) -> None:
    """Charades: the column actions holds `c092 11.90 21.20;c147 0.00 12.60`, seconds; or the JSON
    made of it, video id -> actions as [class number, start, end].

    https://prior.allenai.org/projects/data/charades/README.txt
    """
    if source.json is None:
        for line, row in source.table[1]:
            found.videos[video := row["id"].strip()] = None
            for part in filter(str.strip, row["actions"].split(";")):
                label, start, end = ["", "", *part.rsplit(maxsplit=2)][-3:]
                found.add(f"line {line}, {label}", label, (start, end), video)
        return
    for video, entry in source.json.items():
        found.videos[video] = None
        for number, (label, start, end) in enumerate(entry["actions"], 1):
            code = label if isinstance(label, str) else f"c{label:03d}"
            found.add(f"{video}, action {number}", code, (start, end), video)


def is_charades(source: Source) -> bool:
    entry = next(iter(source.json.values()), None) if isinstance(source.json, dict) else None
    return has_keys(entry, "actions", "duration")


def read_createml(source: Source, found: Annotations) -> None:
    """Create ML's action classifier: a list of objects that name a video and a label, and may give
    its start and end in seconds; without, the label is that of the whole video.

    https://developer.apple.com/documentation/createml/mlactionclassifier/datasource
    """
    for number, entry in enumerate(source.json, 1):
        video, label, start, end = (_value(entry, kind) for kind in _CREATEML)
        if not video or label is None:
            found.leave_out(f"entry {number}", f"names no video or no label, got {list(entry)}")
        else:
            found.add(f"entry {number}", label, (start or 0.0, end), str(video))


def is_createml(source: Source) -> bool:
    entry = source.json[0] if isinstance(source.json, list) and source.json else None
    return isinstance(entry, dict) and None not in (_value(entry, "video"), _value(entry, "label"))


def _value(entry: Json, kind: str) -> Any:
    """The value under one of the names, however they are spelt: `Start Time`, `start_time`."""
    spelt = {re.sub(r"[^a-z]", "", key.lower()): value for key, value in entry.items()}
    return next((value for key, value in spelt.items() if key in _CREATEML[kind]), None)


def read_via(source: Source, found: Annotations) -> None:
    """Project of the VGG Image Annotator 3: metadata with z = [start, end], seconds.

    The label is the value of each attribute of the stretch, by its option where it has options. A
    region of a picture is no stretch. https://gitlab.com/vgg/via/-/blob/master/via-3.x.y/CodeDoc.md
    """
    names = {view: _via_video(source.json, entry) for view, entry in source.json["view"].items()}
    found.videos |= dict.fromkeys(names.values())
    for key, entry in source.json["metadata"].items():
        if entry.get("flg", 0) & VIA_DELETED:
            continue
        if len(entry["z"]) != 2 or entry.get("xy"):
            found.pass_over(key, "describes a place in a picture, and no stretch of time")
            continue
        labels = list(_via_labels(source.json["attribute"], entry["av"]))
        for label in labels or [""]:
            found.add(key, label, entry["z"], names[str(entry["vid"])])


def _via_video(document: Json, view: Json) -> str:
    file = document["file"][str(view["fid_list"][0])]
    return str(file["fname"] or file["src"])


def _via_labels(attributes: Json, values: Json) -> Iterator[str]:
    """The values in words; of a group of check boxes the ids stand between commas."""
    for key, value in values.items():
        attribute = attributes.get(key, {})
        options = attribute.get("options", {})
        if attribute.get("anchor_id", VIA_SEGMENT) == VIA_SEGMENT:
            chosen = [value] if value in options else str(value).split(",")
            yield from [options[one] for one in chosen if one in options] or [value]


def read_boris(source: Source, found: Annotations) -> None:
    """BORIS: a project, or the table `Export events > Aggregated events`; seconds.

    A state event stands twice in a project, as it begins and as it ends. A point event lasts no
    time. Times include the observation's time offset. https://www.boris.unito.it/user_guide/export_events/
    """
    if source.json is None:
        _read_boris_table(source, found)
        return
    states = {
        behavior["code"]
        for behavior in source.json["behaviors_conf"].values()
        if behavior["type"].lower().startswith("state")
    }
    for name, observation in source.json["observations"].items():
        if files := (observation.get("file") or {}).get("1"):
            _read_observation(name, observation, files, states, found)
        else:
            found.pass_over(name, "a live observation, of no video")


def _read_boris_table(source: Source, found: Annotations) -> None:
    names, rows = source.table
    files = (name for name in names if name.startswith("media file") or name == "source")
    column = min(files, default="observation id")  # some versions have the source alone
    for line, row in rows:
        players = re.split(r"(?:^|;\s*)player #\d+:", row[column].strip(), flags=re.IGNORECASE)
        video = next(filter(None, players), "")  # further players show the same from elsewhere
        start, end = row["start (s)"].strip(), row["stop (s)"].strip()
        span = (start, end if end[:1].isdigit() else start)  # of a point event it is empty, or NA
        shift = row.get("time offset (s)", "").strip().replace(",", ".") or "0"
        found.add(f"line {line}", row["behavior"], span, video, offset_s=float(shift))


def _read_observation(
    name: str, observation: Json, files: list[str], states: set[str], found: Annotations
) -> None:
    found.videos |= dict.fromkeys(files)
    begun: dict[tuple[str, str, str], float] = {}
    offset = float(observation.get("time offset") or 0.0)
    for time, subject, code, modifier, *_ in sorted(observation["events"], key=lambda e: e[0]):
        time_s, key = float(time) - offset, (subject, code, modifier)
        start_s = begun.pop(key, None) if code in states else time_s
        if start_s is None:
            begun[key] = time_s
            continue
        for video, start, end in _in_files(start_s, time_s, files, observation):
            found.add(f"{name}, {code} at {start_s:g} s", code, (start, end), video)
    for (_, code, _), start_s in begun.items():
        found.leave_out(f"{name}, {code} at {start_s:g} s", "begins and never ends")


def _in_files(
    start_s: float, end_s: float, files: list[str], observation: Json
) -> Iterator[tuple[str, float, float]]:
    """Parts of a stretch in files that are played one after the other: (file, start, end)."""
    if len(files) == 1:
        yield files[0], start_s, end_s
        return
    begin_s = 0.0
    for file in files:
        length_s = observation["media_info"]["length"][file]
        if start_s < begin_s + length_s and (end_s > begin_s or start_s >= begin_s):
            yield file, max(start_s - begin_s, 0.0), min(end_s - begin_s, length_s)
        begin_s += length_s


def read_label_studio(source: Source, found: Annotations) -> None:
    """Label Studio: timeline labels in its JSON, JSON-MIN or CSV export, and labels with a start
    and an end in seconds.

    Timeline labels count frames from 1, both ends included, at the rate that the task's data name
    `fps`; without, they are taken as the frames of the file.
    https://labelstud.io/tags/timelinelabels and https://labelstud.io/guide/export
    """
    tasks = source.json if source.json is not None else _label_studio_rows(source)
    for number, task in enumerate(tasks, 1):
        where, data = f"task {task.get('id', number)}", task.get("data", task)
        video = _label_studio_video(task, data)
        found.videos[video] = None
        said = next((data[key] for key in data if re.fullmatch("(?i)fps|frame_?rate", key)), None)
        rate = float(said) if said else None
        if rate is not None and not 0 < rate < math.inf:
            found.pass_over(where, f"a rate of {said} frames a second, so that of the file counts")
            rate = None
        for value in _label_studio_values(task):
            _add_value(where, value, video, rate, found)


def is_label_studio(source: Source) -> bool:
    tasks = source.json if isinstance(source.json, list) else []
    return any(
        has_keys(task, "data", "annotations") or has_keys(task, "annotator", "lead_time")
        for task in tasks[:1]
    )


def _label_studio_rows(source: Source) -> Iterator[Json]:
    """Rows of the CSV export: JSON where a cell holds more than a word."""
    for _, row in source.table[1]:
        yield {
            name: json.loads(cell) if cell.startswith(("[", "{")) else cell
            for name, cell in row.items()
        }


def _label_studio_video(task: Json, data: Json) -> str:
    """The first value that names a video, of a task with several fields."""
    texts = [value for value in [*data.values(), task.get("file_upload")] if isinstance(value, str)]
    for text in texts:
        parts = re.split("[?#]", text)  # of a URL
        if any(PurePosixPath(part).suffix.lower() in VIDEO_SUFFIXES for part in parts):
            return text
    return str(data.get("video", ""))


def _label_studio_values(task: Json) -> Iterable[Json]:
    """What the annotators gave, those who cancelled left out."""
    if "annotations" in task:
        given = [one for one in task["annotations"] if not one.get("was_cancelled")]
        return [result["value"] for one in given for result in one["result"] if "value" in result]
    lists = (value for value in task.values() if isinstance(value, list))
    return [value for values in lists for value in values if isinstance(value, dict)]


def _add_value(where: str, value: Json, video: str, rate: float | None, found: Annotations) -> None:
    labels = value.get("timelinelabels") or value.get("labels") or []
    labels = [labels] if isinstance(labels, str) else labels
    spans = value.get("ranges") or ([value] if "start" in value and "end" in value else [])
    if not labels or not spans:
        found.pass_over(where, f"no label with a start and an end, but {', '.join(value)}")
    for span in spans:
        for label in labels:
            start, end = span["start"], span["end"]
            if "ranges" not in value:
                found.add(where, label, (start, end), video)
            elif rate is None:
                found.add(where, label, (max(start - 1, 0), end), video, in_frames=True)
            else:
                found.add(where, label, (max(start - 1, 0) / rate, end / rate), video)
