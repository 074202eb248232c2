"""How fast the pipeline is beside its rivals and the machine's limits, all in one run.

    python benchmarks/speed.py [--data data/fights --weights yolo26n-cls.pt] [--only extraction]

Every row measures ours and its rival in turns. --data: a folder of short clips; by default the
demo's drawn ones. Writes benchmarks/results/speed.json and .md, with -cuda where a GPU is used.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it
sys.path.insert(0, str(Path(__file__).parent))

import torch
from rows import classify, extraction, live, scaling, sequence
from rows.turns import Row

from action_gru.core.machine import use_one_arena

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = read_options()
    use_one_arena()  # as the command line does
    with tempfile.TemporaryDirectory() as folder:
        clips = find_clips(options.data, Path(folder), options.clips)
        areas = plan(options, clips)
        rows: dict[str, list[Row]] = {}
        for name in options.only or areas:
            rows[name] = areas[name]()
            for row in rows[name]:
                print(line(row), flush=True)
    save(rows, options)


def plan(options: argparse.Namespace, clips: list[Path]) -> dict[str, Callable[[], list[Row]]]:
    weights, device, rounds = options.weights, options.device, options.rounds
    return {
        "extraction": lambda: [
            row
            for runtime in options.runtimes
            for row in extraction.rows(clips, weights, device, runtime, rounds)
        ],
        "classify": lambda: classify.rows(clips, weights, device, rounds),
        "sequence": lambda: sequence.rows(device, rounds),
        "live": lambda: live.rows(weights, options.seconds),
        "memory": lambda: scaling.memory(tuple(options.minutes)),
        "cache": lambda: [scaling.look_up(tuple(options.entries), rounds)],
    }


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of clips")
    parser.add_argument("--clips", type=int, default=40, help="of the folder, at most")
    parser.add_argument("--weights", default="builtin")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runtimes", nargs="+", default=["torch", "openvino"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the live video")
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10, 60])
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    names = ("extraction", "classify", "sequence", "live", "memory", "cache")
    parser.add_argument("--only", nargs="+", choices=names)
    return parser.parse_args()


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


def line(row: Row) -> str:
    values = ", ".join(f"{name} {figure(value)}" for name, value in row.values.items())
    ratio = "" if row.ratio is None else f"; {row.ratio:.2f} times {row.against}"
    wanted = "" if row.wanted is None else f" (goal {row.wanted:.2f})"
    return f"{row.name}: {values} {row.unit}{ratio}{wanted}"


def figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "bf16 units": bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "load before": round(os.getloadavg()[0], 1),
    }


def processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [part.split(":")[1].strip() for part in text.splitlines() if "model name" in part]
    return names[0] if names else platform.processor()


def save(rows: dict[str, list[Row]], options: argparse.Namespace) -> None:
    """Keep the figures; areas that were not measured this time keep their earlier ones."""
    name = "speed-cuda" if torch.cuda.is_available() and options.device != "cpu" else "speed"
    target = RESULTS / f"{name}.json"
    areas = json.loads(target.read_text(encoding="utf-8"))["areas"] if target.is_file() else {}
    what = {
        "machine": machine(),
        "weights": Path(options.weights).name,
        "clips": options.data.name if options.data else "drawn",
        "rounds": options.rounds,
    }
    areas |= {area: what | {"rows": [asdict(row) for row in found]} for area, found in rows.items()}
    RESULTS.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"areas": areas}, indent=1) + "\n", encoding="utf-8")
    target.with_suffix(".md").write_text(markdown(areas), encoding="utf-8")


def markdown(areas: dict[str, Any]) -> str:
    lines = ["# Speed", "", "Measured by `make bench`; ours and its rival in turns, medians.", ""]
    for name, area in areas.items():
        told = area["machine"]
        lines += [
            f"## {name.capitalize()}",
            "",
            f"{told['processor']}, {told['cores']} cores, "
            + (f"{told['gpu']}, " if told["gpu"] else "")
            + f"{'with' if told['bf16 units'] else 'without'} bf16 units; {area['weights']}, "
            f"{area['clips']} clips, {area['rounds']} rounds; load before: {told['load before']}.",
            "",
            "| what | measured | ratio | goal |",
            "|---|---|---:|---:|",
        ]
        for row in area["rows"]:
            values = ", ".join(f"{key}: {figure(value)}" for key, value in row["values"].items())
            ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
            wanted = "" if row["wanted"] is None else f"{row['wanted']:.2f}"
            notes = f" ({row['notes']})" if row["notes"] else ""
            lines.append(f"| {row['name']} | {values} {row['unit']}{notes} | {ratio} | {wanted} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
