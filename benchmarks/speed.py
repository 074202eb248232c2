"""How fast the pipeline is beside its rivals, the machine's limits, its goals and the last time.

    python benchmarks/speed.py [--data data/fights --weights yolo26n-cls.pt] [--only extraction]

Every row measures ours and its rival in turns. --data: a folder of short clips; by default the
demo's drawn ones. Writes speed-KIND.json and .md of this kind of machine into benchmarks/results,
and names each row that got worse by more than 10 % since they were written last. --quick: the rows
of the goals only, in about ten minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it
sys.path.insert(0, str(Path(__file__).parent))

from rows import classify, commands, extraction, live, runtimes, scaling, sequence
from rows.results import RESULTS, Results, kind_of_machine, line, measured
from rows.turns import OthersShare, Row

from action_gru.core.machine import use_one_arena

# What decides the figures of an area, and so what two results must share to be compared.
SETTINGS = {
    "extraction": ("weights", "data", "clips"),
    "shipped": ("weights", "data", "clips", "against"),
    "classify": ("weights", "data"),
    "live": ("weights", "seconds", "minutes"),
    "people": ("weights", "detector", "people", "data", "clips"),
    "demo": (),
    "training": ("weights", "data"),
    "runtimes": ("weights",),
    "sequence": (),
    "cache": ("entries",),
    "memory": ("lengths",),
    "tests": (),
}
NEEDS = {"shipped": "against", "people": "detector", "training": "data"}
QUICK = ("extraction", "shipped", "classify", "live", "people", "demo", "training")


def main() -> None:
    options = read_options()
    use_one_arena()  # as the command line does
    results = Results(kind_of_machine(options.device), options.out)
    with tempfile.TemporaryDirectory() as folder:
        clips = find_clips(options.data, Path(folder), options.clips)
        areas = plan(options, clips)
        for name in chosen(options):
            with OthersShare() as others:
                rows = areas[name]()
            settings = {key: told(options, key) for key in SETTINGS[name]}
            area = measured(rows, settings, others.share)
            results.add(name, area)
            results.save()  # a later area may fail, or be broken off
            for row in area["rows"]:
                print(line(row, results.kind), flush=True)
            for sentence in area["not compared"]:
                print(f"{name}, not compared: {sentence}", flush=True)
            for sentence in area["worse"]:
                print(f"WORSE since {area['since']}: {sentence}", file=sys.stderr, flush=True)
            options.worse |= bool(area["worse"])
    print(f"written: {results.path.with_suffix('.md')}")
    if options.worse and options.fail_on_worse:
        raise SystemExit(1)


def plan(options: argparse.Namespace, clips: list[Path]) -> dict[str, Callable[[], list[Row]]]:
    weights, device, rounds = options.weights, options.device, options.rounds
    return {
        "extraction": lambda: [
            row
            for runtime in options.runtimes
            for row in extraction.rows(clips, weights, device, runtime, rounds)
        ],
        "shipped": lambda: [commands.shipped(clips, weights, device, options.against, rounds)],
        "classify": lambda: classify.rows(clips, weights, device, rounds),
        "live": lambda: live.rows(weights, options.seconds, options.minutes),
        "people": lambda: [
            commands.people(
                weights, options.detector, options.people, clips if options.data else None
            )
        ],
        "demo": lambda: [commands.demo()],
        "training": lambda: [commands.training(options.data, weights)],
        "runtimes": lambda: runtimes.rows(weights, device, rounds),
        "sequence": lambda: sequence.rows(device, rounds),
        "cache": lambda: [scaling.look_up(tuple(options.entries), rounds)],
        "memory": lambda: scaling.memory(tuple(options.lengths)),
        "tests": lambda: [commands.fast_tests()],
    }


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of clips, for training with clips.csv")
    parser.add_argument("--clips", type=int, help="of the folder, at most (40; --quick: 8)")
    parser.add_argument("--weights", default="builtin")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runtimes", nargs="+", help="default: auto and torch; --quick: auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--detector", type=Path, help="for the row of --per-person")
    parser.add_argument("--people", type=Path, help="its video; else of the clips, or drawn")
    parser.add_argument("--against", type=Path, help="another checkout, timed in turns with this")
    parser.add_argument("--seconds", type=float, help="of the live video (30; --quick: 15)")
    parser.add_argument("--minutes", type=float, help="of the long video (10; --quick: 0.5)")
    lengths = {"type": int, "nargs": "+", "default": [1, 10, 60]}
    parser.add_argument("--lengths", **lengths, help="minutes, of the videos of the memory rows")
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--only", nargs="+", choices=SETTINGS)
    parser.add_argument("--quick", action="store_true", help="fewer clips, the rows of the goals")
    parser.add_argument("--fail-on-worse", action="store_true", help="exit with 1 if one is named")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    quick = {"clips": 8, "runtimes": ["auto"], "seconds": 15.0, "minutes": 0.5}
    whole = {"clips": 40, "runtimes": ["auto", "torch"], "seconds": 30.0, "minutes": 10.0}
    for name, value in (quick if options.quick else whole).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if Path(options.weights).is_file():  # commands run in folders of their own
        options.weights = str(Path(options.weights).absolute())
    options.worse = False
    return options


def chosen(options: argparse.Namespace) -> list[str]:
    """The areas to measure: without the tests' unless named, and without those that lack a word."""
    names = options.only or (QUICK if options.quick else [n for n in SETTINGS if n != "tests"])
    lacking = {name: NEEDS[name] for name in names if name in NEEDS and not has(options, name)}
    for name, need in lacking.items():
        print(f"{name}: left out, needs --{need}", flush=True)
    return [name for name in names if name not in lacking]


def has(options: argparse.Namespace, area: str) -> bool:
    given = getattr(options, NEEDS[area])
    return given is not None and (area != "training" or (given / "clips.csv").is_file())


def told(options: argparse.Namespace, key: str) -> Any:
    """An option's value for the results: files by their names."""
    value = getattr(options, key)
    if value is None:
        return "joined clips" if key == "people" and options.data else "drawn"
    return (
        Path(value).name if key in ("weights", "data", "detector", "people", "against") else value
    )


def find_clips(folder: Path | None, scratch: Path, most: int) -> list[Path]:
    """Clips spread over a folder, or drawn ones."""
    if folder is None:
        from action_gru.demo.dataset import write_demo_dataset

        write_demo_dataset(scratch / "demo", clips_per_class=3, long_videos=0)
        folder = scratch / "demo"
    found = sorted(path for path in folder.rglob("*") if path.suffix in {".mp4", ".avi"})
    if not found:
        raise SystemExit(f"{folder}: holds no .mp4 or .avi; name another folder with --data")
    return found[:: max(1, len(found) // most)][:most]


if __name__ == "__main__":
    main()
