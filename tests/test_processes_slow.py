"""Trainings in two processes on the CPU, by the launchers of torch and accelerate."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers import ROOT
from helpers.videos import write_square
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

CONFIG = """
data: {{manifest: {folder}/manifest.csv}}
run: {{folder: {folder}/runs}}
sampling: {{fps: 5.0, max_frames: 8}}
features: {{weights: builtin, image_size: 64, cache_dir: {folder}/cache, flip: true}}
model: {{projection_size: 16, hidden_size: 16, dropout: 0.0, head_dropout: 0.0, closed_form: true}}
training: {{epochs: 6, batch_size: 4, device: cpu, class_balance: weights, ema_decay: 0.5,
  frame_dropout: 0.2}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """13 clips to train on, so that the last batch has one; three validate, four test."""
    root = tmp_path_factory.mktemp("processes")
    rows = ["path,label,split"]
    for index in range(20):
        label = "bright" if index % 2 else "dark"
        write_square(root / f"{index}.mp4", 12 + index, seed=index + 100 * (index % 2))
        split = "train" if index < 13 else "val" if index < 16 else "test"
        rows.append(f"{index}.mp4,{label},{split}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    (root / "c.yaml").write_text(CONFIG.format(folder=root))
    return root


TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node")
ACCELERATE = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes")


def launch(
    folder: Path, count: int, *arguments: str, launcher: tuple[str, ...] = TORCHRUN
) -> subprocess.Popen:
    together = [*launcher, str(count)] if count > 1 else []
    start = [*together, str(ROOT / "scripts" / "train.py"), *arguments]
    if arguments[0] == "resume":
        start = [*together, "-m", "action_gru", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *start], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def done(process: subprocess.Popen) -> tuple[str, str]:
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return out, err


def history(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_two_processes_take_the_steps_of_one_and_one_writes(folder):
    done(launch(folder, 1, "c.yaml", "run.name=one", "--quiet"))
    out, err = done(launch(folder, 2, "c.yaml", "run.name=two", launcher=ACCELERATE))
    one, two = folder / "runs" / "one", folder / "runs" / "two"
    for alone, together in zip(history(one), history(two), strict=True):
        for name, value in alone.items():
            assert together[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    first, second = (load_file(run / "best.safetensors") for run in (one, two))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-3, atol=1e-4)
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["one", "two"]
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in two.iterdir())
    written = [len(list((run / "tensorboard").iterdir())) for run in (one, two)]
    assert written == [2, 2]  # of the training, and of its score
    assert out.strip().splitlines()[-1].endswith("runs/two")
    assert err.count("; 6 epochs, the best was ") == 1


def test_an_interrupted_training_of_two_ends_and_resumes_to_the_same(folder):
    process = launch(folder, 2, "c.yaml", "run.name=cut", "training.epochs=60", "--quiet")
    log = folder / "runs" / "cut" / "log.jsonl"
    until = time.monotonic() + 120
    while not log.is_file() and time.monotonic() < until:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal sends at ctrl-C
    process.communicate(timeout=60)
    assert process.returncode != 0
    before = len(history(log.parent))
    assert 0 < before < 60
    done(launch(folder, 2, "resume", str(log.parent), "training.epochs=60", "--quiet"))
    rows = history(log.parent)
    assert [row["epoch"] for row in rows] == list(range(1, 61))


def test_an_error_in_the_first_process_ends_both_and_is_told_once(folder):
    process = launch(folder, 2, "c.yaml", "data.manifest=nowhere.csv", "run.name=bad")
    _, err = process.communicate(timeout=100)
    assert process.returncode != 0
    assert err.count("error: data.manifest: no file at nowhere.csv") == 1, err
    assert "error (process" not in err
    assert not (folder / "runs" / "bad").exists()
