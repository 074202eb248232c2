"""What each runtime needs for a picture, all in turns in one process.

python benchmarks/runtimes.py [WEIGHTS]: writes benchmarks/results/runtimes.json and runtimes.md.
The best round counts: a round is disturbed by whatever else runs, never helped by it.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from action_gru.backbone import Backbone
from action_gru.backbone.choosing import machine
from action_gru.errors import ActionGruError

RESULTS = Path(__file__).parent / "results"
WAYS = [
    ("torch", "fp32"), ("torch", "bf16"), ("onnx", "fp32"), ("openvino", "fp32"),
    ("openvino", "bf16"), ("tensorrt", "auto"),
]  # fmt: skip
BATCHES = (1, 2, 32)
ROUNDS, ROUND_S = 40, 0.15


def main() -> None:
    weights = sys.argv[1] if len(sys.argv) > 1 else "yolo26n-cls.pt"
    backbones, left_out = {}, {}
    for runtime, precision in WAYS:
        name = f"{runtime} {precision}"
        try:
            backbones[name] = Backbone(weights, precision=precision, device="cpu", runtime=runtime)
        except ActionGruError as error:
            left_out[name] = str(error)
    rows = {batch: take(backbones, batch) for batch in BATCHES}
    document = {
        "machine": machine(), "threads": torch.get_num_threads(), "load": os.getloadavg(),
        "weights": Path(weights).name, "rows": rows, "left_out": left_out,
    }  # fmt: skip
    (RESULTS / "runtimes.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / "runtimes.md").write_text(markdown(document))
    print(markdown(document))


def take(backbones: dict[str, Backbone], batch: int) -> dict[str, dict[str, float]]:
    """Milliseconds a picture of each: by the wall clock and of processor time."""
    images = list(np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), dtype=np.uint8))
    best = {name: {"wall_ms": np.inf, "cpu_ms": np.inf} for name in backbones}
    for _ in range(ROUNDS):
        for name, backbone in backbones.items():
            backbone(images)
            count, wall_s, cpu_s = 0, time.perf_counter(), time.process_time()
            while time.perf_counter() - wall_s < ROUND_S:
                backbone(images)
                count += batch
            costs = {
                "wall_ms": (time.perf_counter() - wall_s) / count * 1000,
                "cpu_ms": (time.process_time() - cpu_s) / count * 1000,
            }
            best[name] = {key: min(best[name][key], costs[key]) for key in costs}
    return best


def markdown(document: dict) -> str:
    lines = [
        f"{document['machine'][0]}, {document['threads']} threads; load of the machine "
        f"{document['load'][0]:.1f}; {document['weights']}. Milliseconds a picture, in brackets "
        "how many times quicker than torch fp32.",
        "",
        "| batch | runtime | wall clock | processor time |",
        "|---|---|---|---|",
    ]
    for batch, row in document["rows"].items():
        for name, cost in row.items():
            cells = [
                f"{cost[key]:.2f} ({row['torch fp32'][key] / cost[key]:.2f})"
                for key in ("wall_ms", "cpu_ms")
            ]
            lines.append(f"| {batch} | {name} | {' | '.join(cells)} |")
    lines += [f"\nLeft out: {name}: {reason}" for name, reason in document["left_out"].items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
