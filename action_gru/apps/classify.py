"""The classify command: many files, one answer each; a bad one does not stop the others."""

from __future__ import annotations

import glob
import json
from collections.abc import Sequence
from pathlib import Path

from action_gru.allocator import keeping_freed_memory
from action_gru.errors import ActionGruError, VideoError
from action_gru.progress import Reporter
from action_gru.recognizer import ActionRecognizer, Reading
from action_gru.video import VIDEO_SUFFIXES


def find_videos(names: Sequence[str]) -> list[Path]:
    """The videos that files, folders (searched through) and glob patterns name, in order.

    Raises VideoError when a folder or pattern holds none. A plain name is taken as it is, so that
    a missing file is reported beside the answers of the others.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
        elif glob.has_magic(name) and not path.exists():
            inside = [Path(match) for match in sorted(glob.iglob(name, recursive=True))]  # noqa: PTH207
        else:
            inside = [path]
        if not inside:
            raise VideoError(f"{name}: no video in it; give files, folders or quoted patterns")
        found += inside
    return list(dict.fromkeys(found))


def classify_files(
    paths: Sequence[Path],
    model: Path,
    overrides: Sequence[str],
    top: int,
    target: Path | None,
    as_json: bool,
    reporter: Reporter,
) -> int:
    """Print an answer per video; the exit code of the last one that failed, 0 if none did."""
    if not paths:
        raise VideoError("name at least one video")
    if target is not None and len(paths) > 1:
        raise VideoError(f"--annotate writes one video, and {len(paths)} were given")
    recognizer = ActionRecognizer.load(model, overrides=overrides)
    if recognizer.shortfall is not None:  # else nothing tells why all answers are unsure, or none
        reporter.say(recognizer.shortfall)
    failed = 0
    with reporter.bar("classify", len(paths)) as advance, keeping_freed_memory():
        for path in paths:
            try:
                reading = recognizer.read(path)
                if target is not None:
                    from action_gru.apps.annotate import annotate  # brings matplotlib along

                    frames, codec = annotate(recognizer, reading, path, target)
                    reporter.say(f"wrote {target} ({frames} frames, {codec})")
                for warning in reading.warnings:
                    reporter.warn(f"{path}: {warning}", video=str(path))
                _print(path, reading, top, as_json)
            except ActionGruError as error:
                failed = error.exit_code
                _print_error(path, error, as_json, reporter)
            advance(note=path.name)
    return failed


def _print(path: Path, reading: Reading, top: int, as_json: bool) -> None:
    answer = reading.prediction
    best = answer.top(top)
    if as_json:
        labels = [{"label": label, "score": round(score, 6)} for label, score in best]
        document = {
            "video": str(path),
            "label": answer.label,
            "score": labels[0]["score"],
            "unsure": answer.unsure,
            "warnings": list(reading.warnings),
            "top": labels,
        }
        print(json.dumps(document), flush=True)
    else:
        told = [(answer.told, answer.score), *best[1:]]
        scores = "  ".join(f"{label} {score:.3f}" for label, score in told)
        print(f"{path}: {scores}", flush=True)


def _print_error(path: Path, error: ActionGruError, as_json: bool, reporter: Reporter) -> None:
    if as_json:
        print(json.dumps({"video": str(path), "error": str(error)}), flush=True)
    else:
        reporter.fail(str(error), video=str(path), error=type(error).__name__)
