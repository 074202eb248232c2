"""A plan's arithmetic on literals, and one real measurement."""

import json
import re

import pytest
from conftest import write_square
from typer.testing import CliRunner

from action_gru import planning
from action_gru.cli.commands import app
from action_gru.errors import ConfigError
from action_gru.planning import Assumptions, Measurement, Workload, estimate, measure_machine
from action_gru.progress import Reporter

MEASURED = Measurement(
    video_rate=20.0,
    source_rate=100_000.0,
    dims=(1280, 1280),
    header_bytes=400.0,
    fps=8.0,
    step_rate=10.0,
    clips=16,
    drawn=False,
)


def test_hours_bytes_and_cost_follow_from_the_measurement():
    # 1000 clips of 10 s: 10,000 s of video at 20 x 0.5 a second are 1000 s on one node.
    found = estimate(
        MEASURED, Workload(1000, 10.0, 1, epochs=4, batch_size=32), Assumptions(0.5, node_hour=3.0)
    )
    assert found.limit == "compute"
    assert found.extraction_hours == pytest.approx(1000 / 3600)
    assert found.cost == pytest.approx(3 * 1000 / 3600)
    assert found.source_bytes == 1_000_000_000
    # 2 views x (400 + 80 samples x (1280 x 2 + 8))
    assert found.cache_bytes == 1000 * 2 * (400 + 80 * 2568)
    assert found.entries == 2000
    assert found.index_bytes == 128_000
    assert found.training_hours == pytest.approx(4 * 32 / 10 / 3600)


def test_more_nodes_cost_the_same_until_the_store_is_the_limit():
    one = estimate(MEASURED, Workload(10**6, 10.0, 1), Assumptions())
    ten = estimate(MEASURED, Workload(10**6, 10.0, 10), Assumptions())
    many = estimate(MEASURED, Workload(10**6, 10.0, 100_000), Assumptions())
    assert ten.extraction_hours == pytest.approx(one.extraction_hours / 10)
    assert ten.cost == pytest.approx(one.cost)
    assert many.limit == "writes of the store"  # 2,000,000 at 3500 a second
    assert many.extraction_hours == pytest.approx(2e6 / 3500 / 3600)


@pytest.mark.parametrize(
    ("slow", "limit"),
    [
        ({"bandwidth_gbit": 0.001}, "network of a node"),
        ({"store_gbit": 0.001}, "bandwidth of the store"),
    ],
)
def test_the_slowest_resource_sets_the_pace(slow, limit):
    found = estimate(MEASURED, Workload(1000, 10.0), Assumptions(**slow))
    gigabits = (1e9 + 1000 * 2 * (400 + 80 * 2568)) * 8 / 1e9
    assert found.limit == limit
    assert found.extraction_hours == pytest.approx(gigabits / 0.001 / 3600)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"efficiency": 1.5}, r"--efficiency: 1\.5 is more than all"),
        ({"store_gbit": 0.0}, r"--store-gbit: 0 is no amount"),
        ({"node_hour": float("nan")}, r"--node-hour: nan is no amount"),
        ({"node_hour": 1e308}, r"--node-hour: 1e\+308 is no amount"),
        ({"efficiency": 1e-320}, r"--efficiency: .* is no amount"),
    ],
)
def test_an_assumption_that_cannot_be_is_refused(values, said):
    with pytest.raises(ConfigError, match=said):
        Assumptions(**values)


@pytest.mark.parametrize(
    "given",
    [
        ["--seconds", "inf"],
        ["--seconds", "1e308"],
        ["--seconds", "10", "--nodes", "9" * 400],
        ["--seconds", "10", "--clips", "9" * 400],
    ],
)
def test_an_amount_that_cannot_be_is_refused_before_the_measurement(tmp_path, monkeypatch, given):
    (tmp_path / "c.yaml").write_text("")
    monkeypatch.setattr(planning, "measure_machine", lambda *arguments: pytest.fail("measured"))
    command = ["plan", str(tmp_path / "c.yaml"), "--clips", "10", *given]
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, ConfigError)
    assert re.match(rf"{given[-2]}: (inf|1e\+308|9{{40}}) is no amount", str(error))


