"""Tables of machines and engines that run down, and configs that read them."""

from pathlib import Path

import numpy as np

from action_gru.config import build_config

SMALL = {
    "model": {"projection_size": 16, "hidden_size": 16, "dropout": 0.0, "head_dropout": 0.0},
    "training": {
        "epochs": 12, "batch_size": 8, "learning_rate": 0.02, "device": "cpu",
        "mean_pooled_baseline": False,
    },
}  # fmt: skip


def machines(test_shift: float = 0.0, empty: bool = False) -> str:
    """12 machines that heat up, or do not; the last four are the test, with missing values."""
    rng = np.random.default_rng(0)
    rows = ["id,time,heat,hum,label,split"]
    for number in range(12):
        is_test = number >= 8
        for step in range(8 + number % 3):
            heat = 1000 + 0.05 * step * (number % 2) + 0.01 * rng.normal() + test_shift * is_test
            hum = "" if empty or (step == 2 and number in (0, 9)) else f"{rng.normal():.4f}"
            label = "warming" if number % 2 else "steady"
            split = "test" if is_test else "train"
            rows.append(f"m{number},{step},{heat:.4f},{hum},{label},{split}")
    return "\n".join(rows) + "\n"


def engines() -> str:
    """10 engines that run down; the last three are stopped before: 2, 40 and 3 cycles left."""
    rng = np.random.default_rng(1)
    rows = ["id,time,split,remaining,wear,noise"]
    for number, left in enumerate([0] * 7 + [2, 40, 3]):
        life = 30 + 2 * number
        for cycle in range(life):
            remaining = life - 1 - cycle + left
            wear = max(0.0, 10 - remaining) + 0.3 * rng.normal()
            split = "train" if number < 7 else "test"
            rows.append(f"e{number},{cycle},{split},{remaining},{wear:.3f},{rng.normal():.3f}")
    return "\n".join(rows) + "\n"


def table_config(folder: Path, name: str, text: str, **sections):
    (folder / f"{name}.csv").write_text(text)
    tree = {
        "run": {"folder": str(folder / "runs"), "name": name},
        "data": {"kind": "table", "manifest": str(folder / f"{name}.csv")},
        **SMALL,
    }
    for key, values in sections.items():
        tree[key] = {**tree.get(key, {}), **values}
    return build_config(tree)
