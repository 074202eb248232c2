"""The live loop's latency on a video played like a camera, and a long video as a timeline."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from action_gru.apps.live_loop import LiveLoop
from action_gru.apps.live_view import LiveView
from action_gru.config import build_config
from action_gru.demo.dataset import write_video
from action_gru.demo.scenes import long_scene
from action_gru.recognizer import ActionRecognizer
from rows.turns import Goal, Row
from rows.untrained import untrained_checkpoint

FPS, SAMPLES_S = 30.0, 10.0
DRAW_EVERY_S = 1 / 25


def rows(weights: str, seconds: float, minutes: float) -> list[Row]:
    checkpoint = untrained_checkpoint(weights, SAMPLES_S)
    recognizer = ActionRecognizer(checkpoint, build_config(checkpoint.config))
    with tempfile.TemporaryDirectory() as folder:
        vga = draw(Path(folder) / "vga.mp4", (640, 480), seconds, seconds)
        wide = draw(Path(folder) / "wide.mp4", (640, 360), minutes * 60, min(60.0, minutes * 60))
        return [
            live_row("live, 640x480 at 30 fps", live(recognizer, vga, picture=False)),
            live_row("live, drawn 25 times a second", live(recognizer, vga, picture=True)),
            timeline_row(recognizer, wide, minutes),
        ]


def draw(path: Path, size_px: tuple[int, int], seconds: float, scene_s: float) -> Path:
    """A drawn scene of scene_s seconds, over and over."""
    scene = long_scene(1, size_px=size_px, duration_s=scene_s)
    pictures = [scene.image_at(index / FPS) for index in range(int(scene_s * FPS))]
    count = int(seconds * FPS)
    write_video(path, (pictures[index % len(pictures)] for index in range(count)), FPS)
    return path


def live(recognizer: ActionRecognizer, video: Path, picture: bool) -> dict[str, Any]:
    """The loop's own account of playing a file like a camera."""
    drawn_s = 0.0
    with LiveLoop(recognizer, [str(video)]) as loop:
        view = LiveView(loop)
        for _ in loop.turns():
            began_s = time.perf_counter()
            if picture and began_s - drawn_s >= DRAW_EVERY_S:
                drawn_s = began_s
                view.draw()
                loop.work_s += time.perf_counter() - began_s
    return loop.summary()


def live_row(name: str, summary: dict[str, Any]) -> Row:
    values = {
        "p95 ms": summary["latency_p95_ms"],
        "p50 ms": summary["latency_p50_ms"],
        "predictions/s": summary["per_second"],
        "dropped": summary["dropped"],
        "ms beside the backbone": summary["beside_backbone_ms"],
    }
    share = summary["share_beside_backbone"]
    notes = f"{share:.0%} of the time is beside the backbone"
    return Row(name, "", values, goal=Goal(60.0, 40.0, at_most=True), notes=notes)


def timeline_row(recognizer: ActionRecognizer, video: Path, minutes: float) -> Row:
    began_s = time.perf_counter()
    duration_s = recognizer.timeline(video).duration_s
    elapsed_s = time.perf_counter() - began_s
    return Row(
        f"timeline of {minutes:g} minutes, 640x360, ten samples a second",
        "s",
        {"ours": elapsed_s, "playing time": duration_s},
        duration_s / elapsed_s,
        "playing time",
        Goal(3.0, 3.0),
    )
