"""How fast the live loop and the timeline are on this machine.

    python benchmarks/live.py [--weights yolo26n-cls.pt] [--seconds 60]

Draws a 640x480 and a 640x360 video at 30 frames a second, plays the first like a camera through the
live loop at ten samples a second with the views rgb and motion, and reads the second as a timeline.
Writes benchmarks/results/live.json and .md. The model is untrained: its answers cost the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it

from action_gru.apps.demo_data import write_video
from action_gru.apps.drawing import long_scene
from action_gru.apps.live_loop import LiveLoop
from action_gru.apps.live_view import LiveView
from action_gru.checkpoint import Checkpoint
from action_gru.config import build_config
from action_gru.features import build_backbone
from action_gru.model import ActionClassifier
from action_gru.recognizer import ActionRecognizer

RESULTS = Path(__file__).parent / "results"
FPS, SAMPLES_S = 30.0, 10.0
DRAW_EVERY_S = 1 / 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", nargs="+", default=["builtin", "yolo26n-cls.pt"])
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        vga = draw(Path(folder) / "vga.mp4", (640, 480), options.seconds)
        wide = draw(Path(folder) / "wide.mp4", (640, 360), 2 * options.seconds)
        for weights in options.weights:
            recognizer = untrained(weights)
            rows[Path(weights).name] = {
                "live": live(recognizer, vga, picture=False),
                "live, drawn 25 times a second": live(recognizer, vga, picture=True),
                "timeline": timeline(recognizer, wide),
            }
            print(json.dumps(rows[Path(weights).name]), flush=True)
    save(rows, options.seconds)


def draw(path: Path, size_px: tuple[int, int], seconds: float) -> Path:
    scene = long_scene(1, size_px=size_px, duration_s=seconds)
    write_video(path, (scene.image_at(i / FPS) for i in range(int(seconds * FPS))), FPS)
    return path


def untrained(weights: str) -> ActionRecognizer:
    """A recognizer of the default size with random weights."""
    config = build_config(
        {
            "sampling": {"fps": SAMPLES_S},
            "features": {"weights": weights, "views": ["rgb", "motion"]},
        }
    )
    backbone = build_backbone(config)
    specs = tuple(backbone.spec(view) for view in config.features.views)
    classes = tuple(f"class {number}" for number in range(13))
    arguments = {
        "view_dims": [spec.dim for spec in specs],
        "num_classes": len(classes),
        **config.model.model_dump(),
        "closed_form": True,  # as for up to 5,000 training clips
    }
    sampling = {"fps": SAMPLES_S, "max_frames": 64, "usual_frames": 20}
    weights_of = ActionClassifier(**arguments).state_dict()
    checkpoint = Checkpoint(
        weights_of, arguments, classes, specs, sampling, False, {}, config.to_tree()
    )
    return ActionRecognizer(checkpoint, config)


def live(recognizer: ActionRecognizer, video: Path, picture: bool) -> dict[str, float]:
    """The loop's own account of playing a file like a camera."""
    drawn_s = 0.0
    with LiveLoop(recognizer, [str(video)]) as loop:
        view = LiveView(loop)
        for _ in loop.turns():
            began_s = time.perf_counter()
            if picture and began_s - drawn_s >= DRAW_EVERY_S:
                drawn_s = began_s
                view.draw()
                loop.count_work(time.perf_counter() - began_s)
    return loop.summary()


def timeline(recognizer: ActionRecognizer, video: Path) -> dict[str, float]:
    began_s = time.perf_counter()
    duration_s = recognizer.timeline(video).duration_s
    elapsed_s = time.perf_counter() - began_s
    return {
        "video_s": round(duration_s, 1),
        "elapsed_s": round(elapsed_s, 1),
        "times_playing_speed": round(duration_s / elapsed_s, 2),
    }


def save(rows: dict[str, Any], seconds: float) -> None:
    machine = {"python": platform.python_version(), "cpu_count": os.cpu_count()}
    document = {"machine": machine, "seconds": seconds, "load": os.getloadavg()[0], "rows": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "live.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    lines = [
        "# Live and timeline speed",
        "",
        f"`python benchmarks/live.py`, {machine['cpu_count']} CPU cores, {seconds:g} s of a drawn "
        "640x480 video at 30 frames a second played like a camera, ten samples a second, views rgb "
        "and motion; timeline: 640x360.",
        "",
        "| weights | | predictions/s | p50 ms | p95 ms | dropped | beside the backbone |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for weights, parts in rows.items():
        for name, row in parts.items():
            if name != "timeline":
                lines.append(
                    f"| {weights} | {name} | {row['per_second']} | {row['latency_p50_ms']} | "
                    f"{row['latency_p95_ms']} | {row['dropped']} | {row['beside_backbone_ms']} ms, "
                    f"{row['share_beside_backbone']:.0%} |"
                )
    lines += ["", "| weights | timeline, times playing speed |", "|---|---:|"]
    lines += [f"| {name} | {p['timeline']['times_playing_speed']} |" for name, p in rows.items()]
    (RESULTS / "live.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
