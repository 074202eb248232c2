"""Disks that are full, read-only or taken away, two runs on one cache, clocks that jump: a clear
error and its exit code, nothing half-written, and the next run ends as if nothing had been."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.killing import hashes
from helpers.videos import FakeBackbone, clip_of, write_square
from safetensors.torch import load_file

from action_gru.features import Extractor, FeatureCache

PROGRAM = [sys.executable, "-m", "action_gru"]


def make_place(root: Path, clips: int = 10) -> None:
    rows = ["path,label,split"]
    for number in range(clips):
        write_square(root / f"{number}.mp4", 30, number + 100 * (number % 2))
        label, split = ("bright", "dark")[number % 2], ("train", "test")[number >= clips - 4]
        rows.append(f"{number}.mp4,{label},{split}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    (root / "config.yaml").write_text(
        "data: {manifest: manifest.csv}\n"
        "run: {name: toy}\n"
        "sampling: {fps: 10, max_frames: 16}\n"
        "features: {weights: builtin, image_size: 64, views: [rgb], cache_dir: cache}\n"
        "model: {projection_size: 16, hidden_size: 16}\n"
        "training: {epochs: 6, device: cpu, batch_size: 4, mean_pooled_baseline: false}\n"
    )


def extract(root: Path, *overrides: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*PROGRAM, "extract", "config.yaml", "--json", "-q", *overrides],
        capture_output=True, text=True, cwd=root, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A place, and the entries of a run there that nothing disturbs."""
    root = tmp_path_factory.mktemp("whole")
    make_place(root)
    done = extract(root)
    assert done.returncode == 0, done.stderr
    found = hashes(root / "cache")
    assert len(found) == 10
    return root, found


