"""Runs on disk as trainings leave them, with untrained models, and recognizers of such."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from action_gru.config import build_config, to_yaml
from action_gru.training import load_checkpoint, save_checkpoint
from helpers.models import checkpoint

GOLDEN = Path(__file__).parents[1] / "golden"
CLIPS = GOLDEN / "clips"


def make_run(folder: Path, name: str, when_s: float = 1000.0, right: str = "", *settings: str):
    """A finished run of two classes. right: y or n for each test clip 0.mp4, 1.mp4, ..."""
    run = folder / name
    run.mkdir(parents=True)
    clips = {"train": 8, "val": 0, "test": len(right)}
    data = {"hash": "x", "allow_leakage": False, "clips": clips}
    save_checkpoint(checkpoint(data=data), run / "best.safetensors")
    config = build_config({"run": {"name": name}}, settings)
    (run / "config.yaml").write_text(to_yaml(config))
    rows = [f"{index}.mp4,sit,,test,,,,,{index:064x}" for index in range(len(right))]
    head = "path,label,group,split,start_s,end_s,timeline,frame_rate,sha256"
    (run / "clips.csv").write_text("\n".join([head, *rows]) + "\n")
    (run / "summary.json").write_text("{}")
    os.utime(run / "summary.json", (when_s, when_s))
    if right:
        write_report(run, right)
    return run


def write_report(run: Path, right: str, folder: str = "test") -> None:
    share = right.count("y") / len(right)
    predictions = [
        {"path": f"{index}.mp4", "start_s": None, "end_s": None, "true_label": "sit",
         "predicted_label": "sit" if one == "y" else "stånd"}
        for index, one in enumerate(right)
    ]  # fmt: skip
    report = {
        "sentence": f"Right on {right.count('y')} of {len(right)} new clips.",
        "clips": len(right),
        "top1": share,
        "top1_interval": [0.0, 1.0],
        "per_class": [{"label": "sit", "recall": share}, {"label": "stånd", "recall": None}],
        "predictions": predictions,
    }
    place = run / "evaluation" / folder
    place.mkdir(parents=True)
    (place / "report.json").write_text(json.dumps(report))


def run_of_own_network(folder: Path, file: str = "my net (1).safetensors") -> tuple[Path, Path]:
    """The stored run as if its features came from a file of one's own; the run and that file."""
    network = folder / file
    package = Path(load_checkpoint.__code__.co_filename).parents[1]
    shutil.copy(package / "weights" / "builtin.safetensors", network)
    run = shutil.copytree(GOLDEN / "run", folder / "run")
    before = load_checkpoint(run)
    features = before.config["features"] | {"weights": str(network)}
    changed = replace(before, config=before.config | {"features": features})
    save_checkpoint(changed, run / "best.safetensors")
    return run, network
