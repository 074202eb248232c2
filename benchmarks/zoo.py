"""Make a shipped model: measure its recipe by grouped cross-validation, train it on all clips.

    python benchmarks/zoo.py fights --data data

Writes NAME.safetensors and the figures of NAME.md into action_gru/weights/models. The other text of
a card is written by hand.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from action_gru.apps.models import RULE, read_card
from action_gru.config import Config, load_config
from action_gru.core.progress import Reporter
from action_gru.evaluation.cross_validation import (
    choosing_clips,
    fold_data,
    read_features,
    with_seed,
)
from action_gru.evaluation.evaluator import Evaluator
from action_gru.report.metrics import best_guess, group_bootstrap_interval
from action_gru.training import Checkpoint, load_checkpoint, save_checkpoint, train
from action_gru.training.calibrate import calibrate_model
from action_gru.training.data import TrainingData
from action_gru.training.document import SHIPPED
from action_gru.training.fit import fit_model

ROOT = Path(__file__).parents[1]
FOLDS = 5
# Laid over configs/NAME.yaml. Without a cell a head is a tenth as large, and no worse on fights.
RECIPES = {
    "fights": [
        "features.views=[motion,accel]",
        "model.cell=none",
        "model.pooling=mean",
        "model.projection_size=16",
        "events.background=[noFight]",
        "training.mean_pooled_baseline=false",
    ],
}
# What a config says of the machine that trained. Elsewhere the defaults are right.
OF_THE_MACHINE = {
    "run": ("folder",),
    "data": ("manifest", "root"),
    "features": ("cache_dir", "device", "runtime", "memory_gb", "weights"),
    "training": ("device",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="holds NAME/clips.csv")
    parser.add_argument("--weights", default="yolo26n-cls.pt")
    parser.add_argument("--cache", type=Path, default=ROOT / "cache" / "features")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    reporter = Reporter(quiet=False)
    with tempfile.TemporaryDirectory() as folder:
        overrides = [
            f"data.manifest={options.data / options.name / 'clips.csv'}",
            f"features.weights={options.weights}",
            f"features.cache_dir={options.cache}",
            f"run.folder={folder}",
            "data.split=none",
        ]
        path = ROOT / "configs" / f"{options.name}.yaml"
        config = load_config(path, [*RECIPES[options.name], *overrides])
        score = measure(config, options.seeds, reporter, Path(folder))
        checkpoint = load_checkpoint(train(config, reporter).best)
    target = SHIPPED / f"{options.name}.safetensors"
    save_checkpoint(shipped(checkpoint, score), target)
    write_figures(target.with_suffix(".md"), score, target.stat().st_size)


def measure(config: Config, seeds: int, reporter: Reporter, folder: Path) -> dict[str, Any]:
    """Scores of models that never saw a clip's group, calibrated as the shipped one is."""
    clips, classes = choosing_clips(config, FOLDS)
    data = read_features(config, clips, classes, reporter, folder)
    clips = list(data.split.train)
    truth = np.array([classes.index(clip.label) for clip in clips])
    groups = [clip.group for clip in clips]
    answers, is_sure = ask_held_out(config, data, seeds, reporter)
    right = answers == truth  # (seeds, N)
    wrong = right.mean(0) < 0.5
    worst, mistakes = Counter(np.array(groups)[wrong].tolist()).most_common(1)[0]
    return {
        "top1": float(right.mean()),
        "top1_interval": group_bootstrap_interval(right.mean(0), groups, 0),
        "top1_by_seed": right.mean(1).tolist(),
        "recall": {name: float(right[:, truth == c].mean()) for c, name in enumerate(classes)},
        "best_guess": best_guess(truth.tolist()),
        "sure": float(is_sure.mean()),
        "right_where_sure": float(right[0][is_sure].mean()),
        "protocol": f"{FOLDS} folds by source, mean of {seeds} seeds",
        "clips": len(clips),
        "groups": len(set(groups)),
        "mistakes": int(wrong.sum()),
        "worst_group": {"clips": groups.count(worst), "mistakes": mistakes},
    }


def ask_held_out(
    config: Config, data: TrainingData, seeds: int, reporter: Reporter
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The class that each seed's model gives each clip of a group it never saw (seeds, N), and
    whether the first seed's model, calibrated, is sure of it (N,).
    """
    answers = np.zeros((seeds, len(data.split.train)), np.int64)
    is_sure = np.zeros(len(data.split.train), bool)
    for seed in range(seeds):
        own = with_seed(config, seed)
        for held, part in fold_data(data, FOLDS, seed, reporter, f"seed {seed}"):
            model, test = fit_model(own, part, reporter), part.sequences("test")
            assert test is not None
            # Three further models a fold: one seed says enough.
            found = calibrate_model(own, part, model, reporter) if seed == 0 else None
            model.temperature = found.temperature if found else 1.0
            top = Evaluator(model, own, data.classes, own.sampling.max_frames).predict(test).max(1)
            answers[seed, held] = top.indices.numpy()
            if found is not None:
                is_sure[held] = top.values.numpy() >= found.threshold(own.calibration.precision)
    return answers, is_sure


def shipped(checkpoint: Checkpoint, score: dict[str, Any]) -> Checkpoint:
    """The same model with its score, and without what is of one machine."""
    tree, usual = checkpoint.config, Config().to_tree()
    own = {
        section: {**tree[section], **{key: usual[section][key] for key in keys}}
        for section, keys in OF_THE_MACHINE.items()
    }
    weights = usual["features"]["weights"]
    # The official file has other bytes where a copy was used here, and the same values.
    specs = tuple(replace(s, weights=weights, file_sha256="") for s in checkpoint.features)
    data = {**checkpoint.data, "score": score}
    return replace(checkpoint, config={**tree, **own}, features=specs, data=data)


def write_figures(card: Path, score: dict[str, Any], size: int) -> None:
    """Put the figures into the front matter of a card and into its section Figures."""
    front, text = read_card(card)
    front["model-index"][0]["results"][0]["metrics"] = [
        {"type": "accuracy", "value": round(score["top1"], 3), "name": score["protocol"]}
    ]
    text = re.sub(r"(?<=## Figures\n\n).*?(?=\n## )", figures_text(score, size), text, flags=re.S)
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=100)
    card.write_text(f"{RULE}{head}{RULE}{text}", encoding="utf-8")


def figures_text(score: dict[str, Any], size: int) -> str:
    low, high = score["top1_interval"]
    worst = score["worst_group"]
    seeds = ", ".join(f"{value:.3f}" for value in score["top1_by_seed"])
    rows = {
        f"top-1 ({score['protocol']})": f"**{score['top1']:.3f}**",
        "95% interval over sources": f"{low:.3f} to {high:.3f}",
        "each seed": seeds,
        **{f"of the clips of {name}": f"{part:.3f}" for name, part in score["recall"].items()},
        "always the most frequent class": f"{score['best_guess']:.3f}",
        "answers that are not `unsure` (first seed)": f"{score['sure']:.3f}",
        "of these right": f"{score['right_where_sure']:.3f}",
    }
    return (
        "| figure | value |\n|---|---|\n"
        + "".join(f"| {name} | {value} |\n" for name, value in rows.items())
        + f"\n{score['clips']} clips of {score['groups']} sources; models trained without its "
        f"source answered each clip. {score['mistakes']} clips are wrong with most seeds, "
        f"{worst['mistakes']} of them among the {worst['clips']} of one source. The file has "
        f"{size / 1000:.0f} kB.\n"
    )


if __name__ == "__main__":
    main()
