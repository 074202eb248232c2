"""Reads frames of the worst mistakes from their videos. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.dataset import Clip
from action_gru.errors import VideoError
from action_gru.report.gallery import FRAMES_SHOWN, Mistake, worst_mistakes
from action_gru.report.predictions import ClipPrediction
from action_gru.video import DecodeLimits, VideoFile

HEIGHT_PX = 180
TOLERANCE_S = 1e-3  # another decoder may round the same instant otherwise


def read_mistakes(
    predictions: Sequence[ClipPrediction],
    clips: Sequence[Clip],
    times_s: Mapping[str, NDArray[np.float64]],
    count: int,
    limits: DecodeLimits | None = None,
) -> tuple[Mistake, ...]:
    """The surest wrong answers with frames of their clips. times_s: the sampled instants by name.

    predictions and clips stand in the same order. A video that cannot be read any more is named.
    """
    # By identity: two clips may share a path and a label.
    clip_of = {id(one): clip for one, clip in zip(predictions, clips, strict=True)}
    mistakes = []
    for wrong in worst_mistakes(predictions, count):
        clip = clip_of[id(wrong)]
        try:
            frames = read_frames(clip.path, times_s[clip.name], limits)
            problem = "" if frames else "no frame at the instants that were sampled"
        except VideoError as error:
            frames, problem = (), str(error)
        mistakes.append(Mistake(wrong, frames, problem))
    return tuple(mistakes)


def read_frames(
    path: Path, times_s: NDArray[np.float64], limits: DecodeLimits | None = None
) -> tuple[tuple[float, NDArray[np.uint8]], ...]:
    """Frames spread evenly over the instants (T,), shrunk: (time_s, (H, W, 3)) each."""
    places = np.unique(np.linspace(0, len(times_s) - 1, FRAMES_SHOWN).round().astype(int))
    wanted = times_s[places]

    def is_wanted(time_s: float) -> bool:
        return bool(np.abs(wanted - time_s).min() < TOLERANCE_S)

    with VideoFile(path, limits=limits) as video:
        return tuple(
            (frame.time_s, _shrunk(frame.image))
            for frame in video.frames(is_wanted, float(wanted[-1]) + TOLERANCE_S)
        )


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if height <= HEIGHT_PX:
        return image
    size = (max(1, round(width * HEIGHT_PX / height)), HEIGHT_PX)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
