"""Small drawn clips in which each goes its own way: no two of them show the same moment."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from action_gru.video import VideoWriter

SIZE_PX = (96, 64)


def moving_blobs(seed: int, frames: int = 24) -> list[np.ndarray]:
    """Five discs that wander over a background of their own: (64, 96, 3) uint8 each."""
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 160, (4, 6, 3), dtype=np.uint8)
    background = cv2.resize(small, SIZE_PX, interpolation=cv2.INTER_CUBIC)
    places = rng.uniform((0, 0), SIZE_PX, (5, 2))
    colours = [tuple(map(int, colour)) for colour in rng.integers(0, 255, (5, 3))]
    images = []
    for _ in range(frames):
        image = background.copy()
        places = places + rng.normal(0, 4, places.shape)
        for (x, y), colour in zip(places % SIZE_PX, colours, strict=True):
            cv2.circle(image, (int(x), int(y)), 8, colour, -1)
        images.append(image)
    return images


def write_clip(path: Path, images: Iterable[np.ndarray], fps: float = 12.0, scale: int = 1) -> Path:
    """Write pictures as a video, scale times as large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = SIZE_PX[0] * scale, SIZE_PX[1] * scale
    with VideoWriter(path, size, fps) as writer:
        for image in images:
            writer.write(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))
    return path
