"""A plan's arithmetic on literals, and real measurements."""

import json
import re

import pytest
from helpers.videos import write_square
from typer.testing import CliRunner

from action_gru.cli import plan
from action_gru.cli.commands import app
from action_gru.cli.plan import estimate, measure_machine
from action_gru.config import build_config
from action_gru.core.errors import ConfigError
from action_gru.core.progress import Reporter

MEASURED = {"video_rate": 20.0, "source_rate": 100_000.0, "cache_rate": 41_000.0}
MEASURED |= {"entries": 2.0, "step_rate": 10.0, "clips": 16}
ASSUMED = {"efficiency": 0.9, "bandwidth_gbit": 10.0, "store_gbit": 100.0}
ASSUMED |= {"writes_per_s": 3500.0, "node_hour": 1.0}


def estimated(clips, seconds=10.0, nodes=1, epochs=1, min_steps=0, **assumed):
    work = {"clips": clips, "seconds": seconds, "nodes": nodes, "batch_size": 32}
    work |= {"epochs": epochs, "min_steps": min_steps}
    return estimate(MEASURED, work, ASSUMED | assumed)


def test_hours_bytes_and_cost_follow_from_the_measurement():
    # 1000 clips of 10 s: 10,000 s of video at 20 x 0.5 a second are 1000 s on one node.
    found = estimated(1000, epochs=4, efficiency=0.5, node_hour=3.0)
    assert found["limit"] == "compute"
    assert found["extraction_hours"] == pytest.approx(1000 / 3600)
    assert found["cost"] == pytest.approx(3 * 1000 / 3600)
    assert found["source_bytes"] == 1_000_000_000
    assert found["cache_bytes"] == 410_000_000
    assert (found["entries"], found["index_bytes"]) == (2000, 128_000)
    assert found["training_hours"] == pytest.approx(4 * 32 / 10 / 3600)
    # 100 steps in epochs of 32 take 4 epochs
    assert estimated(1000, epochs=2, min_steps=100)["training_hours"] == found["training_hours"]


def test_more_nodes_cost_the_same_until_the_store_is_the_limit():
    one, ten, many = (estimated(10**6, nodes=nodes) for nodes in (1, 10, 100_000))
    assert ten["extraction_hours"] == pytest.approx(one["extraction_hours"] / 10)
    assert ten["cost"] == pytest.approx(one["cost"])
    assert many["limit"] == "writes of the store"  # 2,000,000 at 3500 a second
    assert many["extraction_hours"] == pytest.approx(2e6 / 3500 / 3600)


@pytest.mark.parametrize(
    ("slow", "limit"),
    [
        ({"bandwidth_gbit": 0.001}, "network of a node"),
        ({"store_gbit": 0.001}, "bandwidth of the store"),
    ],
)
def test_the_slowest_resource_sets_the_pace(slow, limit):
    found = estimated(1000, **slow)
    gigabits = (1e9 + 0.41e9) * 8 / 1e9
    assert found["limit"] == limit
    assert found["extraction_hours"] == pytest.approx(gigabits / 0.001 / 3600)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--seconds", "inf"], "--seconds: inf is no amount"),
        (["--seconds", "1e308"], r"--seconds: 1e\+308 is no amount"),
        (["--seconds", "10", "--nodes", "9" * 400], "--nodes: 9{40} is no amount"),
        (["--seconds", "10", "--clips", "9" * 400], "--clips: 9{40} is no amount"),
        (["--seconds", "10", "--efficiency", "1.5"], r"--efficiency: 1\.5 is more than all"),
        (["--seconds", "10", "--store-gbit", "0"], "--store-gbit: 0 is no amount"),
        (["--seconds", "10", "--node-hour", "nan"], "--node-hour: nan is no amount"),
        (["--seconds", "10", "--efficiency", "1e-320"], "--efficiency: .* is no amount"),
    ],
)
def test_an_amount_that_cannot_be_is_refused_before_the_measurement(
    tmp_path, monkeypatch, given, said
):
    (tmp_path / "c.yaml").write_text("")
    monkeypatch.setattr(plan, "measure_machine", lambda *arguments: pytest.fail("measured"))
    command = ["plan", str(tmp_path / "c.yaml"), "--clips", "10", *given]
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, ConfigError)
    assert re.match(said, str(error))


def test_the_largest_and_smallest_amounts_stay_finite():
    for amount in (1e-6, 1e12):
        assumed = dict.fromkeys(ASSUMED, amount) | {"efficiency": min(amount, 1.0)}
        found = estimated(10**12, 1e12, epochs=100, **assumed)
        assert json.loads(json.dumps(found, allow_nan=False))["extraction_hours"] > 0


def test_the_command_answers_as_table_and_json(tmp_path, monkeypatch):
    (tmp_path / "c.yaml").write_text("training: {epochs: 3}\n")
    monkeypatch.setattr(plan, "measure_machine", lambda *arguments: MEASURED)
    command = ["plan", str(tmp_path / "c.yaml"), "--clips", "1000", "--seconds", "10"]
    text = CliRunner().invoke(app, command).stdout
    assert "1,000 clips of 10 s on 1 node(s)\n" in text
    assert re.search(r"  compute +0\.15 <- the limit\n", text)
    document = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert document["limit"] == "compute"
    assert document["measured"]["video_rate"] == 20.0
    assert document["work"]["epochs"] == 3


def measured(tmp_path, rows, fps):
    (tmp_path / "m.csv").write_text("path,label,start_s,end_s\n" + rows)
    config = build_config(
        {
            "data": {"manifest": str(tmp_path / "m.csv")},
            "features": {"weights": "builtin", "image_size": 64, "views": ["rgb", "motion"]},
            "sampling": {"fps": fps, "max_frames": 8},
            "training": {"device": "cpu", "batch_size": 4},
            "model": {"projection_size": 8, "hidden_size": 8},
        }
    )
    return measure_machine(config, 2, Reporter(quiet=True))


def test_clips_slower_than_the_sampling_are_as_long_as_they_are(tmp_path):
    videos = [write_square(tmp_path / f"{n}.mp4", frames=20, fps=10.0) for n in range(3)]
    found = measured(tmp_path, "".join(f"{n}.mp4,{n % 2},,\n" for n in range(3)), 40.0)
    sizes = [path.stat().st_size for path in videos[1:]]
    assert found["source_rate"] == pytest.approx(sum(sizes) / 4.0)  # two clips of 2 s
    assert (found["clips"], found["entries"]) == (2, 2)
    # 20 samples of 10 a second, two views, 2 bytes a value and 8 a time, a header of each entry
    assert found["cache_rate"] > 0
    assert min(found["video_rate"], found["step_rate"]) > 0


def test_a_segment_counts_its_part_of_the_file(tmp_path):
    video = write_square(tmp_path / "long.mp4", frames=60, fps=10.0)  # 6 s
    found = measured(tmp_path, "".join(f"long.mp4,{n},{n},{n + 1}\n" for n in range(3)), 10.0)
    assert found["source_rate"] == pytest.approx(video.stat().st_size / 6.0, rel=0.02)