def test_the_largest_and_smallest_amounts_stay_finite():
    work = Workload(10**12, 1e12, 1, epochs=100)
    for assumed in (Assumptions(1e-6, 1e-6, 1e-6, 1e-6, 1e12), Assumptions(1, 1e12, 1e12, 1e12, 0)):
        text = json.dumps(estimate(MEASURED, work, assumed).to_json(), allow_nan=False)
        assert json.loads(text)["extraction_hours"] > 0


def test_training_takes_the_epochs_that_min_steps_asks_for():
    # 1000 clips in batches of 32 are 32 steps an epoch: 100 steps take 4 epochs.
    work = Workload(1000, 10.0, epochs=2, batch_size=32, min_steps=100)
    assert work.epochs_run == 4
    found = estimate(MEASURED, work, Assumptions())
    assert found.training_hours == pytest.approx(4 * 32 / 10 / 3600)


def test_the_command_answers_as_table_and_json(tmp_path, monkeypatch):
    (tmp_path / "c.yaml").write_text("training: {epochs: 3}\n")
    monkeypatch.setattr(planning, "measure_machine", lambda *arguments: MEASURED)
    command = ["plan", str(tmp_path / "c.yaml"), "--clips", "1000", "--seconds", "10"]
    text = CliRunner().invoke(app, command).stdout
    assert "1,000 clips of 10 s on 1 node\n" in text
    assert re.search(r"  compute +0\.15 <- the limit\n", text)
    document = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert document["limit"] == "compute"
    assert document["measured"]["video_rate"] == 20.0
    assert document["work"]["epochs"] == 3


def test_a_machine_is_measured_with_drawn_clips_where_the_configs_are_not_there(tmp_path):
    from action_gru.config import build_config

    config = build_config(
        {
            "features": {"weights": "builtin", "image_size": 64, "views": ["rgb", "motion"]},
            "sampling": {"fps": 8.0, "max_frames": 8},
            "training": {"device": "cpu", "batch_size": 4},
            "model": {"projection_size": 8, "hidden_size": 8},
        }
    )
    found = measure_machine(config, 2, 1.0, Reporter(quiet=True))
    assert found.drawn
    assert found.clips == 2
    assert len(found.dims) == 2
    assert 200 < found.header_bytes < 2000
    assert found.video_rate > 0
    assert found.step_rate > 0
    assert 1_000 < found.source_rate < 10_000_000


def measured(tmp_path, rows, fps):
    from action_gru.config import build_config

    (tmp_path / "m.csv").write_text("path,label,start_s,end_s\n" + rows)
    config = build_config(
        {
            "data": {"manifest": str(tmp_path / "m.csv")},
            "features": {"weights": "builtin", "image_size": 64, "views": ["rgb"]},
            "sampling": {"fps": fps, "max_frames": 8},
            "training": {"device": "cpu", "batch_size": 4},
            "model": {"projection_size": 8, "hidden_size": 8},
        }
    )
    return measure_machine(config, 2, 1.0, Reporter(quiet=True))


@pytest.mark.parametrize(("asked", "had"), [(40.0, 10.0), (5.0, 5.0)])
def test_clips_slower_than_the_sampling_are_as_long_as_they_are(tmp_path, asked, had):
    videos = [write_square(tmp_path / f"{n}.mp4", frames=20, fps=10.0) for n in range(3)]
    found = measured(tmp_path, "".join(f"{n}.mp4,{n % 2},,\n" for n in range(3)), asked)
    sizes = [path.stat().st_size for path in videos[1:]]
    assert found.fps == pytest.approx(had)
    assert found.source_rate == pytest.approx(sum(sizes) / 4.0)  # two clips of 2 s


def test_a_segment_counts_its_part_of_the_file(tmp_path):
    video = write_square(tmp_path / "long.mp4", frames=60, fps=10.0)  # 6 s
    found = measured(tmp_path, "".join(f"long.mp4,{n},{n},{n + 1}\n" for n in range(3)), 10.0)
    assert found.source_rate == pytest.approx(video.stat().st_size / 6.0, rel=0.02)
