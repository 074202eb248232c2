"""The classify command: many files, one answer each; a bad one does not stop the others."""

from __future__ import annotations

import glob
import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from action_gru.apps.checks import check_video
from action_gru.core.errors import ActionGruError, VideoError
from action_gru.core.numbered_pictures import about_pictures, frame_folders, is_frame_archive
from action_gru.core.paths import instead_of, is_frames, is_hidden, is_video, kind_of, on_disk
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.video.decoder_process import start_process

if TYPE_CHECKING:
    from action_gru.recognizer import ActionRecognizer, Reading


def find_videos(names: Sequence[str]) -> list[Path]:
    """The clips that files, folders (searched through) and glob patterns name, in order.

    Raises VideoError when a folder or pattern holds none. A plain name is taken as it is, so that
    a missing file is reported beside the answers of the others.
    """
    if not names:
        raise VideoError("name at least one video")
    found: list[Path] = []
    for name in names:
        path = on_disk(Path(), name)
        kind, matches = kind_of(path), [str(path)]
        if kind in ("a run folder", "a folder of runs"):
            raise VideoError(str(instead_of("a video", path)))
        if glob.has_magic(name) and not path.exists() and kind is None:
            matches = sorted(glob.iglob(_with_folders_as_they_are(name), recursive=True))  # noqa: PTH207
        inside = [video for match in matches for video in _videos_at(Path(match))]
        if not inside:
            why = about_pictures(path) or "give files, folders or quoted patterns"
            raise VideoError(f"{name}: no video in it; {why}")
        found += inside
    return list(dict.fromkeys(found))


def _videos_at(path: Path) -> list[Path]:
    """The file itself, or the clips below a folder but hidden ones; a folder of frames is one."""
    if not path.is_dir():
        return [path]
    below = [p for p in path.rglob("*") if not any(map(is_hidden, p.relative_to(path).parts))]
    videos = list(filter(is_video, below))
    archives = list(filter(is_frame_archive, below))
    found = sorted([*videos, *archives, *frame_folders(below, videos)])
    return found or [path] * is_frames(path)  # named itself: its reader says what is wrong


def _with_folders_as_they_are(pattern: str) -> str:
    """`run[1]/*.mp4` -> `run[[]1]/*.mp4` where a folder is truly called so."""
    start, parts = Path(), list(Path(pattern).parts)
    while parts and (start / parts[0]).exists():
        start /= parts.pop(0)
    return str(Path(glob.escape(str(start)), *parts))


def fail_if_all_missing(paths: Sequence[Path], as_json: bool, reporter: Reporter) -> int:
    """Report each path where none can be a video; the exit code, else 0."""
    problems = {}
    for path in paths:
        try:
            check_video(path)
        except VideoError as error:
            problems[path] = error
    if len(problems) < len(paths):
        return 0
    for path, problem in problems.items():
        _print_error(path, problem, as_json, reporter)
    return VideoError.exit_code


def classify_files(
    paths: Sequence[Path],
    model: Path,
    overrides: Sequence[str],
    top: int,
    target: Path | None,
    as_json: bool,
    reporter: Reporter,
) -> int:
    """Print an answer per video as soon as it is there, in order.

    Returns the exit code of the last one that failed, 0 if none did. target: of one video, where
    it is written with its answer over the picture.
    """
    with reporter.doing("loading the model"):
        start_process()  # takes as long as importing torch
        from action_gru.recognizer import ActionRecognizer  # brings torch along

        recognizer = ActionRecognizer.load(model, overrides=overrides)
    if recognizer.shortfall is not None:  # else nothing says why all answers are unsure, or none
        reporter.info(recognizer.shortfall)
    failed = 0
    with reporter.bar("classify", len(paths)) as advance:
        for path, reading in zip(paths, recognizer.read_each(paths), strict=True):
            try:
                if isinstance(reading, VideoError):
                    raise reading
                if target is not None:
                    frames, codec = annotate(recognizer, reading, path, target)
                    reporter.info(f"wrote {target} ({counted(frames, 'frame')}, {codec})")
                for warning in reading.warnings:
                    reporter.warn(f"{path}: {warning}", video=str(path))
                print(_answer(path, reading, top, as_json), flush=True)
            except ActionGruError as error:
                failed = error.exit_code
                _print_error(path, error, as_json, reporter)
            advance(note=path.name)
    return failed


def annotate(
    recognizer: ActionRecognizer, reading: Reading, video: Path, target: Path
) -> tuple[int, str]:
    """Write `video` again with the answer as it stood at each frame; frames written, and the codec.

    The video is read a second time, frame by frame, so that memory stays flat. Raises VideoError
    when either file cannot be used.
    """
    from action_gru.apps.overlay import Overlay  # brings matplotlib along
    from action_gru.video import VideoFile, VideoWriter

    if target.resolve() == video.resolve():
        raise VideoError(f"{target}: would replace the video it is made from; choose another name")
    answers = list(recognizer.running(reading))
    times_s = [answer.time_s for answer in answers]
    with VideoFile(video, None, recognizer.limits, recognizer.frame_rate) as source:
        frames = source.frames()
        first = next(frames)
        size_px = (first.image.shape[1], first.image.shape[0])
        overlay, count = Overlay(size_px, recognizer.classes, recognizer.thresholds), 0
        with VideoWriter(target, size_px, source.fps) as writer:
            for count, frame in enumerate(chain([first], frames), start=1):  # noqa: B007
                current = answers[max(bisect_right(times_s, frame.time_s) - 1, 0)]
                writer.write(overlay.draw(frame.image, current))
            return count, writer.codec


def _answer(path: Path, reading: Reading, top: int, as_json: bool) -> str:
    answer = reading.prediction
    best = answer.leading(top)
    if not as_json:
        shown = [(answer.display_label, answer.score), *best[1:]]
        several = answer.active is not None
        head = f"{path}: {answer.display_label}  " if several else f"{path}: "
        return head + "  ".join(f"{n} {score:.3f}" for n, score in (best if several else shown))
    labels = [{"label": label, "score": round(score, 6)} for label, score in best]
    document = {
        "video": str(path),
        **({} if answer.active is None else {"labels": list(answer.active)}),
        "label": answer.label,
        "score": round(answer.score, 6),
        "unsure": answer.unsure,
        "warnings": list(reading.warnings),
        "top": labels,
    }
    return json.dumps(document)


def _print_error(path: Path, error: ActionGruError, as_json: bool, reporter: Reporter) -> None:
    if as_json:
        print(json.dumps({"video": str(path), "error": str(error)}), flush=True)
    else:
        reporter.fail(str(error), video=str(path), error=type(error).__name__)
