"""Packed clips in the order of the shards against the manifest's: a disk that must be read.

    python benchmarks/reading_order.py [--clips 1500] [--rounds 3] [--folder DIR]

Clips of four streams of 60 x 1280. Before each turn the system forgets the shards. Prints a line a
round: seconds to read and check all clips, and how far the reads jumped in the files.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from action_gru.features import ClipFeatures, FeatureCache, cache_key, pack_entries

STREAMS = ("rgb", "motion", "rgb mirrored", "motion mirrored")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        clips = fill(folder, options.clips)
        ratios = []
        for number in range(options.rounds):
            orders = {"manifest": range(len(clips)), "shards": _in_shards(folder, clips)}
            names = ("manifest", "shards") if number % 2 else ("shards", "manifest")
            seconds = {name: read(folder, [clips[n] for n in orders[name]]) for name in names}
            jumps = {name: jumped_mb(folder, [clips[n] for n in orders[name]]) for name in names}
            ratios.append(seconds["manifest"] / seconds["shards"])
            told = [
                f"{name} {seconds[name]:.1f} s, jumps of {jumps[name]:.0f} MB" for name in names
            ]
            print(f"{'; '.join(told)}; ratio {ratios[-1]:.2f}", flush=True)
        print(f"median ratio {statistics.median(ratios):.2f}")


def fill(folder: Path, count: int) -> list[list[str]]:
    """The keys of each clip's streams."""
    cache, clips = FeatureCache(folder), []
    rng = np.random.default_rng(0)
    values = rng.standard_normal((60, 1280)).astype(np.float16)
    for number in range(count):
        keys = [cache_key({"clip": number, "stream": stream}) for stream in STREAMS]
        clips.append(keys)
        for key in keys:
            values[0, 0] = number % 1000
            cache.put(key, ClipFeatures(values, np.arange(60.0), 60, {"clip": f"{number}.mp4"}))
    pack_entries(cache, shard_bytes=1 << 28)
    os.sync()  # pages that are not written yet can't be forgotten
    return clips


def _in_shards(folder: Path, clips: Sequence[list[str]]) -> list[int]:
    return FeatureCache(folder).reading_order([keys[0] for keys in clips])


def read(folder: Path, clips: Sequence[list[str]]) -> float:
    for path in (folder / "shards").glob("*.shard"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    cache = FeatureCache(folder)
    began_s = time.perf_counter()
    assert all(cache.get(key) is not None for keys in clips for key in keys)
    return time.perf_counter() - began_s


def jumped_mb(folder: Path, clips: Sequence[list[str]]) -> float:
    """The sum of all distances between the end of one read and the begin of the next."""
    packs = FeatureCache(folder).packs
    found = [entry for keys in clips for key in keys if (entry := packs.find(key))]
    return (
        sum(
            abs(after.offset - before.offset - before.size)
            for before, after in itertools.pairwise(found)
            if before.shard == after.shard
        )
        / 1e6
    )


if __name__ == "__main__":
    main()
