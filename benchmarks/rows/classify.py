"""Classify one clip, cold from the shell and warm, against video networks' forward pass alone."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from action_gru.recognizer import ActionRecognizer
from rows.turns import Goal, Row, in_turns, medians, shell
from rows.untrained import untrained_run

FRAMES, COLD_STARTS = 16, 5


def rows(clips: list[Path], weights: str, device: str, rounds: int) -> list[Row]:
    clip = str(clips[0])
    with tempfile.TemporaryDirectory() as name:
        run = untrained_run(Path(name), weights)
        recognizer = ActionRecognizer.load(run, device)
        command = [sys.executable, "-m", "action_gru", "classify", clip, "-m", run, "--quiet"]
        command.append(f"features.device={device}")
        networks = _video_networks(device)
        tasks = {"ours": lambda: recognizer.classify(clip)} | networks
        seconds = in_turns(tasks, rounds)
        cold = in_turns({"cold": lambda: shell(command, Path(name))}, max(rounds, COLD_STARTS))
    middle = medians(seconds)
    return [
        Row(
            f"classify a clip, warm, against {name} forward on {FRAMES} frames",
            "s",
            {"ours, from the file": middle["ours"], name: middle[name]},
            against=name,
            notes="random weights; its decoding is not counted, ours is",
        ).paired(seconds, "ours", name)
        for name in networks
    ] + [
        Row(
            "classify a clip, cold, from the shell",
            "s",
            {"ours": medians(cold)["cold"]},
            goal=Goal(2.5, 2.5, at_most=True),
            notes="imports included",
        )
    ]


def _video_networks(device: str) -> dict:
    from torchvision.models.video import mvit_v2_s, r3d_18

    where = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")

    def forward(build, side_px: int):
        network = build(weights=None).eval().to(where)
        clip = torch.rand(1, 3, FRAMES, side_px, side_px, device=where)

        def run() -> None:
            with torch.inference_mode():
                network(clip).cpu()

        return run

    return {"r3d_18": forward(r3d_18, 112), "mvit_v2_s": forward(mvit_v2_s, 224)}
