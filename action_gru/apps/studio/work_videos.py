"""What the reader does with long videos: their facts, the model's proposals, clips cut from them.

Runs in the reader process. What takes long is a job that goes on for a moment at a time, so that
the camera's frames are answered in between. The files themselves are decoded in a process of their
own. Knows no route and no project.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from action_gru.apps.studio.frames import at_most
from action_gru.apps.studio.networks import recognizer_of
from action_gru.core.errors import DataError
from action_gru.dataset.cells import frame_instants
from action_gru.video import DecodeLimits, Image, VideoFile, VideoWriter
from action_gru.video.file import open_file

SLICE_S = 0.15  # how long a job goes on before something else may be answered
COPY_SIDE_PX = 1280  # a copy to label by is no larger
FEWEST_FRAMES = 2  # of a clip: of less nothing can be learned

Tell = Callable[[Any], None]
# Gives the share that is done, None where nobody knows; returns what the job made.
Work = Generator[float | None, None, Any]


def video_facts(tell: Tell, path: str) -> dict[str, Any]:
    """duration_s (None where the header says none), fps, codec. Raises VideoError."""
    reader = open_file(Path(path), None, DecodeLimits())
    try:
        info = reader.info
    finally:
        reader.close()
    return {"duration_s": info.length_s, "fps": info.fps, "codec": info.codec}


def video_instants(tell: Tell, path: str) -> list[float]:
    """The instant of each frame, seconds, for annotations that count in frames."""
    return [float(time_s) for time_s in frame_instants(Path(path))]


@dataclass(frozen=True)
class Cut:
    """A stretch of a video, seconds, and the file that it becomes."""

    start_s: float
    end_s: float
    out: Path


def cutting(path: str, cuts: Sequence[tuple[float, float, str]]) -> Work:
    """Each (start_s, end_s, out) as an H.264 file with the frames' own times, in one pass.

    Returns {"made": [out], "failed": {out: why}}. Raises VideoError for a video that cannot be
    read; no half-written file stays.
    """
    waiting = sorted((Cut(start, end, Path(out)) for start, end, out in cuts), key=_start)
    end_s = max(cut.end_s for cut in waiting)
    made = _Cutting(waiting)
    with ExitStack() as on_exit, VideoFile(path) as video:
        on_exit.callback(made.discard)
        for frame in video.frames(made.wants, end_s):
            made.take(frame.image, frame.time_s, video.fps)
            yield min(frame.time_s / end_s, 1.0)
        made.end()
    return {"made": [str(out) for out in made.made], "failed": made.failed}


def _start(cut: Cut) -> float:
    return cut.start_s


@dataclass
class _Cutting:
    """The clips of one pass over a video: those that wait, those that are open, what came of it."""

    waiting: list[Cut]
    open: list[tuple[Cut, VideoWriter, list[float]]] = field(default_factory=list)
    made: list[Path] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def wants(self, time_s: float) -> bool:
        """Whether a frame of this instant belongs to a clip."""
        self._close_before(time_s)
        return bool(self.open) or bool(self.waiting and self.waiting[0].start_s <= time_s)

    def take(self, image: Image, time_s: float, fps: float) -> None:
        while self.waiting and self.waiting[0].start_s <= time_s:
            cut = self.waiting.pop(0)
            if cut.end_s <= time_s:
                self.failed[str(cut.out)] = _too_few(0)
                continue
            writer = VideoWriter(cut.out, (image.shape[1], image.shape[0]), fps)
            writer.__enter__()
            self.open.append((cut, writer, []))
        for _, writer, times_s in self.open:
            writer.write(image, time_s)
            times_s.append(time_s)

    def end(self) -> None:
        self._close_before(float("inf"))
        for cut in self.waiting:
            self.failed[str(cut.out)] = _too_few(0)
        self.waiting.clear()

    def discard(self) -> None:
        """Give up the clips that are not finished."""
        while self.open:
            self.open.pop()[1].discard()

    def _close_before(self, time_s: float) -> None:
        for one in [one for one in self.open if one[0].end_s <= time_s]:
            cut, writer, times_s = one
            if len(times_s) < FEWEST_FRAMES:
                self.open.remove(one)
                writer.discard()
                self.failed[str(cut.out)] = _too_few(len(times_s))
                continue
            writer.__exit__(None, None)
            self.open.remove(one)
            self.made.append(cut.out)


def _too_few(frames: int) -> str:
    return f"the video has {frames} pictures there, a clip needs {FEWEST_FRAMES}; make it longer"


def copying(path: str, out: str, length_s: float | None) -> Work:
    """A copy that every browser plays: H.264, the frames' own times, no sound.

    Returns its length, seconds. Raises VideoError.
    """
    last_s, writer = 0.0, None
    with ExitStack() as stack, VideoFile(path) as video:
        for frame in video:
            image = at_most(frame.image, COPY_SIDE_PX)
            if writer is None:
                size_px = (image.shape[1], image.shape[0])
                writer = stack.enter_context(VideoWriter(out, size_px, video.fps))
                if frame.time_s > 0:  # or the copy's clock would begin at the first picture
                    writer.write(image, 0.0)
            last_s = frame.time_s
            writer.write(image, last_s)
            yield min(last_s / length_s, 1.0) if length_s else None
    return last_s


def proposing(path: str, run: str, length_s: float | None) -> Work:
    """What the model of a run sees in the video: {start_s, end_s, label, score} of each event.

    Raises VideoError, CheckpointError.
    """
    yield 0.0
    reader = recognizer_of(Path(run)).read_timeline(path)
    for _ in reader:
        yield min(reader.recorder.read_s / length_s, 1.0) if length_s else None
    events = reader.timeline().events
    return [event.to_json() for event in events if event.duration_s > 0]


KINDS: dict[str, Callable[..., Work]] = {
    "cut": cutting,
    "copy": copying,
    "propose": proposing,
}
_jobs: dict[str, Work] = {}


def video_begin(tell: Tell, kind: str, *args: Any) -> str:
    """Begin a job of KINDS; the name by which it goes on."""
    name = secrets.token_hex(8)
    _jobs[name] = KINDS[kind](*args)
    return name


def video_go_on(tell: Tell, name: str) -> dict[str, Any]:
    """A moment of a job: {"share"}, and at its end {"result"}. Raises what the job raises."""
    job = _jobs.get(name)
    if job is None:
        raise DataError("the work on this video was lost when the reader started anew; try again")
    until_s = time.monotonic() + SLICE_S
    share: float | None = None
    try:
        while time.monotonic() < until_s:
            share = next(job)
    except StopIteration as end:
        del _jobs[name]
        return {"share": 1.0, "result": end.value}
    except BaseException:
        del _jobs[name]
        raise
    return {"share": share}


def video_drop(tell: Tell, name: str) -> None:
    """Give up a job; what it had half written is removed."""
    job = _jobs.pop(name, None)
    if job is not None:
        job.close()


TASKS: dict[str, Callable[..., Any]] = {
    "video_facts": video_facts,
    "video_instants": video_instants,
    "video_begin": video_begin,
    "video_go_on": video_go_on,
    "video_drop": video_drop,
}
