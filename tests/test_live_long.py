"""A quarter of an hour of simulated input through the live loop: nothing grows."""

import gc
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest
from helpers.processes import alone, resident_bytes, steady_growth
from helpers.videos import write_square

from action_gru import ActionRecognizer
from action_gru.apps.live_loop import LiveLoop
from action_gru.config import build_config
from action_gru.core.machine import use_one_arena
from action_gru.core.progress import Reporter
from action_gru.training import RunFolder, train
from action_gru.video import VideoWriter

MINUTES = 15


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
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
    return train(build_config(tree), Reporter(quiet=True))


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


class Minute(NamedTuple):
    """What the process holds: resident bytes, objects that Python's collector knows, handles."""

    resident: int
    objects: int
    files: int
    threads: int


def follow(checkpoint: Path, video: Path) -> tuple[list[Minute], dict[str, float]]:
    """The state after each simulated minute of a looped file, and the loop's summary."""
    use_one_arena()  # as the command does
    minutes, time_s, process = list[Minute](), 0.0, psutil.Process()
    recognizer = ActionRecognizer.load(checkpoint, "cpu")
    with LiveLoop(recognizer, [str(video)], pace=False, loop=True) as loop:
        for turn in loop.turns():
            time_s = max([time_s, *(a.prediction.time_s for a in turn if a.prediction)])
            if time_s >= 60 * (len(minutes) + 1):
                resident, objects = resident_bytes(), len(gc.get_objects())
                state = (resident, objects, process.num_fds(), threading.active_count())
                minutes.append(Minute(*state))
            if len(minutes) == MINUTES:
                return minutes, loop.summary()
    raise AssertionError(f"the loop ended after {time_s} s")


@pytest.mark.slow
def test_a_quarter_of_an_hour_of_a_camera_grows_by_less_than_10_megabytes(run, tmp_path):
    video = write_changing(tmp_path / "camera.mp4", 600)
    # Alone in a fresh process: what other tests left in the heap moves its size by megabytes.
    minutes, summary = alone(follow, run.best, video)
    assert summary["predictions"] == pytest.approx(MINUTES * 60 * 10, rel=0.01)
    assert summary["dropped"] == 0
    settled = minutes[MINUTES // 2 :]
    sizes = [minute.resident for minute in minutes]
    assert steady_growth(sizes[MINUTES // 2 :]) * MINUTES < 10e6 * (len(settled) - 1), sizes
    laps = 3 * (len(settled) - 1)  # not one object a lap stays
    assert settled[-1].objects - settled[0].objects < laps, [one.objects for one in minutes]
    assert settled[-1].files <= minutes[1].files
    assert settled[-1].threads <= minutes[1].threads
