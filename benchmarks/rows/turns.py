"""Measures two or more things in turns in one process, so that a busy machine meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from action_gru.features.extractor import usable_cores


@dataclass
class Row:
    """One line of the table. values: what was measured, the first is ours; unit: of the values.

    ratio: ours to the rival that `against` names, such that more is better. wanted: the least
    ratio that we set ourselves, None where there is none.
    """

    name: str
    unit: str
    values: dict[str, float]
    ratio: float | None = None
    against: str = ""
    wanted: float | None = None
    notes: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def in_turns(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each task, once a round, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
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


def paired_ratio(seconds: Mapping[str, list[float]], ours: str, rival: str) -> float:
    """How many times as quick ours is: the median over the rounds of rival / ours."""
    pairs = zip(seconds[rival], seconds[ours], strict=True)
    return statistics.median(theirs / mine for theirs, mine in pairs)
