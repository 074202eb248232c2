"""An exported run of sensors answers elsewhere what it answers here."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from helpers.series_tables import engines, machines, table_config

from action_gru import SequenceRecognizer
from action_gru.apps.export import export_run
from action_gru.core.progress import Reporter
from action_gru.training import train

QUIET = Reporter(quiet=True)
RUNS = {
    "averages and elapsed time": (
        engines,
        {"horizon": 5, "averages": [4, 12], "elapsed": True, "threshold": 0.4},
    ),
    "missing values and velocity": (machines, {"velocity": True}),
    "changes over several rows": (machines, {"velocity": [1, 3]}),
    "windows": (machines, {"window": 4.0, "stride": 2.0}),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_the_example_answers_as_the_stream_does(tmp_path, kind):
    write, series = RUNS[kind]
    settings = table_config(
        tmp_path, "rows", write(), series=series, training={"epochs": 2, "temporal_crop": 0.0}
    )
    run = train(settings, QUIET)
    folder, names = export_run(run.path, "onnx", None, [], QUIET)
    assert names == ["step.onnx"]
    table = Path(settings.data.manifest)
    example = [sys.executable, str(ROOT / "examples" / "onnx_watch.py"), str(folder), str(table)]
    said = subprocess.run(example, capture_output=True, text=True, check=True)
    assert said.stderr == ""
    recognizer = SequenceRecognizer.load(run.path)
    streams, answers = {}, []
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            stream = streams.setdefault(row["id"], recognizer.stream())
            values = [float(row[name] or "nan") for name in recognizer.channels]
            made = stream.push(np.array(values, np.float32), float(row["time"]))
            answers.append((row["id"], float(row["time"]), made))
    lines = [line.split() for line in said.stdout.splitlines()]
    assert len(lines) == len(answers) > 100
    for (name, time, label, score), (its, at, made) in zip(lines, answers, strict=True):
        assert (name, float(time)) == (its, at)
        assert float(score) == pytest.approx(made.score, abs=2e-4)
        assert label == made.label or made.score < 0.5002  # two classes, as good as level


@pytest.mark.slow  # the files of pictures have their test in the fast lane
def test_the_metadata_say_what_is_made_of_a_row(tmp_path):
    write, series = RUNS["averages and elapsed time"]
    run = train(
        table_config(tmp_path, "rows", write(), series=series, training={"epochs": 1}), QUIET
    )
    folder, _ = export_run(run.path, "onnx", tmp_path / "out", [], QUIET)
    import onnx

    (told,) = onnx.load(folder / "step.onnx").metadata_props
    spec = json.loads(told.value)
    assert spec["channels"] == ["wear", "noise"]
    assert spec["columns"] == {"id": "id", "time": "time"}
    assert spec["rows"] == {
        "points": 0, "origin": None, "unit": None,
        "averages": [4.0, 12.0], "elapsed": True, "velocity": False,
    }  # fmt: skip
    assert spec["lookahead"] == 0
    assert spec["feature_size"] == 2 * 3 + 1
    assert spec["warns_from"] == 0.4
    assert spec["stream"] == {"window": None, "states": 1}
