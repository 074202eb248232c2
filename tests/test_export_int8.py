import json
from dataclasses import replace
from importlib.util import find_spec

import pytest
from helpers.videos import write_square

from action_gru import ActionRecognizer
from action_gru.apps import export_int8
from action_gru.apps.checks import check_export
from action_gru.apps.export import export_run
from action_gru.apps.export_int8 import Int8Cost, check_cost, held_out
from action_gru.backbone.runtimes import import_quietly
from action_gru.config import build_config
from action_gru.core.errors import CheckpointError, ConfigError, MissingExtraError
from action_gru.core.progress import Reporter
from action_gru.features.source import build_backbone

QUIET = Reporter(quiet=True)
COST = Int8Cost("top1", "test", 200, 0.9, 0.88, 1.8)
needs_nncf = pytest.mark.skipif(find_spec("nncf") is None, reason="nncf is not installed: int8")


def test_a_loss_above_the_limit_is_refused_with_both_scores():
    check_cost(COST, 2.0)
    check_cost(replace(COST, after=0.95), 0.0)
    said = r"top1 0\.900 before and 0\.870 in int8, on the 200 clips .*3\.0 points, at most 2 are"
    with pytest.raises(CheckpointError, match=said):
        check_cost(replace(COST, after=0.87), 2.0)


def test_int8_needs_its_package_its_format_and_the_runs_clips(small_run, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="--int8: is for --format openvino, got onnx"):
        check_export(small_run.path, [], "onnx", int8=True)
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(small_run.best.read_bytes())
    with pytest.raises(CheckpointError, match="name the run's folder"):
        held_out(alone)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"'action-gru\[int8\]'"):
        check_export(small_run.path, [], "openvino", int8=True)


@pytest.mark.slow
@needs_nncf
def test_an_int8_run_answers_says_its_cost_and_reads_videos(
    small_run, tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    folder, names = export_run(small_run.path, "openvino", tmp_path / "out", [], QUIET, 100.0)
    assert names == ["features.bin", "features.xml", "step.bin", "step.xml"]
    assert capfd.readouterr().out == ""
    model = import_quietly("openvino").Core().read_model(folder / "features.xml")
    kinds = {node.get_type_name() for node in model.get_ops()}
    assert "FakeQuantize" in kinds
    cost = json.loads(model.get_rt_info(["action_gru"]).astype(str))["int8"]
    assert (cost["split"], cost["clips"], cost["score"]) == ("test", 4, "top1")
    assert 0 <= cost["after"] <= 1
    weights = [f"features.weights={folder / 'features.xml'}", "features.precision=fp32"]
    exact = ["features.runtime=openvino", "features.precision=fp32"]
    specs = [
        build_backbone(build_config(small_run.config().to_tree(), given)).spec("focus")
        for given in (weights, exact)
    ]
    assert not set(specs[0].fingerprints) & set(specs[1].fingerprints)  # never each other's cache
    assert not specs[0].differences(specs[1])
    video = write_square(tmp_path / "clip.mp4", 40, seed=105)
    plain = ActionRecognizer.load(small_run.path, "cpu")
    small = ActionRecognizer.load(
        small_run.path, "cpu", [f"features.weights={folder / 'features.xml'}"]
    )
    assert small.classify(video).label == plain.classify(video).label
    assert small.classify(video).score == pytest.approx(plain.classify(video).score, abs=0.1)

    def loses(*arguments):
        return replace(COST, after=0.5)

    monkeypatch.setattr(export_int8, "measure_cost", loses)
    with pytest.raises(CheckpointError, match="nothing was written"):
        export_run(small_run.path, "openvino", tmp_path / "other", [], QUIET, 2.0)
    assert not list((tmp_path / "other").iterdir())
