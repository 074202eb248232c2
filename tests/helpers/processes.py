"""What only a process of its own can tell: others' garbage moves the size of a shared one."""

import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from statistics import median
from typing import TypeVar

import psutil

T = TypeVar("T")


def alone(work: Callable[..., T], *arguments: object) -> T:
    """What a function of a module gives in a fresh process that does nothing else."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def resident_bytes() -> int:
    """Of this process, without garbage."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def steady_growth(sizes: list[int]) -> int:
    """By how much sizes grow from the first to the last, but for a step that comes once.

    What leaks grows from each to the next; a heap that settles takes a step and rests.
    """
    return int(median(after - before for before, after in pairwise(sizes)) * (len(sizes) - 1))
