import json

import pytest
from helpers import ROOT
from helpers.videos import write_square

from action_gru.apps.demo import run_demo
from action_gru.config import build_config, load_config
from action_gru.core.errors import DataError
from action_gru.core.progress import Reporter
from action_gru.demo import DEMO_CONFIG
from action_gru.demo.actions import REVERSED_PAIRS
from action_gru.training import RunFolder, train
from action_gru.video import VideoFile


@pytest.mark.slow
def test_the_demo_knows_order_where_a_mean_does_not(tmp_path):
    """The whole demo, as `make demo` runs it, and the figures that it promises."""
    screen = run_demo(tmp_path, Reporter(quiet=True))
    rows = [line.split() for line in screen.splitlines() if line.startswith(("  GRU", "  mean"))]
    both, _, rgb, mean_rgb = [[float(row[-2]), float(row[-1])] for row in rows]
    assert both[0] >= 0.95
    assert both[1] >= 0.95
    assert rgb[1] >= 0.90
    assert mean_rgb[1] <= 0.65
    assert float(screen.split("F1@50 ")[1].split(",")[0]) >= 0.9
    report = tmp_path / "runs" / "demo-rgb" / "evaluation" / "test" / "report.json"
    order = json.loads(report.read_text("utf-8"))["order"]
    needy = {row["label"] for row in order["classes"] if row["verdict"] == "needs order"}
    assert needy == {label for pair in REVERSED_PAIRS for label in pair}  # all, and no other
    run = RunFolder.open(tmp_path / "runs" / "demo")
    assert (run.path / "annotated.png").stat().st_size > 10_000
    with VideoFile(run.path / "annotated.mp4") as video:
        assert len(list(video)) == 48
    assert "stand_up" in screen.split("The fresh clip, stand_up: ")[1].split(" ")[0]


def test_the_demo_never_removes_a_run_on_other_data(tmp_path):
    for index in range(4):
        label = "ab"[index % 2]
        write_square(tmp_path / f"{label}{index}.mp4", 4, seed=index)
    (tmp_path / "m.csv").write_text("path,label\na0.mp4,a\nb1.mp4,b\na2.mp4,a\nb3.mp4,b\n")
    tree = {
        "run": {"name": "demo", "folder": str(tmp_path / "runs")},
        "data": {"manifest": str(tmp_path / "m.csv"), "split": "none"},
        "features": {"weights": "builtin", "image_size": 32, "cache_dir": str(tmp_path / "cache")},
        "training": {"epochs": 1, "mean_pooled_baseline": False},
    }
    run = train(build_config(tree), Reporter(quiet=True))
    from action_gru.apps import demo

    placed = build_config(tree, [f"data.manifest={tmp_path / 'data' / 'demo' / 'manifest.csv'}"])
    with pytest.raises(DataError, match="is a run on other data; move it away"):
        demo._clear(run.path, placed)
    assert run.best.is_file()


def test_the_shipped_config_is_the_demos():
    assert load_config(ROOT / "configs" / "demo.yaml") == build_config(DEMO_CONFIG)
