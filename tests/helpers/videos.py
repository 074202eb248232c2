"""Tiny drawn videos, clips of them, and a network's double."""

import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from action_gru.backbone import FeatureSpec
from action_gru.dataset import Clip
from action_gru.features import (
    Extractor,
    FeatureCache,
)
from action_gru.video import VideoWriter


def moving_square(
    frames: int, seed: int = 0, size_px: tuple[int, int] = (96, 64)
) -> Iterator[np.ndarray]:
    """A bright square that crosses noise: (H, W, 3) uint8 pictures."""
    rng = np.random.default_rng(seed)
    width, height = size_px
    top = int(rng.integers(4, height - 24))
    for index in range(frames):
        image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        left = (index * 3) % (width - 20)
        image[top : top + 20, left : left + 20] = (230, 40 + seed % 200, 40)
        yield image


def write_square(path: Path, frames: int = 20, seed: int = 0, fps: float = 10.0) -> Path:
    """Write such a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_encoded(frames, seed, fps, path.suffix))
    return path


@lru_cache(maxsize=256)
def _encoded(frames: int, seed: int, fps: float, suffix: str) -> bytes:
    """Hundreds of tests want the same few, of some kilobytes each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"square{suffix}"
        with VideoWriter(path, (96, 64), fps) as writer:
            for image in moving_square(frames, seed):
                writer.write(image)
        return path.read_bytes()


def clip_of(path: Path, start_s: float | None = None, end_s: float | None = None) -> Clip:
    return Clip(path, path.name, "x", path.name, "", start_s, end_s)


class FakeBackbone:
    """Six colour statistics in place of a network; counts its calls."""

    image_size, fit, weights, dim, note = 32, "squash", "fake.pt", 6, None

    def __init__(self) -> None:
        self.calls = 0
        self.sizes: set[int] = set()

    def spec(self, view: str) -> FeatureSpec:
        return FeatureSpec(view, "fake.pt", "0" * 64, "embedding", 32, "squash", "fp32", 6)

    def __call__(self, images) -> torch.Tensor:
        self.calls += 1
        self.sizes.add(len(images))
        batch = torch.from_numpy(np.stack([image[..., :3] for image in images])).float()
        return torch.cat([batch.mean((1, 2)), batch[:, :, 16:].mean((1, 2))], 1)


BOTH = ("rgb", "motion")


def extractor(tmp_path, backbone=None, **options) -> Extractor:
    options = {"fps": 5.0, "views": BOTH, "batch_size": 4} | options
    return Extractor(backbone or FakeBackbone(), FeatureCache(tmp_path / "cache"), **options)


def noise_pictures(count: int, size_px: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 255, (size_px, size_px, 3), dtype=np.uint8) for _ in range(count)]
