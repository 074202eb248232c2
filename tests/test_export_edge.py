"""Formats of phones and small boards; of those whose converter is not installed, the refusal."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from helpers.models import build_model

from action_gru.apps import export_edge
from action_gru.apps.checks import check_export
from action_gru.apps.export import check_step
from action_gru.apps.export_edge import EDGE_FORMATS, check_features, edge_step, write_edge
from action_gru.backbone.weight_files import EDGE_PACKAGES
from action_gru.core.errors import CheckpointError, MissingExtraError
from action_gru.model import FlatStep
from action_gru.model.recurrence import without_kernels

RUNNABLE = [name for name, kind in EDGE_FORMATS.items() if kind.open is not None]


def need(format_: str) -> None:
    for package in EDGE_PACKAGES[format_]:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: extra {format_}")


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "mgu"])
def test_a_step_without_kernels_answers_as_the_kernels_do(cell):
    model = FlatStep(build_model(cell=cell, num_layers=2, fusion="early"))
    plain, before = without_kernels(model).eval(), list(model.modules())
    assert not any(isinstance(part, torch.nn.RNNBase) for part in plain.modules())
    state = theirs = model.model.initial_state(2)
    for frame in torch.randn(4, 2, 7):
        with torch.no_grad():
            (logits, *state), (made, *theirs) = model(frame, *state), plain(frame, *theirs)
        torch.testing.assert_close(made, logits)
    assert list(model.modules()) == before


@pytest.mark.parametrize("format_", EDGE_FORMATS)
def test_a_converter_that_is_not_installed_is_named(small_run, monkeypatch, format_):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = rf"export --format {format_}.*'action-gru\[{format_}\]'"
    with pytest.raises(MissingExtraError, match=said):
        check_export(small_run.best, ["features.views=[rgb]", "features.weights=builtin"], format_)


def test_what_a_converter_does_not_take_is_an_error_with_its_reason(tmp_path, monkeypatch):
    def fails(network, stem):
        raise NotImplementedError("no lowering for aten.cummax\nand a trace")

    broken = export_edge.EdgeFormat(fails)
    monkeypatch.setitem(export_edge.EDGE_FORMATS, "ncnn", broken)
    said = r"converter to ncnn does not take the network 'step'.*\(no lowering for aten.cummax\)"
    with pytest.raises(CheckpointError, match=said):
        write_edge("ncnn", edge_step(FlatStep(build_model()), "ncnn"), tmp_path)


def test_features_that_stray_are_refused():
    class Network(torch.nn.Module):
        def forward(self, pixels, weight):
            return pixels[:, 0, :4, 0].float()

    def astray(inputs):
        return [np.flip(inputs["pixels"][:, 0, :4, 0] * 255, 1)]

    with pytest.raises(CheckpointError, match=r"as tflite does not agree with torch"):
        check_features(astray, Network(), 32, "tflite")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "pooling", "fusion"),
    [
        ("gru", "attention", "late"),
        ("lstm", "mean", "early"),
        ("mgu", "max", "late"),
        ("gru", "transformer", "early"),
    ],
)
@pytest.mark.parametrize("format_", RUNNABLE)
def test_steps_answer_as_torch_does(tmp_path, format_, cell, pooling, fusion):
    need(format_)
    model = FlatStep(build_model(cell=cell, pooling=pooling, fusion=fusion, closed_form=True))
    network = edge_step(model, format_)
    if format_ == "ncnn" and (cell == "mgu" or pooling == "transformer"):
        with pytest.raises(CheckpointError, match="ncnn has no layer for"):
            write_edge(format_, network, tmp_path)
    else:
        check_step(write_edge(format_, network, tmp_path), model, streams=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("format_", EDGE_FORMATS)
def test_a_run_is_written_whole_and_described(small_run, tmp_path, format_):
    need(format_)
    done = subprocess.run(
        [sys.executable, "-m", "action_gru", "export", "-m", str(small_run.path), "--json", "-q",
         "--format", format_, "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=False,
        env=os.environ | {"ACTION_GRU_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("were not compared" in done.stderr) == (EDGE_FORMATS[format_].open is None)
    names = json.loads(done.stdout)["files"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    spec = json.loads((tmp_path / "out" / "action_gru.json").read_text())
    assert spec["classes"] == ["bright", "dark"]
    inputs = spec["networks"]["step"]["inputs"]
    assert list(inputs) == ["feature", *(tensor["name"] for tensor in spec["state"])]
