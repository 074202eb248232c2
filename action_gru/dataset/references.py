"""Long videos to test on: the manifest's rows that name a reference timeline.

path: the video. label: empty. timeline: a CSV start_s,end_s,label below the same root. split: test
(or empty) or val. Such a video is never trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from action_gru.dataset.manifest import Clip, inside, manifest_rows, split_name
from action_gru.errors import DataError
from action_gru.paths.names import composed, with_slashes
from action_gru.timeline import Event, read_segments


@dataclass(frozen=True)
class LongVideo:
    """A video with what truly happens in it; timeline: the CSV as the manifest names it."""

    path: Path
    relative: str
    group: str
    split: str
    timeline: str
    segments: tuple[Event, ...]


def read_long_videos(
    manifest: Path, root: Path | None = None, classes: Sequence[str] | None = None
) -> list[LongVideo]:
    """The long videos of a manifest, in its order; most have none.

    Raises DataError for a row or a timeline that cannot be used.
    """
    videos = []
    for line, row in manifest_rows(manifest):
        if row.get("timeline"):
            try:
                videos.append(_long_video(row, root or manifest.parent))
            except ValueError as error:
                raise DataError(f"{manifest}, line {line}: {error}") from error
    for index, video in enumerate(videos):
        if classes is not None:
            check_labels(video.segments, video.timeline, classes)
        if video.path in [other.path for other in videos[:index]]:
            raise DataError(f"{manifest}: the long video {video.relative} stands twice")
    return videos


def check_labels(segments: Sequence[Event], name: str, classes: Sequence[str]) -> None:
    """Raise DataError where a reference names a class that the model does not know."""
    unknown = sorted({segment.label for segment in segments} - set(classes))
    if unknown:
        raise DataError(
            f"{name}: unknown label {', '.join(unknown)}; the classes are {', '.join(classes)}"
        )


def check_long_videos(videos: Sequence[LongVideo], trained: Sequence[Clip]) -> None:
    """Raise DataError where a long video shares a group or its file with a training clip."""
    groups = {clip.group: clip for clip in trained}
    files = {clip.path: clip for clip in trained}
    for video in videos:
        clip = groups.get(video.group) or files.get(video.path)
        if clip is not None:
            raise DataError(
                f"the long video {video.relative} and the training clip {clip.name} are of one "
                f"group ('{video.group}') or file: the score would be too good. Take the clip out "
                "of training, or write data.allow_leakage: true"
            )


def _long_video(row: dict[str, str], root: Path) -> LongVideo:
    relative, timeline = (with_slashes(root, row[column]) for column in ("path", "timeline"))
    if not relative or row["label"]:
        raise ValueError(
            f"a row with a timeline is a long video: path and no label, got '{relative}' "
            f"and '{row['label']}'"
        )
    if row.get("start_s") or row.get("end_s"):
        raise ValueError("a long video is read whole: leave start_s and end_s empty")
    split = split_name(row) or "test"
    if split == "train":
        raise ValueError("a long video is for test or val; train on clips cut from another one")
    path, reference = inside(root, relative), inside(root, timeline)
    group = composed(row.get("group") or relative)
    segments = tuple(replace(one, label=composed(one.label)) for one in read_segments(reference))
    return LongVideo(path, relative, group, split, timeline, segments)
