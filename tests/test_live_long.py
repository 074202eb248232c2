"""A quarter of an hour of simulated input through the live loop: nothing grows."""

import gc
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers.videos import write_square

from action_gru import ActionRecognizer
from action_gru.apps.live_loop import LiveLoop
from action_gru.config import build_config
from action_gru.core.progress import Reporter
from action_gru.training import train
from action_gru.video import VideoWriter

LENGTH_S, WARM_UP_S = 900.0, 120.0


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory) -> ActionRecognizer:
    """rgb and motion at ten samples a second, with the package's own backbone."""
    root = tmp_path_factory.mktemp("long_run")
    rows = ["path,label"]
    for index in range(8):
        write_square(root / f"{index}.mp4", 30, seed=index + 100 * (index % 2))
        rows.append(f"{index}.mp4,{'ab'[index % 2]}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    tree = {
        "run": {"folder": str(root / "runs")},
        "data": {"manifest": str(root / "manifest.csv"), "split": "none"},
        "sampling": {"fps": 10.0},
        "features": {
            "weights": "builtin", "views": ["rgb", "motion"], "cache_dir": str(root / "cache"),
            "image_size": 64,  # what leaks, leaks at any size
        },
        "training": {"epochs": 2, "device": "cpu", "mean_pooled_baseline": False},
    }  # fmt: skip
    return ActionRecognizer.load(train(build_config(tree), Reporter(quiet=True)).path, "cpu")


def write_changing(path: Path, frames: int) -> Path:
    """320x240 at 30 frames a second; what it shows changes, so that events come and go."""
    rng = np.random.default_rng(0)
    with VideoWriter(path, (320, 240), 30.0) as writer:
        for index in range(frames):
            image = np.full((240, 320, 3), 40 + 60 * (index // 90 % 3), np.uint8)
            image[::4, ::4] = rng.integers(0, 255, 3)
            left = 5 * index % 280
            image[90:150, left : left + 40] = (230, 90, 40)
            writer.write(image)
    return path


@pytest.mark.slow
def test_a_quarter_of_an_hour_of_a_camera_grows_by_less_than_10_megabytes(recognizer, tmp_path):
    video = write_changing(tmp_path / "camera.mp4", 600)
    process = psutil.Process()
    warm, handles, threads = 0, 0, 0
    with LiveLoop(recognizer, [str(video)], pace=False, loop=True) as loop:
        time_s = 0.0
        for turn in loop.turns():
            time_s = max([time_s, *(a.prediction.time_s for a in turn if a.prediction)])
            if not warm and time_s > WARM_UP_S:
                gc.collect()
                warm = process.memory_info().rss
                handles, threads = process.num_fds(), threading.active_count()
            if time_s > LENGTH_S:
                break
        gc.collect()
        grown = process.memory_info().rss - warm
        assert process.num_fds() <= handles
        assert threading.active_count() <= threads
        summary = loop.summary()
    assert summary["predictions"] == pytest.approx(LENGTH_S * 10, rel=0.01)
    assert summary["dropped"] == 0
    assert grown < 10e6
