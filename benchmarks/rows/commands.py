"""Whole commands as a user starts them: the demo, a training, people followed, the fast tests."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import cv2

from action_gru.demo.dataset import write_video
from action_gru.video import Image, VideoFile
from rows.turns import ROOT, Goal, Row, medians, shell
from rows.untrained import untrained_run

sys.path.insert(0, str(ROOT / "tests"))
from helpers.crowd import crowd_scene

ACTION_GRU = (sys.executable, "-m", "action_gru")
FPS, PEOPLE_S, SIZE_PX = 24.0, 20.0, (640, 480)
SMALL_PX = 64  # how long a training takes does not depend on what the features show
# Extracts all clips but the first, which warms up, by the defaults of the package it finds.
SHIPPED = """
import sys, tempfile, time
from pathlib import Path
from action_gru.config import build_config
from action_gru.core.machine import use_one_arena
from action_gru.dataset import Clip
from action_gru.features import FeatureCache
from action_gru.features.source import build_backbone, build_extractor
weights, device, *paths = sys.argv[1:]
use_one_arena()
config = build_config({"features": {"weights": weights, "device": device}})
backbone = build_backbone(config)
clips = [Clip(Path(path), path, "x", path) for path in paths]
for part in (clips[:1], clips[1:]):
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        assert not build_extractor(config, backbone, FeatureCache(folder)).extract(part).quarantined
print(time.perf_counter() - began_s)
"""


def demo() -> Row:
    """`action-gru demo` in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.perf_counter()
        shell([*ACTION_GRU, "demo", "--quiet"], Path(folder))
        elapsed_s = time.perf_counter() - began_s
    return Row("action-gru demo", "s", {"ours": elapsed_s}, goal=Goal(240.0, 150.0, at_most=True))


def fast_tests() -> Row:
    began_s = time.perf_counter()
    shell(["make", "test"], ROOT)
    elapsed_s = time.perf_counter() - began_s
    return Row("make test", "s", {"ours": elapsed_s}, goal=Goal(300.0, 240.0, at_most=True))


def training(data: Path, weights: str) -> Row:
    """`train` with all its reports on DATA/clips.csv, whose features are extracted before."""
    with tempfile.TemporaryDirectory() as folder:
        words = training_words(data.absolute(), weights)
        shell([*ACTION_GRU, "extract", *words], Path(folder))
        began_s = time.perf_counter()
        shell([*ACTION_GRU, "train", *words], Path(folder))
        elapsed_s = time.perf_counter() - began_s
    return Row(
        f"train on {data.name} with all reports, features cached",
        "s",
        {"ours": elapsed_s},
        goal=Goal(90.0, 90.0, at_most=True),
        notes=f"features of pictures of {SMALL_PX} pixels: as many, quicker to extract",
    )


def training_words(data: Path, weights: str) -> list[str | Path]:
    """What extracts the clips of a data set, and trains on them, by its config if it has one."""
    own = ROOT / "configs" / f"{data.name}.yaml"
    return [
        own if own.is_file() else ROOT / "configs" / "template.yaml",
        f"data.manifest={data / 'clips.csv'}",
        f"features.weights={weights}",
        f"features.image_size={SMALL_PX}",
        "--quiet",
    ]


def people(weights: str, detector: Path, video: Path | None, clips: list[Path] | None) -> Row:
    """`timeline --per-person` of a video against its playing time: of one given, of clips joined,
    or of drawn people."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if video is None:
            video = folder / "people.mp4"
            write_video(video, _joined(clips) if clips else _crowd(), FPS)
        run = untrained_run(folder, weights)
        command = [*ACTION_GRU, "timeline", video.absolute(), "-m", run, "--per-person", "--json"]
        command += ["--quiet", f"detection.weights={detector.absolute()}"]
        began_s = time.perf_counter()
        told = json.loads(shell(command, folder))
        elapsed_s = time.perf_counter() - began_s
        with VideoFile(video) as opened:
            frames = [(frame.time_s, frame.image.shape) for frame in opened]
    (height_px, width_px, _), playing_s = frames[0][1], frames[-1][0] - frames[0][0]
    return Row(
        f"timeline --per-person, {width_px}x{height_px}, {detector.name}",
        "s",
        {"ours": elapsed_s, "playing time": playing_s},
        playing_s / elapsed_s,
        "playing time",
        Goal(1.0, 2.0),
        notes=f"imports included; {told['people']} people followed",
    )


def _crowd() -> Iterator[Image]:
    scene = crowd_scene(["wave", "clap", "jump"], 5, size_px=SIZE_PX, duration_s=PEOPLE_S)
    yield from (scene.image_at(n / FPS) for n in range(int(PEOPLE_S * FPS)))


def _joined(clips: list[Path]) -> Iterator[Image]:
    """Frames of clips one after another, from the first again where they end."""
    frames = (frame.image for path in cycle(clips) for frame in VideoFile(path).frames())
    yield from (cv2.resize(image, SIZE_PX) for image in islice(frames, int(PEOPLE_S * FPS)))


def shipped(clips: list[Path], weights: str, device: str, against: Path, rounds: int) -> Row:
    """The default extraction of this checkout and of another, in turns, a process each."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    folders = {"ours": ROOT, "theirs": against.absolute()}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SHIPPED, weights, device]
        command += [clip.absolute() for clip in clips]
        for _ in range(rounds):
            for name, checkout in folders.items():
                seconds[name].append(float(shell(command, Path(folder), checkout)))
    rates = {name: (len(clips) - 1) / s for name, s in medians(seconds).items()}
    rival = against.name
    return Row(
        f"shipped template, clips a second, against the checkout {rival}",
        "clips/s",
        {"ours": rates["ours"], rival: rates["theirs"]},
        against=rival,
        goal=Goal(2.0, 2.0),
        notes="each with its own defaults: views, rate, picture size, runtime",
    ).paired(seconds, "ours", "theirs")
