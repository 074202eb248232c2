"""What a caller gives to be looked at, as clips: paths, addresses, frames in memory.

Knows no model. An address is fetched when its turn comes, and removed with the batch that it is in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from action_gru.core.arguments import brief, number_given, path_given
from action_gru.core.errors import VideoError
from action_gru.core.paths import instead_of, is_frames
from action_gru.dataset import Clip
from action_gru.video.address import fetched
from action_gru.video.array import ArrayVideo

WANTED = (
    "a video is a path, an http(s) address, or frames as an array (T, H, W, 3) of uint8 with fps=25"
)


@dataclass(frozen=True)
class Stretch:
    """Which part is looked at, seconds; fps: of frames that have no rate of their own."""

    start_s: float | None = None
    end_s: float | None = None
    fps: float | None = None

    @classmethod
    def given(cls, start_s: Any, end_s: Any, fps: Any) -> Stretch:
        """Checked. Raises VideoError."""
        start_s = number_given(start_s, "start_s", "seconds", VideoError)
        end_s = number_given(end_s, "end_s", "seconds", VideoError)
        if end_s is not None and end_s <= (start_s or 0.0):
            raise VideoError(f"end_s: lies after start_s; got {start_s or 0:g} to {end_s:g} s")
        if (rate := number_given(fps, "fps", "frames a second", VideoError)) == 0:
            raise VideoError("fps: a number of frames a second above 0; got 0")
        return cls(start_s, end_s, rate)


@dataclass
class Batch:
    """Clips that are extracted together. places: of each thing that was given, its clip's name.

    held: frames in memory by clip name. problems: by place, why there is no clip. shown: what a
    temporary file stands for in messages.
    """

    clips: dict[str, Clip] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    held: dict[str, ArrayVideo] = field(default_factory=dict)
    problems: dict[int, VideoError] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)

    def told(self, reason: str) -> str:
        """The reason with the names that the caller knows."""
        for hidden, name in self.shown.items():
            reason = reason.replace(hidden, name)
        return reason


def are_many(given: Any) -> bool:
    """Whether several videos are given, and not one as a list of its frames."""
    if isinstance(given, str | bytes | os.PathLike | np.ndarray | Mapping):
        return False
    if not isinstance(given, Sequence):
        return False
    return not (len(given) > 0 and all(_is_picture(one) for one in given))


def name_of(given: Any, number: int) -> str:
    """What a video is called in answers: its path or address, else its place in the list."""
    return str(given) if isinstance(given, str | os.PathLike) else f"frames {number}"


@contextmanager
def opened(given: Sequence[Any], stretch: Stretch, rate: float | None) -> Iterator[Batch]:
    """The clips of some videos. rate: of folders of frames where the stretch names none.

    Raises VideoError for what can be no video at all; one that is not there is a problem.
    """
    batch = Batch()
    with ExitStack() as files:
        for place, one in enumerate(given):
            try:
                clip = _clip(one, place, stretch, rate, batch, files)
            except _AbsentError as absent:
                batch.places.append("")
                batch.problems[place] = absent.problem
                continue
            batch.places.append(clip.name)
            batch.clips[clip.name] = clip
        yield batch


@contextmanager
def local_file(given: Any, what: str) -> Iterator[Path]:
    """The path that is given, or the file at an http(s) address. Raises VideoError.

    what: of errors, as for `path_given`.
    """
    if isinstance(given, str) and "://" in given:
        with fetched(given) as path:
            yield path
        return
    yield path_given(given, what, VideoError)


class _AbsentError(Exception):
    """One video that cannot be had; the others may be."""

    def __init__(self, problem: VideoError) -> None:
        super().__init__(str(problem))
        self.problem = problem


def _clip(
    given: Any, place: int, stretch: Stretch, rate: float | None, batch: Batch, files: ExitStack
) -> Clip:
    start_s, end_s = stretch.start_s, stretch.end_s
    if not isinstance(given, str | os.PathLike):
        if not isinstance(given, np.ndarray) and not _is_list(given):
            raise VideoError(f"{WANTED}; got {brief(given)}")
        name = f"frames {place}"
        made = Clip(Path(name), name, "", name, "", start_s, end_s)
        batch.held[made.name] = ArrayVideo(given, stretch.fps)
        return made
    if isinstance(given, str) and "://" in given:
        try:
            path = files.enter_context(fetched(given))
        except VideoError as error:
            raise _AbsentError(error) from error
        batch.shown[str(path)] = given
        return Clip(path, str(path), "", str(path), "", start_s, end_s, frame_rate=rate)
    path = path_given(given, WANTED, VideoError)
    if sentence := instead_of("a video", path):
        raise _AbsentError(VideoError(sentence))
    if stretch.fps is not None and path.exists() and not is_frames(path):
        raise VideoError(
            f"fps: is for frames in memory and folders of frames; {path} has a rate of its own, so "
            "leave it out"
        )
    frame_rate = stretch.fps or rate
    return Clip(path, str(path), "", str(path), "", start_s, end_s, frame_rate=frame_rate)


def _is_list(given: Any) -> bool:
    """A list of the frames of one video."""
    return isinstance(given, Sequence) and not isinstance(given, bytes)


def _is_picture(one: Any) -> bool:
    return isinstance(one, np.ndarray) and one.ndim == 3
