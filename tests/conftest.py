"""What several test modules need: real data where it is there, and tiny videos.

Imports torch only inside fixtures: the process that hands the tests out to others needs none.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import SHARED
from hypothesis import settings

if TYPE_CHECKING:
    from action_gru.training import RunFolder

settings.register_profile("here", deadline=None)  # how long a case takes is not what is tested
settings.load_profile("here")


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


@pytest.fixture
def square_video(tmp_path: Path) -> Path:
    from helpers.videos import write_square

    return write_square(tmp_path / "square.mp4")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt. Elsewhere in a worker of xdist it may end the process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def blank_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, but a pixel is saved: to draw them takes most of a tiny training.

    Not in the slow lane, and not in tests marked `drawn`.
    """
    if request.node.get_closest_marker("slow") or request.node.get_closest_marker("drawn"):
        return
    import cv2
    import numpy as np
    from matplotlib.figure import Figure

    pixel = cv2.imencode(".png", np.full((1, 1, 3), 255, np.uint8))[1].tobytes()
    monkeypatch.setattr(Figure, "savefig", lambda figure, target, **_: target.write(pixel))
    # To look for its letters makes every tick of a figure, a third of what is left.
    monkeypatch.setattr("action_gru.core.graphics.set_fonts", lambda figure: None)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that knows bright squares from dark ones, at five frames a second."""
    from helpers.videos import write_square

    from action_gru.config import build_config
    from action_gru.core.progress import Reporter
    from action_gru.training import train

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
