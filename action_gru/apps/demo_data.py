"""Writes the demo's data set: drawn clips as mp4 files with a manifest. Needs no network."""

import csv
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.apps.drawing import ACTIONS, draw_clip
from action_gru.errors import DataError, VideoError

MANIFEST_COLUMNS = ("path", "label", "group", "split")
_STAMP = "drawn.json"
_VERSION = 1  # raise when the drawing changes, so that older data sets are drawn anew
_FPS = 24.0


@dataclass(frozen=True)
class DemoClip:
    """One clip of the demo: its file below the root, label, person (group) and split."""

    path: str
    label: str
    group: str
    split: str


def write_demo_dataset(root: Path, *, clips_per_class: int = 30, seed: int = 0) -> Path:
    """Draw the demo's clips below `root` and return the path of its manifest.csv.

    Clip NNN of every class shows person NNN, and a person is in one split only. A complete data
    set with the same arguments is kept as it is; a root that holds anything else is refused.
    """
    if clips_per_class < 3:
        raise DataError(f"clips_per_class: got {clips_per_class}; each split needs a person: >= 3")
    stamp = {"version": _VERSION, "clips_per_class": clips_per_class, "seed": seed}
    manifest = root / "manifest.csv"
    if _read_stamp(root) == stamp:
        return manifest
    if root.exists() and any(root.iterdir()) and _read_stamp(root) is None:
        raise DataError(f"{root}: holds files the demo did not draw; name another folder")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as folder:
        drawn = Path(folder) / root.name
        _draw_all(drawn, plan_demo_clips(clips_per_class, seed), seed)
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
        for label in ACTIONS
        for person, split in enumerate(splits)
    ]


def write_video(path: Path, images: NDArray[np.uint8], fps: float) -> None:
    """Write (T, H, W, 3) RGB as an MPEG-4 video; VideoError where the codec is missing."""
    height, width = images.shape[1:3]
    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
    if not writer.isOpened():
        raise VideoError(f"{path}: OpenCV cannot write mp4v; install the opencv-python wheel")
    try:
        for image in images:
            writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()


def _draw_all(root: Path, clips: list[DemoClip], seed: int) -> None:
    for number, clip in enumerate(clips):
        path = root / clip.path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Own random numbers for each clip: members of a reversed pair are no mirrored twins.
        clip_seed, person = (seed << 20) + number, (seed << 20) + int(clip.group[-3:])
        write_video(path, draw_clip(clip.label, clip_seed, fps=_FPS, person=person), _FPS)
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, MANIFEST_COLUMNS)
        rows.writeheader()
        rows.writerows(asdict(clip) for clip in clips)


def _read_stamp(root: Path) -> dict[str, int] | None:
    """What a complete data set was drawn with; None where there is none."""
    try:
        stamp = json.loads((root / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None
