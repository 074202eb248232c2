"""Writes the demo's data set: drawn clips as mp4 files with a manifest. Needs no network."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import DataError, VideoError
from action_gru.demo.actions import CLASSES
from action_gru.demo.scenes import draw_clip, long_scene

_STAMP = "drawn.json"
_VERSION = 2  # raise when the drawing changes, so that older data sets are drawn anew
_FPS = 24.0
CLIPS_A_SHARE = 100  # fewer are drawn sooner than a process starts
_LONG_SEED = 900_000  # added to a data set's seed: no clip's number and no clip's person is as high


class DemoClip(NamedTuple):
    """One video of the demo: its file below the root, label, person (group) and split.

    A long video shows many actions: it has no label but a timeline, a CSV below the root.
    """

    path: str
    label: str
    group: str
    split: str
    timeline: str = ""


def write_demo_dataset(
    root: Path,
    *,
    clips_per_class: int = 30,
    long_videos: int = 4,
    long_s: float = 75.0,
    seed: int = 0,
) -> Path:
    """Draw the demo's clips and long videos below `root`; return the path of its manifest.csv.

    Clip NNN of every class shows person NNN, and a person is in one split only. long_videos: how
    many of long_s seconds to test on; unless 0, one more validates. A complete data set with the
    same arguments is kept as it is; a root that holds anything else is refused.
    """
    stamp = {
        "version": _VERSION, "clips_per_class": clips_per_class, "long_videos": long_videos,
        "long_s": long_s, "seed": seed,
    }  # fmt: skip
    if clips_per_class < 3:
        raise DataError(f"clips_per_class: got {clips_per_class}; each split needs a person: >= 3")
    manifest, found = root / "manifest.csv", _read_stamp(root)
    if found == stamp:
        return manifest
    if root.exists() and any(root.iterdir()) and found is None:
        raise DataError(f"{root}: holds files the demo did not draw; name another folder")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as folder:
        drawn = Path(folder) / root.name
        clips, longs = plan_demo_clips(clips_per_class, seed), plan_long_videos(long_videos)
        shares = min(os.cpu_count() or 1, 1 + len(clips) // CLIPS_A_SHARE)
        with _helpers(drawn, stamp, shares):
            draw_share(str(drawn), stamp, 0, shares)
        _write_rows(drawn / "manifest.csv", DemoClip._fields, [*clips, *longs])
        (drawn / _STAMP).write_text(json.dumps(stamp), encoding="utf-8")
        if root.exists():
            shutil.rmtree(root)
        drawn.rename(root)
    return manifest


def plan_demo_clips(clips_per_class: int, seed: int) -> list[DemoClip]:
    """All clips of the demo: about 60% of the persons train, 15% validate, 25% test."""
    order = np.random.default_rng(seed).permutation(clips_per_class)
    tests, validations = (max(round(share * clips_per_class), 1) for share in (0.25, 0.15))
    splits = ["train"] * clips_per_class
    for rank, person in enumerate(order[: tests + validations]):
        splits[person] = "test" if rank < tests else "val"
    return [
        DemoClip(f"{label}/{label}_{person:03d}.mp4", label, f"person_{person:03d}", split)
        for label in CLASSES
        for person, split in enumerate(splits)
    ]


def plan_long_videos(count: int) -> list[DemoClip]:
    """`count` long videos to test on and, unless that is 0, one to choose settings by."""
    names = [(f"{number:03d}", "test") for number in range(count)] + [("val", "val")] * (count > 0)
    return [
        DemoClip(f"long/long_{name}.mp4", "", f"person_long_{name}", split, f"long/long_{name}.csv")
        for name, split in names
    ]


def write_video(path: Path, images: Iterable[NDArray[np.uint8]], fps: float) -> None:
    """Write RGB images (H, W, 3), one or more, as MPEG-4; VideoError if the codec is missing."""
    images = iter(images)
    first = next(images)
    path.parent.mkdir(parents=True, exist_ok=True)
    size_px = (first.shape[1], first.shape[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size_px)
    if not writer.isOpened():
        raise VideoError(f"{path}: OpenCV cannot write mp4v; install the opencv-python wheel")
    try:
        for image in chain([first], images):
            writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()


def draw_share(root: str, stamp: dict[str, float], share: int, shares: int) -> None:
    """Draw every shares-th clip and long video, from number `share` on, of what a stamp says."""
    seed, per_class, long_videos = (
        int(stamp[key]) for key in ("seed", "clips_per_class", "long_videos")
    )
    clips, longs = plan_demo_clips(per_class, seed), plan_long_videos(long_videos)
    _draw_longs(Path(root), list(enumerate(longs))[share::shares], seed, stamp["long_s"])
    # From the end: whoever draws one long video fewer draws the odd clip.
    mine = list(enumerate(clips))[shares - 1 - share :: shares]
    _draw_clips(Path(root), mine, seed)


@contextmanager
def _helpers(root: Path, stamp: dict[str, float], shares: int) -> Iterator[None]:
    """Meanwhile other processes draw the other shares. Raises VideoError if one of them fails.

    Drawing is Python's work, of which one process does no two at once.
    """
    code = (
        "import json, sys; path, *what = json.load(sys.stdin); sys.path[:] = path; "
        "from action_gru.demo.dataset import draw_share; draw_share(*what)"
    )
    workers = []
    try:
        for share in range(1, shares):
            command = [sys.executable, "-I", "-c", code]
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            workers.append(worker)
            assert worker.stdin is not None
            worker.stdin.write(json.dumps([sys.path, str(root), stamp, share, shares]).encode())
            worker.stdin.close()
            worker.stdin = None  # `communicate` would flush it
        yield
        for worker in workers:
            said = worker.communicate()[1].decode(errors="replace").strip()
            if worker.returncode:
                last = said.splitlines()[-1] if said else f"exit status {worker.returncode}"
                raise VideoError(f"{root}: not all clips could be drawn ({last}); try again")
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _draw_clips(root: Path, clips: list[tuple[int, DemoClip]], seed: int) -> None:
    for number, clip in clips:
        # Own random numbers for each clip: members of a reversed pair are no mirrored twins.
        clip_seed, person = (seed << 20) + number, (seed << 20) + int(clip.group[-3:])
        images = draw_clip(clip.label, clip_seed, fps=_FPS, person=person)
        write_video(root / clip.path, images, _FPS)


def _draw_longs(root: Path, longs: list[tuple[int, DemoClip]], seed: int, long_s: float) -> None:
    for number, video in longs:
        long_seed = (seed << 20) + _LONG_SEED + number
        scene = long_scene(long_seed, duration_s=long_s, person=long_seed)
        images = (scene.image_at(i / _FPS) for i in range(round(long_s * _FPS)))
        write_video(root / video.path, images, _FPS)
        moves = scene.actors[0].moves
        rows = ((*(f"{edge_s:.3f}" for edge_s in move.span_s), move.action) for move in moves)
        _write_rows(root / video.timeline, ("start_s", "end_s", "label"), rows)


def _write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def _read_stamp(root: Path) -> dict[str, float] | None:
    """What a complete data set was drawn with; None where there is none."""
    try:
        stamp = json.loads((root / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None
