"""Readers of annotations in XML: ELAN and CVAT.

Each takes a `Source` and adds what it finds to `Annotations`; times are given as they stand there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree as ET

from action_gru.core.text import counted
from action_gru.timeline.segments import Annotations, Source

_SCORE = re.compile(r"[01]\.\d\d")
_PERSON = re.compile(r"person (\d+)(?:, \d+)?")


def read_elan(source: Source, found: Annotations) -> None:
    """ELAN: the annotations of all tiers with times of their own, milliseconds.

    The video is the first media file, and an offset of its own is added. Annotations that describe
    others (REF_ANNOTATION) are left out, except the tiers of scores that this program writes.
    https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf
    """
    root = _root(source)
    media = root.find("HEADER/MEDIA_DESCRIPTOR")
    names = [] if media is None else [media.get("MEDIA_URL"), media.get("RELATIVE_MEDIA_URL")]
    video = next(filter(None, names), "")
    offset_ms = 0 if media is None else int(media.get("TIME_ORIGIN") or 0)
    found.videos[video] = None
    slots = {one.get("TIME_SLOT_ID"): one.get("TIME_VALUE") for one in root.iter("TIME_SLOT")}
    scores = _elan_scores(root, found)
    for tier in root.iter("TIER"):
        name = tier.get("TIER_ID", "")
        person = _PERSON.fullmatch(name)
        for one in tier.iter("ALIGNABLE_ANNOTATION"):
            key = one.get("ANNOTATION_ID", "")
            where = f"{name}, annotation {key}"
            times = [slots.get(one.get(f"TIME_SLOT_REF{number}")) for number in (1, 2)]
            if None in times:
                found.leave_out(where, "has no time of its own")
                continue
            start_s, end_s = ((int(time or 0) + offset_ms) / 1000 for time in times)
            label = one.findtext("ANNOTATION_VALUE", "")
            who = int(person[1]) if person else None
            found.add(where, label, (start_s, end_s), video, person=who, score=scores.get(key, 1.0))


def _elan_scores(root: ET.Element, found: Annotations) -> dict[str, float]:
    """Annotation -> the score below it; other annotations of annotations are told."""
    scores: dict[str, float] = {}
    for tier in root.iter("TIER"):
        below = {
            one.get("ANNOTATION_REF", ""): one.findtext("ANNOTATION_VALUE", "")
            for one in tier.iter("REF_ANNOTATION")
        }
        if all(map(_SCORE.fullmatch, below.values())):
            scores |= {key: float(value) for key, value in below.items()}
        else:
            described = counted(len(below), "annotation")
            found.pass_over(tier.get("TIER_ID", ""), f"{described} of others, without a time")
    return scores


def read_cvat(source: Source, found: Annotations) -> None:
    """CVAT for video 1.1 (tracks) and CVAT for images 1.1 of a video (tags and shapes by frame).

    Frames from 0. A track lasts as long as it is not outside. A label of neighbouring frames is one
    segment. https://docs.cvat.ai/docs/manual/advanced/xml_format/
    """
    root = _root(source)
    tasks = {task.findtext("id"): task for task in root.iter("task")} or {None: root}
    videos = {key: _cvat_video(task) for key, task in tasks.items()}
    steps = {key: _cvat_step(task) for key, task in tasks.items()}
    found.videos |= dict.fromkeys(videos.values())
    for element, label, first, after in [*_tracks(root, steps), *_tags(root, steps)]:
        where = f"{element.tag} {element.get('id')}"
        video = videos[_task_of(element, videos)]
        found.add(where, label, (first, after), video, in_frames=True)


def _cvat_video(task: ET.Element) -> str:
    name = task.findtext("source") or task.findtext(".//source") or task.findtext("name")
    return name or task.findtext(".//name") or ""


def _cvat_step(task: ET.Element) -> int:
    """How many frames of the file one frame of the task stands for."""
    match = re.search(r"step\s*=\s*(\d+)", task.findtext(".//frame_filter") or "")
    return max(int(match[1]), 1) if match else 1


def _task_of(element: ET.Element, tasks: Iterable[str | None]) -> str | None:
    """The id of an element's task, which only exports of several tasks give."""
    return element.get("task_id") or next(iter(tasks))


Spans = Iterator[tuple[ET.Element, str, int, int]]


def _tracks(root: ET.Element, steps: dict[str | None, int]) -> Spans:
    for track in root.iter("track"):
        first, last, step = None, 0, steps[_task_of(track, steps)]
        shapes = {int(shape.attrib["frame"]): shape for shape in track if "frame" in shape.attrib}
        for frame, shape in sorted(shapes.items()):
            if shape.get("outside") != "1":
                first, last = frame if first is None else first, frame
            elif first is not None:
                yield track, track.get("label", ""), first, frame
                first = None
        if first is not None:
            yield track, track.get("label", ""), first, last + step


def _tags(root: ET.Element, steps: dict[str | None, int]) -> Spans:
    frames: dict[tuple[str | None, str], dict[int, ET.Element]] = defaultdict(dict)
    for image in root.iter("image"):
        numbers = re.search(r"(\d+)\.?\w*$", image.get("name", ""))
        frame = int(numbers[1]) if numbers else int(image.get("id", 0))
        for label in {shape.get("label", "") for shape in image}:
            frames[_task_of(image, steps), label][frame] = image
    for (task, label), images in sorted(frames.items(), key=lambda item: str(item[0])):
        yield from _runs(label, images, steps[task])


def _runs(label: str, images: dict[int, ET.Element], step: int) -> Spans:
    first = None
    for frame in sorted(images):
        first = frame if first is None else first
        if frame + step not in images:
            yield images[first], label, first, frame + step
            first = None


def _root(source: Source) -> ET.Element:
    if source.xml is None:
        raise ValueError(f"got {source.summary()}, which is no XML")
    return source.xml
