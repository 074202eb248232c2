"""What each runtime needs for a picture, all in turns in one process.

python benchmarks/runtimes.py [WEIGHTS]: writes benchmarks/results/runtimes.json and runtimes.md.
On a busy machine the best call and the processor time still compare: what else runs can disturb
them, never help them. The median says what it was like.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from action_gru.backbone import Backbone
from action_gru.backbone.runtimes import machine
from action_gru.core.errors import ActionGruError

RESULTS = Path(__file__).parent / "results"
WAYS = [
    ("torch", "fp32"), ("torch", "bf16"), ("onnx", "fp32"), ("openvino", "fp32"),
    ("openvino", "bf16"), ("tensorrt", "auto"),
]  # fmt: skip
BATCHES = {1: 25, 2: 25, 32: 6}  # pictures: rounds
ROUND_S = 0.15


def main() -> None:
    weights = sys.argv[1] if len(sys.argv) > 1 else "yolo26n-cls.pt"
    sections = []
    for threads in sorted({1, os.cpu_count() or 1}):
        backbones, left_out = build(weights, threads)
        rows = {batch: take(backbones, batch, rounds) for batch, rounds in BATCHES.items()}
        sections.append({"threads": threads, "load": os.getloadavg()[0], "rows": rows})
    document = {
        "machine": machine(), "torch": torch.__version__, "weights": Path(weights).name,
        "sections": sections, "left_out": left_out,
    }  # fmt: skip
    (RESULTS / "runtimes.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / "runtimes.md").write_text(markdown(document))
    print(markdown(document))


def build(weights: str, threads: int) -> tuple[dict[str, Backbone], dict[str, str]]:
    """The backbones that this machine can run, and why not the others."""
    backbones, left_out = {}, {}
    for runtime, precision in WAYS:
        options = {"precision": precision, "runtime": runtime, "threads": threads}
        try:
            backbones[f"{runtime} {precision}"] = Backbone(weights, device="cpu", **options)
        except ActionGruError as error:
            left_out[f"{runtime} {precision}"] = str(error)
    return backbones, left_out


def take(backbones: dict[str, Backbone], batch: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds a picture of each: the best call, the median, the processor time."""
    images = list(np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), dtype=np.uint8))
    calls: dict[str, list[float]] = {name: [] for name in backbones}
    cpu = dict.fromkeys(backbones, np.inf)
    for _ in range(rounds):
        for name, backbone in backbones.items():
            backbone(images)
            spent, before, cpu_s = 0.0, len(calls[name]), time.process_time()
            while spent < ROUND_S:
                started_s = time.perf_counter()
                backbone(images)
                calls[name].append(time.perf_counter() - started_s)
                spent += calls[name][-1]
            used = (time.process_time() - cpu_s) / (len(calls[name]) - before)
            cpu[name] = min(cpu[name], used)
    to_ms = 1000 / batch
    return {
        name: {
            "best_ms": min(taken) * to_ms,
            "median_ms": float(np.median(taken)) * to_ms,
            "cpu_ms": cpu[name] * to_ms,
        }
        for name, taken in calls.items()
    }


def markdown(document: dict) -> str:
    lines = [
        "# The runtimes",
        "",
        f"`python benchmarks/runtimes.py`, {', '.join(document['machine'][:2])} cores, "
        f"{document['weights']}. Milliseconds a picture; in brackets how many times quicker than "
        "torch fp32. Load: processes that wanted the cores, this one among them.",
        "",
        "| threads | batch | runtime | best call | median | processor time | load |",
        "|---:|---:|---|---:|---:|---:|---:|",
    ]
    for section in document["sections"]:
        for batch, row in section["rows"].items():
            for name, cost in row.items():
                cells = [
                    f"{cost[key]:.2f} ({row['torch fp32'][key] / cost[key]:.2f})"
                    for key in ("best_ms", "median_ms", "cpu_ms")
                ]
                start = f"| {section['threads']} | {batch} | {name}"
                lines.append(f"{start} | {' | '.join(cells)} | {section['load']:.0f} |")
    lines += [f"\nLeft out: {name}: {reason}" for name, reason in document["left_out"].items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
