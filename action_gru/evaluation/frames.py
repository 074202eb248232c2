"""Reads single frames of a video again, reduced in size, for mistakes and explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from action_gru.core.errors import VideoError
from action_gru.dataset import Clip
from action_gru.report.evaluation import (
    FRAMES_SHOWN,
    ClipPrediction,
    Image,
    Mistake,
    worst_mistakes,
)
from action_gru.report.metrics import FloatArray
from action_gru.video import DecodeLimits, VideoFile

MISTAKE_PX = (180, 320)
TOLERANCE_S = 1e-3  # another decoder may round the same instant otherwise


def frames_at(
    path: Path, times_s: npt.ArrayLike, most_px: tuple[int, int], limits: DecodeLimits | None = None
) -> dict[float, Image]:
    """Return the frames (H, W, 3) uint8 RGB at the instants (T,); missing ones are left out.

    most_px: height and width that no frame exceeds.
    """
    wanted = np.unique(times_s)
    with VideoFile(path, limits=limits) as video:
        frames = video.frames(
            lambda time_s: bool(np.abs(wanted - time_s).min() < TOLERANCE_S),
            float(wanted[-1]) + TOLERANCE_S,
        )
        return {
            float(wanted[np.abs(wanted - frame.time_s).argmin()]): _reduced(frame.image, most_px)
            for frame in frames
        }


def _reduced(image: Image, most_px: tuple[int, int]) -> Image:
    height, width = image.shape[:2]
    ratio = min(most_px[0] / height, most_px[1] / width)
    if ratio >= 1:
        return np.array(image)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def read_mistakes(
    predictions: Sequence[ClipPrediction],
    clips: Sequence[Clip],
    times_s: Mapping[str, FloatArray],
    count: int,
    limits: DecodeLimits | None = None,
) -> tuple[Mistake, ...]:
    """Return the most confident wrong answers with frames. times_s: the sampled instants by name.

    predictions and clips stand in the same order. A video that cannot be read any more is named.
    """
    # By identity: two clips may share a path and a label.
    clip_of = {id(one): clip for one, clip in zip(predictions, clips, strict=True)}
    mistakes = []
    for wrong in worst_mistakes(predictions, count):
        clip = clip_of[id(wrong)]
        try:
            frames = frames_at(clip.path, spread_evenly(times_s[clip.name]), MISTAKE_PX, limits)
            problem = "" if frames else "no frame at the instants that were sampled"
        except VideoError as error:
            frames, problem = {}, str(error)
        mistakes.append(Mistake(wrong, tuple(frames.items()), problem))
    return tuple(mistakes)


def spread_evenly(times_s: FloatArray) -> FloatArray:
    """At most FRAMES_SHOWN of the instants (T,), the first and the last among them."""
    places = np.unique(np.linspace(0, len(times_s) - 1, FRAMES_SHOWN).round().astype(int))
    return np.asarray(times_s[places])
