"""What each runtime of this machine needs for a picture, alone and in a full batch."""

from __future__ import annotations

import numpy as np

from action_gru.backbone import Backbone
from action_gru.core.errors import ActionGruError
from rows.results import instruction_set
from rows.turns import Row, in_turns, medians

WAYS = [
    ("torch", "fp32"), ("torch", "bf16"), ("onnx", "fp32"), ("openvino", "fp32"),
    ("openvino", "bf16"), ("tensorrt", "auto"),
]  # fmt: skip
CALLS = {1: 64, 32: 2}  # pictures at once: calls a round


def rows(weights: str, device: str, rounds: int) -> list[Row]:
    """The one that `auto` takes, then all others that run here, against torch in fp32."""
    usual = Backbone(weights, device=device, runtime="auto")
    backbones = {f"{usual.runtime} {usual.precision}, as shipped": usual}
    left_out = []
    for runtime, precision in WAYS:
        if precision == "bf16" and instruction_set() == "avx2":
            continue  # runs, without units: many times slower
        try:
            backbone = Backbone(weights, device=device, runtime=runtime, precision=precision)
        except ActionGruError:
            left_out.append(f"{runtime} {precision}")
            continue
        backbones[f"{runtime} {precision}"] = backbone
    notes = f"not here: {', '.join(left_out)}" if left_out else ""
    return [_row(backbones, batch, calls, rounds, notes) for batch, calls in CALLS.items()]


def _row(backbones: dict[str, Backbone], batch: int, calls: int, rounds: int, notes: str) -> Row:
    side = next(iter(backbones.values())).image_size
    images = list(np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8))

    def repeat(backbone: Backbone) -> None:
        for _ in range(calls):
            backbone(images)

    tasks = {name: lambda b=backbone: repeat(b) for name, backbone in backbones.items()}
    seconds = in_turns(tasks, rounds)
    each_ms = {name: 1000 * s / (calls * batch) for name, s in medians(seconds).items()}
    row = Row(
        f"a picture of {side} pixels, {batch} at once",
        "ms",
        each_ms,
        against="torch fp32",
        notes=notes,
    )
    return row.paired(seconds, next(iter(backbones)), "torch fp32")
