"""Which runtime is quickest on this machine: measured once, then remembered in a file.

Layout: HOME/networks/KEY.choice.json with the runtime and the milliseconds a picture of each. KEY
is a hash of the machine, the network, the batch, the threads and the runtimes installed. Once
written, a choice stands: a runtime that flipped with the load of the machine would send every
cached feature to a new key.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from action_gru.backbone.runtimes import RUNTIMES, Runner
from action_gru.core.errors import CacheError
from action_gru.core.files import write_or_raise

# PyTorch is always there and shares its cache with every machine: it is left for a clear gain only.
CLEAR_GAIN = 1.2
ROUNDS = 5
ROUND_S = 0.1


def candidates(device: torch.device, precision: str) -> list[str]:
    """torch, and what is installed, runs on the device and has the precision."""
    return ["torch"] + [
        name
        for name, runtime in RUNTIMES.items()
        if runtime.missing() is None
        and device.type in runtime.devices
        and precision in ("auto", *runtime.precisions)
    ]


def choose(path: Path, names: list[str], take_times: Callable[[], dict[str, float]]) -> str:
    """The remembered choice, or a new one. take_times: milliseconds a picture of each name."""
    remembered = _read(path)
    if remembered in names:
        return remembered
    if len(names) == 1:
        return names[0]
    costs_ms = take_times()
    chosen = quickest(costs_ms)
    document = {"runtime": chosen, "ms_per_picture": costs_ms}
    write_or_raise(
        path,
        json.dumps(document, indent=1).encode(),
        CacheError,
        "the choice of a runtime cannot be kept",
        "name one in features.runtime, or set ACTION_GRU_HOME to a folder you may write",
    )
    return chosen


def quickest(costs_ms: Mapping[str, float]) -> str:
    """torch, unless another is clearly quicker."""
    best = min(costs_ms, key=lambda name: costs_ms[name])
    return best if costs_ms["torch"] > CLEAR_GAIN * costs_ms[best] else "torch"


def measure(runners: Mapping[str, Runner], shape: tuple[int, ...]) -> dict[str, float]:
    """Milliseconds a picture of each, in turns; the best round counts, as others are disturbed.

    shape: (N, S, S, 3) of the batches to come.
    """
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    weight = np.full(shape[:3], 255, np.uint8)
    best = dict.fromkeys(runners, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runners.items():
            run(pixels, weight)
            count, started_s = 0, time.perf_counter()
            while time.perf_counter() - started_s < ROUND_S:
                run(pixels, weight)
                count += 1
            cost = (time.perf_counter() - started_s) / count / shape[0] * 1000
            best[name] = min(best[name], round(cost, 4))
    return best


def choice_key(network_key: str, **parts: Any) -> str:
    """A hash over what a choice depends on, in hex."""
    document = json.dumps([machine(), network_key, parts], sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()[:32]


def machine() -> list[str]:
    """What makes one machine's timings another's: its processor, cores and GPU."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return [_processor(), str(os.cpu_count()), gpu]


def _processor() -> str:
    """Its model: Linux says it in a file alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _read(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["runtime"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
