"""Measures two or more things in turns, so that a busy machine meets all alike; rows and goals."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from action_gru.features.extractor import usable_cores

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Goal:
    """What a row is to reach on a machine with AVX2 only, and on one with bf16 units.

    Of the ratio, at least; at_most: of the first value, at most.
    """

    avx2: float
    bf16: float
    at_most: bool = False


@dataclass
class Row:
    """One line of the table. values: what was measured, the first is ours; unit: of the values.

    ratio: ours to the rival that `against` names, such that more is better; without one, less of
    the first value is better. spread: the least and the largest ratio of the rounds.
    """

    name: str
    unit: str
    values: dict[str, float]
    ratio: float | None = None
    against: str = ""
    goal: Goal | None = None
    notes: str = ""
    spread: tuple[float, float] | None = None

    def paired(self, seconds: Mapping[str, Sequence[float]], ours: str, rival: str) -> Row:
        """With the ratio of two things that were measured in turns: the median over the rounds."""
        pairs = zip(seconds[rival], seconds[ours], strict=True)
        ratios = [theirs / mine for theirs, mine in pairs]
        self.ratio, self.spread = statistics.median(ratios), (min(ratios), max(ratios))
        return self


def in_turns(
    tasks: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: Callable[[], object] | None = None,
) -> dict[str, list[float]]:
    """Seconds of each task, once a round; before that warm_up, or a round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        if number == 0 and warm_up is not None:
            warm_up()
            continue
        for name, task in tasks.items():
            # Ultralytics' predictor leaves torch with one thread less than there are processors.
            torch.set_num_threads(usable_cores())
            began_s = time.perf_counter()
            task()
            if number:
                seconds[name].append(time.perf_counter() - began_s)
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in seconds.items()}


def shell(command: Sequence[str | Path], folder: Path, checkout: Path = ROOT) -> str:
    """What a command prints that runs in a folder with the package of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed: {done.stderr[-2000:]}")
    return done.stdout


class OthersShare:
    """How much of the processors' time others took while a block ran: `share`, 0 to 1."""

    share = 0.0

    def __enter__(self) -> OthersShare:
        self._before = _spent()
        return self

    def __exit__(self, *_: object) -> None:
        ours_s, busy_s, all_s = (b - a for a, b in zip(self._before, _spent(), strict=True))
        self.share = min(1.0, max(0.0, (busy_s - ours_s) / max(all_s, 1e-9)))


def _spent() -> tuple[float, float, float]:
    """Processor seconds of this program and all that it started, of all programs, and in all."""
    ours_s = 0.0
    this = psutil.Process()
    for process in [this, *this.children(recursive=True)]:
        try:
            ours_s += sum(process.cpu_times()[:4])  # its own, and of its children that have ended
        except psutil.NoSuchProcess:
            continue  # ended since: its parent's time has it
    times = psutil.cpu_times()
    # Linux counts a guest's time as user time, too.
    all_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return ours_s, all_s - times.idle - getattr(times, "iowait", 0.0), all_s
