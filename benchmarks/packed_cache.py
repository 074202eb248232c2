"""A million small entries in shards: packing, look-up, iteration, verifying; time and memory.

    python benchmarks/packed_cache.py [--entries 1000000] [--folder DIR]

Entries of 4 x 16 are written as files a hundred thousand at a time and packed, as a growing cache
would be. Each measurement runs in a process of its own, which tells its largest memory. The files
were just written, so that the system still holds most of them in memory. Prints one JSON line a
measurement.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from action_gru.features import ClipFeatures, FeatureCache, cache_key, pack_entries
from action_gru.features.entry import entry_pieces, parse_entry

ROUND = 100_000
LOOKED_UP = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--step", choices=STEPS)
    options = parser.parse_args()
    if options.step:
        begun = time.perf_counter()
        figures = STEPS[options.step](options.folder, options.entries)
        figures["seconds"] = figures.get("seconds", time.perf_counter() - begun)
        figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rounded = {key: round(value, 3) for key, value in figures.items()}
        print(json.dumps({"step": options.step} | rounded), flush=True)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for step in STEPS:
            arguments = ["--step", step, "--entries", str(options.entries), "--folder", name]
            subprocess.run([sys.executable, __file__, *arguments], check=True)


def key_of(number: int) -> str:
    return cache_key({"number": number})


def fill(folder: Path, entries: int) -> dict[str, float]:
    """Files, then shards, a round at a time; the seconds are those of packing alone."""
    cache, packing_s, last_s = FeatureCache(folder), 0.0, 0.0
    values, times_s = np.ones((4, 16), np.float16), np.arange(4.0)
    for first in range(0, entries, ROUND):
        for number in range(first, min(entries, first + ROUND)):
            values[0, 0] = number % 1000
            path = cache.path_of(key_of(number))
            path.parent.mkdir(exist_ok=True)
            # Without the sync that the cache itself makes: it is not what is measured.
            entry = ClipFeatures(values, times_s, 4, {"number": number})
            path.write_bytes(b"".join(entry_pieces(entry)))
        begun = time.perf_counter()
        pack_entries(cache)
        last_s = time.perf_counter() - begun
        packing_s += last_s
    stats = cache.stats()
    assert stats["packed"] == stats["entries"] == entries
    index = folder / "shards" / "index.safetensors"
    return {
        "seconds": packing_s,
        "last_round_s": last_s,
        "bytes": float(stats["bytes"]),
        "index_bytes": float(index.stat().st_size),
    }


def open_index(folder: Path, entries: int) -> dict[str, float]:
    """From nothing to the first entry."""
    assert FeatureCache(folder).get(key_of(entries // 2)) is not None
    return {}


def find(folder: Path, entries: int) -> dict[str, float]:
    """Where entries lie, at random."""
    cache = FeatureCache(folder)
    keys = _picked(entries)
    begun = time.perf_counter()
    assert all(cache.packs.find(key) for key in keys)
    each = (time.perf_counter() - begun) / len(keys)
    return {"each_us": each * 1e6}


def get(folder: Path, entries: int) -> dict[str, float]:
    """Entries at random, read and checked."""
    cache = FeatureCache(folder)
    keys = _picked(entries)
    begun = time.perf_counter()
    assert all(cache.get(key) is not None for key in keys)
    each = (time.perf_counter() - begun) / len(keys)
    return {"each_us": each * 1e6}


def miss(folder: Path, entries: int) -> dict[str, float]:
    """Keys that are not there."""
    cache = FeatureCache(folder)
    keys = [cache_key({"absent": number}) for number in range(LOOKED_UP)]
    begun = time.perf_counter()
    assert not any(cache.has(key) for key in keys)
    each = (time.perf_counter() - begun) / len(keys)
    return {"each_us": each * 1e6}


def iterate(folder: Path, entries: int) -> dict[str, float]:
    """All entries in the order of the shards, read and checked."""
    found = sum(
        len(parse_entry(data, "entry").times_s) == 4
        for _, data in FeatureCache(folder).packs.entries([])
    )
    assert found == entries
    return {}


def verify(folder: Path, entries: int) -> dict[str, float]:
    assert FeatureCache(folder).verify() == []
    return {}


def _picked(entries: int) -> list[str]:
    numbers = random.Random(0).sample(range(entries), min(entries, LOOKED_UP))
    return [key_of(number) for number in numbers]


STEPS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "fill": fill,
    "open": open_index,
    "find": find,
    "get": get,
    "miss": miss,
    "iterate": iterate,
    "verify": verify,
}

if __name__ == "__main__":
    main()
