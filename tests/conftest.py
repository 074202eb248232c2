"""What several test modules need: real data where it is there, and tiny videos."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from action_gru.backbone import FeatureSpec
from action_gru.config import build_config
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.training import RunFolder, train
from action_gru.video import VideoWriter

settings.register_profile("here", deadline=None)  # how long a case takes is not what is tested
settings.load_profile("here")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips for development; absent on a user's machine."""
    return _there(SHARED / "data")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Real YOLO weights for development; absent on a user's machine."""
    return _there(SHARED / "weights" / "yolo26n-cls-features.pt")


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """Small inputs after public bug reports; absent on a user's machine."""
    return _there(SHARED / "cases")


def _there(path: Path) -> Path:
    """The path. Where the whole folder is absent the test is skipped; half of it is a failure."""
    if not SHARED.is_dir():
        pytest.skip(f"{path.name} is not on this machine (looked for {SHARED})")
    assert path.exists(), f"{SHARED} is there, but {path} is not"
    return path


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
    with VideoWriter(path, (96, 64), fps) as writer:
        for image in moving_square(frames, seed):
            writer.write(image)
    return path


@pytest.fixture
def square_video(tmp_path: Path) -> Path:
    return write_square(tmp_path / "square.mp4")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that knows bright squares from dark ones, at five frames a second."""
    root = tmp_path_factory.mktemp("small_run")
    rows = ["path,label,split"]
    for index in range(12):
        label = "bright" if index % 2 else "dark"
        write_square(root / f"{index}.mp4", 12 + index, seed=index + 100 * (index % 2))
        rows.append(f"{index}.mp4,{label},{'test' if index > 7 else 'train'}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    tree = {
        "run": {"folder": str(root / "runs")},
        "data": {"manifest": str(root / "manifest.csv")},
        "sampling": {"fps": 5.0, "max_frames": 8},
        "features": {
            "weights": "builtin", "image_size": 64, "cache_dir": str(root / "cache"), "flip": True,
            "precision": "fp32",  # the same model on every processor
        },
        "model": {"projection_size": 16, "hidden_size": 16, "closed_form": False},
        "training": {"epochs": 40, "device": "cpu", "mean_pooled_baseline": False},
    }  # fmt: skip
    return train(build_config(tree), Reporter(quiet=True))


def clip_of(path: Path, start_s: float | None = None, end_s: float | None = None) -> Clip:
    return Clip(path, path.name, "x", path.name, "", start_s, end_s)


class FakeBackbone:
    """Six colour statistics in place of a network; counts its calls."""

    image_size, fit, weights, dim = 32, "squash", "fake.pt", 6

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
