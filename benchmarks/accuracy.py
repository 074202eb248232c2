"""The accuracy of the shipped configs on the real data sets, each by its own protocol.

    python benchmarks/accuracy.py --data data --weights yolo26n-cls.pt

DIR holds fights/, interactions/ and letters/, each with clips.csv (docs/data.md says how to get
them). Writes benchmarks/results/accuracy.json and .md: mean and spread over seeds, never the best.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

from action_gru.config import Config, load_config
from action_gru.core.progress import Reporter
from action_gru.evaluation.cross_validation import cross_validate
from action_gru.evaluation.evaluate import evaluate
from action_gru.training import train

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
# name -> folds of the grouped cross-validation; 0: train and test as the manifest's column says.
PROTOCOLS = {"fights": 5, "interactions": 10, "letters": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--weights", default="yolo26n-cls.pt")
    parser.add_argument("--cache", type=Path, default=ROOT / "cache" / "features")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=PROTOCOLS)
    parser.add_argument("overrides", nargs="*", metavar="a.b=value")
    options = parser.parse_args()
    rows = {}
    for name in [options.only] if options.only else PROTOCOLS:
        with tempfile.TemporaryDirectory() as folder:
            config = load_config(
                ROOT / "configs" / f"{name}.yaml",
                [
                    f"data.manifest={options.data / name / 'clips.csv'}",
                    f"features.weights={options.weights}",
                    f"features.cache_dir={options.cache}",
                    f"run.folder={folder}",
                    *options.overrides,
                ],
            )
            started = time.monotonic()
            rows[name] = measure(config, PROTOCOLS[name], options.seeds)
            rows[name]["minutes"] = round((time.monotonic() - started) / 60, 1)
        print(json.dumps({name: rows[name]}), flush=True)
    if not options.only and not options.overrides:
        save(rows, options.seeds)


def measure(config: Config, folds: int, seeds: int) -> dict[str, object]:
    """Top-1 of the model and of the mean-pooled baseline, per seed and in the mean."""
    reporter = Reporter(quiet=False)
    if folds:
        report, _ = cross_validate(config, folds, seeds, reporter)
        summary = json.loads(json.dumps(report.to_json()))
        keys = ("top1_mean", "top1_spread", "mean_pooled_top1_mean", "majority_top1_mean")
        protocol = f"grouped, {folds} folds"
        return {"protocol": protocol, "clips": summary.get("clips")} | {k: summary[k] for k in keys}
    scores, baselines, majorities = [], [], []
    for seed in range(config.training.seed, config.training.seed + seeds):
        settings = config.training.model_copy(update={"seed": seed})
        run = train(config.model_copy(update={"training": settings}), reporter)
        report, _ = evaluate(run, reporter)
        scores.append(report.metrics.top1)
        baselines.append(report.baselines["mean_pooled"])
        majorities.append(report.baselines["majority"])
    return {
        "protocol": "the manifest's test split",
        "clips": report.metrics.clips,
        "top1_mean": statistics.fmean(scores),
        "top1_spread": statistics.stdev(scores) if seeds > 1 else None,
        "mean_pooled_top1_mean": statistics.fmean(baselines),
        "majority_top1_mean": statistics.fmean(majorities),
    }


def save(rows: dict[str, dict[str, object]], seeds: int) -> None:
    """Keep the figures as JSON and as a Markdown table."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    document = {"seeds": seeds, "machine": machine, "rows": rows}
    (RESULTS / "accuracy.json").write_text(json.dumps(document, indent=1) + "\n")
    lines = [
        f"Mean and spread (standard deviation) over {seeds} seeds, by `make accuracy`.",
        "",
        "| data | protocol | model | mean-pooled | majority |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        spread = "" if row["top1_spread"] is None else f" ± {row['top1_spread']:.3f}"
        lines.append(
            f"| {name} | {row['protocol']} | {row['top1_mean']:.3f}{spread} | "
            f"{row['mean_pooled_top1_mean']:.3f} | {row['majority_top1_mean']:.3f} |"
        )
    (RESULTS / "accuracy.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
