"""Tasks of the reader: a tried file as scores over time, why so, and a stretch of it as a clip.

They are jobs (see `background`): live streams go on meanwhile.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from action_gru.apps.studio.background import Job, begin, job_drop, job_news
from action_gru.apps.studio.file_names import FILES
from action_gru.apps.studio.frames import jpeg_bytes
from action_gru.apps.studio.networks import recognizer_of
from action_gru.apps.studio.playback import PLAYED
from action_gru.apps.studio.work_live import facts_of
from action_gru.apps.studio.work_videos import copying, video_facts
from action_gru.core.errors import VideoError
from action_gru.core.files import write_atomically
from action_gru.core.text import clock_text
from action_gru.evaluation.explanation import Explanation, FrameHeat
from action_gru.evaluation.explanation_plot import blended
from action_gru.report.plots import save_figure
from action_gru.report.timeline_plot import plot_timeline
from action_gru.timeline import FORMATS, Timeline, write_timeline
from action_gru.video import DecodeLimits, Image, VideoFile, VideoWriter

TIMELINE_SHARE = 0.5  # of the work; the rest is the answer to the whole file
MOMENTS = 3
TOP = 5
CLIP_PX = 1280  # the longer side of a clip at most
ROWS, COLUMNS = ("top", "", "bottom"), ("left", "", "right")
SEEN = {"motion": "what moves"}  # by view


def try_read(
    tell: object, key: str, run: str, path: str, most_s: float, for_visitors: bool = False
) -> None:
    """Begin to read a file. Found: what `facts_of` tells, duration_s, times_s (T,), scores (T, C),
    events, answer, labels, top, warnings. most_s: longer files are refused.

    for_visitors: what can be fetched is written beside the file, too; found: files.
    """
    work = partial(_read, run=Path(run), path=Path(path), most_s=most_s, for_visitors=for_visitors)
    begin(key, work)


def _read(job: Job, run: Path, path: Path, most_s: float, for_visitors: bool) -> None:
    recognizer, began_s = recognizer_of(run), time.monotonic()
    job.found |= facts_of(recognizer)
    reader = recognizer.read_timeline(path)
    for prediction in reader:
        job.check()
        if max(prediction.time_s, reader.declared_s or 0.0) > most_s:
            raise VideoError(
                f"{path.name}: the video lasts longer than {clock_text(most_s)}, which is the "
                "limit here; cut it and try again"
            )
        if reader.declared_s:
            job.share = TIMELINE_SHARE * min(1.0, prediction.time_s / reader.declared_s)
    timeline = reader.timeline()
    job.share = TIMELINE_SHARE
    job.expect(1.0, time.monotonic() - began_s)
    job.found |= {
        "duration_s": round(max(timeline.duration_s, reader.declared_s or 0.0), 3),
        "times_s": timeline.scores.times_s.round(3).tolist(),
        "scores": timeline.scores.values.round(4).tolist(),
    }
    whole = recognizer.read(path)
    answer = whole.prediction
    job.found["answer"] = {
        "label": answer.label,
        "score": round(answer.score, 4),
        "unsure": answer.unsure,
    }
    job.found["labels"] = None if answer.active is None else list(answer.active)
    job.found["top"] = [[label, round(score, 4)] for label, score in answer.leading(TOP)]
    job.found["warnings"] = list(whole.warnings)
    if for_visitors:
        job.found["events"] = [event.to_json() for event in timeline.events]
        job.found["files"] = write_files(replace(timeline, source=path.name), path, job.check)


def write_files(timeline: Timeline, path: Path, check: Callable[[], None]) -> list[str]:
    """The timeline in every format and as a picture, and where no browser plays the video, a copy
    of it, in a folder beside it; their names. check: called now and then, may raise.
    """
    folder = path.parent / FILES
    folder.mkdir()
    for suffix in FORMATS:
        write_timeline(timeline, folder / f"{path.stem}{suffix}")
    save_figure(plot_timeline(timeline), folder / f"{path.stem}.png")
    info = video_facts(lambda _: None, str(path))
    if info["codec"] not in PLAYED.get(path.suffix.lower(), ()):
        for _ in copying(str(path), str(folder / f"{path.stem}.mp4"), None):
            check()
    return sorted(one.name for one in folder.iterdir())


def try_why(
    tell: object, key: str, run: str, path: str, start_s: float | None, end_s: float | None,
    folder: str,
) -> None:  # fmt: skip
    """Begin to explain the answer to a stretch, or to all. Found: label, score, text, moments
    [{time_s, text}]; the picture of moment N is folder/N.jpg.
    """
    work = partial(_explain, run=Path(run), path=Path(path), folder=Path(folder))
    begin(key, partial(work, bounds_s=(start_s, end_s)))


def _explain(
    job: Job, run: Path, path: Path, bounds_s: tuple[float | None, float | None], folder: Path
) -> None:
    start_s, end_s = bounds_s
    made = recognizer_of(run).explain(path, frames=MOMENTS, start_s=start_s, end_s=end_s)
    moments = []
    for number, frame in enumerate(sorted(made.best)):
        job.check()
        write_atomically(folder / f"{number}.jpg", jpeg_bytes(_picture(made, frame)))
        time_s = round(float(made.times_s[frame]), 3)
        moments.append({"time_s": time_s, "text": moment_text(made, frame)})
    text = "" if moments else "No moment mattered by itself: the answer comes from all of them."
    job.found |= {"label": made.label, "score": round(made.score, 4), "text": text}
    job.found["moments"] = moments


def moment_text(made: Explanation, frame: int) -> str:
    """What the answer would be without a moment, and where in the picture the most of it lies.

    'Without this moment wave would score 61% instead of 93%. In it, what moves at the top left
    counts most.'
    """
    before = min(max(made.score, 1e-6), 1 - 1e-6)
    odds = math.log(before / (1 - before)) - made.fall_at(frame)
    after = f"{1 / (1 + math.exp(-odds)):.0%}"
    text = f"Without this moment {made.label} would score {after} instead of {before:.0%}."
    if after == f"{before:.0%}":
        rank = "the most" if frame == made.best[0] else "much"
        text = f"This moment counts {rank}, but without it {made.label} would still score {after}."
    heat = _strongest(made, frame)
    if heat is None:
        return text
    row, column = np.unravel_index(int(heat.heat.argmax()), heat.heat.shape)
    height, width = heat.heat.shape
    words = ROWS[int(3 * row / height)], COLUMNS[int(3 * column / width)]
    place = " ".join(filter(None, words))
    where = f"at the {place}" if place else "in the middle"
    return f"{text} In it, {SEEN.get(heat.view, 'what is seen')} {where} counts most."


def _strongest(made: Explanation, frame: int) -> FrameHeat | None:
    """Of the views of a frame the one that saw the most for the class."""
    heats = [heat for heat in made.heats if heat.frame == frame]
    return max(heats, key=lambda one: float(one.heat.max()), default=None)


def _picture(made: Explanation, frame: int) -> Image:
    """The frame in grey with the heat of the view that saw the most in it."""
    heat = _strongest(made, frame)
    if heat is not None:
        return blended(heat)
    time_s = made.times_s[frame]
    return min(made.thumbnails, key=lambda one: abs(one[0] - time_s))[1]


def try_cut(tell: object, key: str, path: str, start_s: float, end_s: float, out: str) -> None:
    """Begin to write a stretch of a file as .mp4. Found: length_s."""
    begin(key, partial(_cut, path=Path(path), start_s=start_s, end_s=end_s, out=Path(out)))


def _cut(job: Job, path: Path, start_s: float, end_s: float, out: Path) -> None:
    job.found["length_s"] = cut_clip(path, start_s, end_s, out, job.check)


def cut_clip(
    path: Path, start_s: float, end_s: float, out: Path, check: Callable[[], None]
) -> float:
    """Write a stretch of a video as a clip with the same times; its length in seconds.

    check: called before each frame, may raise. Raises VideoError where there is nothing.
    """
    with VideoFile(path, limits=DecodeLimits()) as video:
        frames = video.frames(lambda at_s: at_s >= start_s, end_s)
        first = next(frames, None)
        if first is None:
            raise VideoError(f"{path.name}: has no frame from {start_s:.1f} s on; choose a moment")
        height, width = first.image.shape[:2]
        scale, last_s = min(1.0, CLIP_PX / max(height, width)), first.time_s
        size = round(width * scale), round(height * scale)
        with VideoWriter(out, size, min(video.fps, 60.0)) as writer:
            for frame in chain([first], frames):
                check()
                writer.write(_sized(frame.image, size), frame.time_s)
                last_s = frame.time_s
    return last_s - first.time_s


def _sized(image: Image, size_px: tuple[int, int]) -> Image:
    if image.shape[1::-1] == size_px:
        return image
    return np.asarray(cv2.resize(image, size_px, interpolation=cv2.INTER_AREA), np.uint8)


TASKS: dict[str, Callable[..., Any]] = {
    "try_read": try_read,
    "try_why": try_why,
    "try_cut": try_cut,
    "job_news": job_news,
    "job_drop": job_drop,
}
