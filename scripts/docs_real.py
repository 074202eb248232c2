"""The tutorial's true outputs and its pictures of real people, from clips under the MIT License.

Needs two public data sets (data/README.md) as `falls` and `fights` in one folder. Knows nothing of
the drawn pictures.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from action_gru.apps.overlay import Overlay, percent
from action_gru.core.text import clock_text
from action_gru.recognizer import ActionRecognizer
from action_gru.video import VideoFile

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "examples" / "falls"
SHOWN = "GMDCSA24/Subject 2/Fall/12.mp4"  # of the person that no model here was trained on
WINDOW = "stream.window_s=1"
GIF_PX, GIF_EVERY, GIF_COLOURS, LAST_MS = (420, 315), 2, 224, 2500
NOISE_LEVELS = 9  # a pixel that changes less keeps its value, so that the file stays small


def lay_out(data: Path, work: Path) -> Path:
    """Links to the videos under the names that the public data sets give them."""
    videos = work / "videos"
    for found in sorted((data / "falls").glob("*.mp4")):
        person, kind, number = found.stem.split("_")
        folder = videos / "GMDCSA24" / f"Subject {person[1:]}" / {"adl": "ADL"}.get(kind, "Fall")
        _link(found, folder / f"{number}.mp4")
    _link(data / "fights" / "noFight", videos / "fights" / "noFight")
    return videos


def _link(found: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(found.resolve())


class Told:
    """Runs the tutorial's commands in `work` and keeps what each prints."""

    def __init__(self, work: Path, weights: Path) -> None:
        self.work, self.said = work, dict[str, str]()
        self.home = work / "home"  # where the program looks before it would fetch weights
        (self.home / "weights").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(weights, self.home / "weights" / "yolo26n-cls.pt")

    def run(self, name: str, *arguments: str) -> str:
        """What `action-gru ARGUMENTS` prints on stdout."""
        return self._keep(name, [sys.executable, "-m", "action_gru", *arguments])

    def train(self, name: str) -> None:
        shutil.rmtree(self.work / "runs" / name, ignore_errors=True)
        told = self.run(f"train {name}", "train", "clips", "--name", name)
        assert told.splitlines()[-1] == f"runs/{name}"
        report = self.work / "runs" / name / "evaluation" / "test" / "report.md"
        self.said[f"report {name}"] = report.read_text(encoding="utf-8")

    def cut(self, table: str) -> None:
        shutil.rmtree(self.work / "clips", ignore_errors=True)
        script = str(ROOT / "scripts" / "cut_clips.py")
        place = ["--root", "videos", "--out", "clips"]
        self._keep(f"cut {table}", [sys.executable, script, str(TABLES / table), *place])

    def _keep(self, name: str, command: Sequence[str]) -> str:
        done = subprocess.run(
            command, cwd=self.work, capture_output=True, text=True, check=False,
            env={
                **os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100",
                "ACTION_GRU_HOME": str(self.home),
            },
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr}")
        self.said[name] = done.stdout
        return done.stdout


def tell(data: Path, work: Path, weights: Path) -> dict[str, str]:
    """Play the tutorial; what each of its commands printed, by name."""
    work.mkdir(parents=True, exist_ok=True)
    lay_out(data, work)
    told = Told(work, weights)
    told.cut("published.csv")
    told.run("check", "check", "clips")
    told.train("first")
    _add_groups(work / "clips")
    told.train("people")
    told.cut("places.csv")
    elsewhere = _elsewhere(work / "clips")
    told.run("elsewhere", "classify", *elsewhere, "-m", "runs/people/best.safetensors")
    told.said["elsewhere"] = _counted(told.said["elsewhere"])
    told.train("places")
    told.run("timeline places", "timeline", f"videos/{SHOWN}", "-m", "runs/places/best.safetensors")
    told.cut("clips.csv")
    told.train("moments")
    model = ["-m", "runs/moments/best.safetensors", WINDOW]
    told.run("timeline", "timeline", f"videos/{SHOWN}", *model, "--out", "timeline.png")
    live = ["--source", f"videos/{SHOWN}", "--no-window", "events.background=[everyday]"]
    told.run("live", "webcam", *model, *live)
    (work / "said.json").write_text(json.dumps(told.said), encoding="utf-8")
    return told.said


def _add_groups(clips: Path) -> None:
    """What the reader does in a spreadsheet: a column `group`, the person."""
    table = clips / "manifest.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "group"])
        for row in rows:
            person = re.search(r"Subject(\d)", row["path"])
            assert person is not None
            writer.writerow([row["path"], row["label"], f"S{person[1]}"])


def _elsewhere(clips: Path) -> list[str]:
    """The test clips that do not show the two people."""
    with (clips / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [f"clips/{r['path']}" for r in rows if "fights_" in r["path"] and r["split"] == "test"]


def _counted(answers: str) -> str:
    """The first answers, and how many of all there are of each kind."""
    lines = answers.splitlines()
    falls = sum(re.search(r": (?:unsure, perhaps )?fall ", line) is not None for line in lines)
    unsure = sum("unsure" in line for line in lines)
    shown = [line.replace("clips/everyday/fights_noFight_", "other_places/") for line in lines[:3]]
    return "\n".join(
        [*shown, f"... (of {len(lines)} lines {falls} say fall, and {unsure} are unsure)"]
    )


def moving_picture(video: Path, model: Path, target: Path) -> None:
    """The clip with the product's own overlay, as `webcam` draws it, without its speed line."""
    recognizer = ActionRecognizer.load(model, overrides=[WINDOW])
    stream, overlay = recognizer.stream(), Overlay(GIF_PX, recognizer.classes)
    shown, pictures = None, list[np.ndarray]()
    ended: list[str] = []
    with VideoFile(video) as source:
        for index, frame in enumerate(source):
            step_ms = round(1000 * GIF_EVERY / source.fps)
            stream.push(frame.image, frame.time_s)
            ended[:0] = [
                f"{clock_text(e.start_s)} to {clock_text(e.end_s)} {e.label}" for e in stream.ended
            ]
            if index % GIF_EVERY:
                continue
            shown = _calm(cv2.resize(frame.image, GIF_PX, interpolation=cv2.INTER_AREA), shown)
            answer, title = stream.smoothed, None
            if answer is not None:
                title = recognizer.judged(answer).display_label, percent(answer.score)
            pictures.append(overlay.draw(shown, answer, title=title, lines=ended[:2]))
    _write_gif(pictures, step_ms, target)


def _calm(image: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """The image, but for what only the camera's noise changed. (H, W, 3) uint8."""
    if before is None:
        return image
    change = np.abs(image.astype(np.int16) - before).max(axis=2).astype(np.float32)
    moved = cv2.blur(change, (3, 3)) > NOISE_LEVELS
    return np.where(moved[..., None], image, before)


def _write_gif(pictures: Sequence[np.ndarray], step_ms: int, target: Path) -> None:
    samples = np.concatenate(pictures[:: max(1, len(pictures) // 8)], axis=1)
    palette = Image.fromarray(samples).quantize(GIF_COLOURS, dither=Image.Dither.NONE)
    frames = [
        Image.fromarray(one).quantize(palette=palette, dither=Image.Dither.NONE) for one in pictures
    ]
    times = [step_ms] * (len(frames) - 1) + [LAST_MS]
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=times, loop=0)