@pytest.fixture
def place(whole, tmp_path) -> tuple[Path, dict[str, str]]:
    """The same clips, and a cache that is still empty."""
    root, wanted = whole
    for path in root.glob("*.*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "cache").mkdir()
    return tmp_path, wanted


def with_mounts(root: Path, script: str) -> list[str]:
    """Run a shell script that may mount; what it printed. Skips where that is not allowed."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    probe = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(root / "cache")],
        capture_output=True, check=False,
    )  # fmt: skip
    if probe.returncode:
        pytest.skip(f"mounting is not allowed here: {probe.stderr.decode().strip()}")
    run = " ".join([*PROGRAM, '"$@"'])
    head = f'act() {{ {run} 2>&1; echo "exit $?"; }}\n'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", head + script],
        capture_output=True, text=True, cwd=root, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_6_and_the_next_one_goes_on(place):
    root, wanted = place
    said = with_mounts(
        root,
        """
        mount -t tmpfs -o size=300k none cache
        act extract config.yaml --json -q
        find cache -name '*.part' | wc -l
        act cache verify cache
        mount -o remount,size=64m cache
        act extract config.yaml --json -q
        cp -r cache kept
        """,
    )
    assert "No space left on device" in said[0]
    assert "free space or set features.cache_dir" in said[0]
    assert said[1:3] == ["exit 6", "0"]
    assert said[3].endswith(" entries, 0 damaged")
    assert said[4] == "exit 0"
    answer = json.loads(said[5])
    assert answer["cached"] == int(said[3].split()[0]) > 0
    assert answer["read"] == 10 - answer["cached"] > 0
    assert said[6] == "exit 0"
    assert hashes(root / "kept") == wanted


@pytest.mark.slow
def test_a_read_only_cache_ends_the_run_with_6_and_serves_what_it_has(place):
    root, wanted = place
    said = with_mounts(
        root,
        """
        mount -t tmpfs none cache
        mount -o remount,ro cache
        act extract config.yaml --json -q
        mount -o remount,rw cache
        act extract config.yaml --json -q
        mount -o remount,ro cache
        act extract config.yaml --json -q
        act cache prune cache --json
        cp -r cache kept
        """,
    )
    assert "Read-only file system" in said[0]
    assert [line for line in said if line.startswith("exit")] == ["exit 6"] + ["exit 0"] * 3
    assert json.loads(said[2])["read"] == 10
    assert json.loads(said[4])["cached"] == 10
    assert hashes(root / "kept") == wanted


@pytest.mark.slow
def test_a_full_disk_under_a_run_ends_it_with_7_and_it_is_resumed(place):
    root, _ = place
    said = with_mounts(
        root,
        """
        act train config.yaml -q run.folder=free
        mkdir runs
        mount -t tmpfs -o size=700k none runs
        act train config.yaml -q run.folder=runs
        find runs -name '*.part' | wc -l
        ls runs
        mount -o remount,size=64m runs
        act resume runs/toy -q
        cp -r runs kept
        """,
    )
    exits = [number for number, line in enumerate(said) if line.startswith("exit")]
    assert [said[number] for number in exits] == ["exit 0", "exit 7", "exit 0"]
    failure = said[exits[1] - 1]
    assert "cannot be written (No space left on device)" in failure
    assert said[exits[1] + 1 : exits[1] + 3] == ["0", "toy"]
    for name in ("best", "last"):
        ours, theirs = (
            load_file(root / folder / "toy" / f"{name}.safetensors") for folder in ("free", "kept")
        )
        assert ours.keys() == theirs.keys()
        assert all(ours[key].equal(theirs[key]) for key in ours)
    logs = [(root / folder / "toy" / "log.jsonl").read_text() for folder in ("free", "kept")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_a_cache_that_vanishes_ends_the_run_with_6_and_the_next_one_goes_on(place):
    root, wanted = place
    running = subprocess.Popen(
        [*PROGRAM, "extract", "config.yaml", "-q", "features.workers=1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root,
    )  # fmt: skip
    while not any((root / "cache").glob("*/*.safetensors")):
        assert running.poll() is None
        time.sleep(0.005)
    (root / "cache").rename(root / "away")
    _, said = running.communicate()
    assert running.returncode == 6
    assert "cache: the cache folder has vanished while it was in use; bring it back" in said
    assert not (root / "cache").exists()
    (root / "away").rename(root / "cache")
    done = extract(root)
    assert done.returncode == 0
    assert json.loads(done.stdout)["cached"] > 0
    assert hashes(root / "cache") == wanted


@pytest.mark.slow
def test_two_runs_on_one_cache_end_alike(place):
    root, wanted = place
    command = [*PROGRAM, "extract", "config.yaml", "--json", "-q"]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root)
        for _ in range(2)
    ]
    answers = [json.loads(run.communicate()[0]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert all(answer["read"] + answer["cached"] == 10 for answer in answers)
    assert hashes(root / "cache") == wanted
    assert FeatureCache(root / "cache").stats()["leftovers"] == 0


JUMPING = """
import sys, time
real = {name: getattr(time, name) for name in ("time", "time_ns")}
begun = time.monotonic()
def jump():
    return JUMP_S * (int((time.monotonic() - begun) * 20) % 2)  # to and fro, each twentieth second
time.time = lambda: real["time"]() + jump()
time.time_ns = lambda: real["time_ns"]() + jump() * 10**9
from action_gru.cli import main
main("extract", "config.yaml", "--json", "-q")
"""


@pytest.mark.slow
@pytest.mark.parametrize("jump_s", [-86_400, 86_400])
def test_a_clock_that_jumps_changes_nothing(place, jump_s):
    root, wanted = place
    pruning = threading.Event()

    def prune() -> None:  # by the same clock, while the run writes
        while not pruning.wait(0.01):
            FeatureCache(root / "cache").prune()

    cleaner = threading.Thread(target=prune)
    cleaner.start()
    try:
        done = subprocess.run(
            [sys.executable, "-c", JUMPING.replace("JUMP_S", str(jump_s))],
            capture_output=True, text=True, cwd=root, check=False,
        )  # fmt: skip
    finally:
        pruning.set()
        cleaner.join()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["read"] == 10
    assert hashes(root / "cache") == wanted


@pytest.mark.slow
def test_a_full_temporary_folder_does_not_hold_up_decoding(place):
    root, wanted = place
    said = with_mounts(
        root,
        """
        mount -t tmpfs -o size=8k none /dev/shm
        TMPDIR=/dev/shm; export TMPDIR
        act extract config.yaml --json -q
        cp -r cache kept
        """,
    )
    assert json.loads(said[0])["quarantined"] == 0
    assert hashes(root / "kept") == wanted


def test_two_extractors_that_write_the_same_entries_end_alike(tmp_path):
    clips = [clip_of(write_square(tmp_path / f"{n}.mp4", 8, seed=n)) for n in range(6)]

    def work(name: str) -> Extractor:
        cache = FeatureCache(tmp_path / name)
        return Extractor(FakeBackbone(), cache, fps=10.0, views=["rgb"], workers=2)

    both = [work("shared"), work("shared")]
    reports = []
    threads = [
        threading.Thread(target=lambda one=one: reports.append(one.extract(clips))) for one in both
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work("alone").extract(clips)
    assert [report.read + report.cached for report in reports] == [6, 6]
    assert hashes(tmp_path / "shared") == hashes(tmp_path / "alone")
    assert len(hashes(tmp_path / "alone")) == 6


@pytest.mark.slow
def test_a_terminated_run_says_so_and_keeps_what_it_has(place):
    root, wanted = place
    running = subprocess.Popen(
        [*PROGRAM, "extract", "config.yaml", "-q", "--log-json", "features.workers=1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root,
    )  # fmt: skip
    while not any((root / "cache").glob("*/*.safetensors")):
        assert running.poll() is None
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGTERM)
    _, said = running.communicate()
    assert running.returncode == 130
    assert json.loads(said.splitlines()[-1])["exit_code"] == 130
    assert FeatureCache(root / "cache").stats()["leftovers"] == 0
    assert extract(root).returncode == 0
    assert hashes(root / "cache") == wanted
