"""What the Ray engine costs on one node: the same clips by the local engine and by it, in turns.

    OMP_NUM_THREADS=1 python benchmarks/cluster.py [--clips 400] [--rounds 6]

Both have one thread for the network and a process that decodes. The Ray engine's clock starts when
its worker is ready; starting Ray and loading the backbone is told apart. Prints one JSON line a
round and the median ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from action_gru.config import Config, build_config
from action_gru.core.machine import use_one_arena
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.features import FeatureCache, extract_on_cluster
from action_gru.features.source import build_backbone, build_extractor, make_extractor
from action_gru.video import VideoWriter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    use_one_arena()  # as the command does
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [draw(folder / f"{index}.mp4", index) for index in range(options.clips)]
        ratios = [compare(folder, clips, number) for number in range(options.rounds)]
    print(f"median ratio of throughput, ray to local: {statistics.median(ratios):.3f}")


def draw(path: Path, seed: int) -> Clip:
    """A clip of two seconds of noise, 160 x 120."""
    rng = np.random.default_rng(seed)
    with VideoWriter(path, (160, 120), 12.0) as writer:
        for _ in range(24):
            writer.write(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    return Clip(path, path.name, "x", path.name, "", None, None)


def compare(folder: Path, clips: list[Clip], number: int) -> float:
    """Ray's throughput as a share of the local engine's; each goes first in every other round."""
    seconds: dict[str, float] = {}
    for engine in (_local, _ray) if number % 2 else (_ray, _local):
        seconds |= engine(folder / f"{engine.__name__}{number}", clips)
    ratio = seconds["local_s"] / seconds["ray_s"]
    row = {"clips": len(clips)} | seconds | {"ratio": ratio}
    print(json.dumps({key: round(value, 3) for key, value in row.items()}), flush=True)
    return ratio


def _config(cache: Path) -> Config:
    features = {"weights": "builtin", "views": ["rgb"], "workers": 1, "cache_dir": str(cache)}
    return build_config({"features": features})


def _local(cache: Path, clips: list[Clip]) -> dict[str, float]:
    config = _config(cache)
    work = build_extractor(config, build_backbone(config), FeatureCache(cache))
    begun = time.perf_counter()
    work.extract(clips)
    return {"local_s": time.perf_counter() - begun}


def _ray(cache: Path, clips: list[Clip]) -> dict[str, float]:
    begun = time.perf_counter()
    found = extract_on_cluster(
        make_extractor, _config(cache).to_tree(), clips, Reporter(), most_workers=1, cores_each=1
    )
    whole_s = time.perf_counter() - begun
    return {"ray_s": found.seconds, "ray_start_s": whole_s - found.seconds}


if __name__ == "__main__":
    main()
