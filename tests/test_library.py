"""The list of runs; renaming, deleting, comparing and packing one."""

import io
import json
import os
import re
from datetime import datetime
from pathlib import Path

import pytest
from helpers.command_line import action_gru
from helpers.command_line import run as command
from helpers.library import CLIPS, GOLDEN, make_run, run_of_own_network, write_report
from helpers.models import checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from action_gru.core.errors import BackboneError, CheckpointError, ConfigError
from action_gru.core.files import hold_folder
from action_gru.training import METADATA, RunFolder, load_checkpoint
from action_gru.training.comparison import compare_runs, sign_test
from action_gru.training.library import delete_run, list_runs, pack_run, rename_run
from action_gru.training.packed import network_files


@pytest.fixture
def runs(tmp_path) -> Path:
    """old was finished before new; half was interrupted, at when it was last trained."""
    folder = tmp_path / "runs"
    make_run(folder, "old", 1000, "yyn")
    make_run(folder, "new", 3000, "yyy")
    half = make_run(folder, "half", 2000)
    (half / "summary.json").rename(half / "last.safetensors")
    return folder


def test_runs_are_listed_with_what_they_are_the_newest_first(runs):
    new, half, old = list_runs(runs)
    assert [run.name for run in (new, half, old)] == ["new", "half", "old"]
    assert (new.state, half.state, old.state) == ("finished", "interrupted", "finished")
    assert (old.classes, old.clips, old.metric) == (("sit", "stånd"), 11, "top-1")
    assert (old.score, new.score, half.score) == (pytest.approx(2 / 3), 1.0, None)
    assert old.when == datetime.fromtimestamp(1000)
    on_disk = [path.stat().st_size for path in old.path.rglob("*") if path.is_file()]
    assert old.size_bytes == sum(on_disk) > 1000
    assert {run.problem for run in (new, half, old)} == {""}


def test_a_run_as_json_has_plain_values(runs):
    document = json.loads(json.dumps(list_runs(runs)[1].document()))
    assert document["classes"] == ["sit", "stånd"]
    assert (document["score"], document["metric"], document["problem"]) == (None, None, None)
    assert document["when"] == datetime.fromtimestamp(2000).isoformat()


def test_a_run_that_is_trained_now_says_so_and_keeps_its_name(runs):
    number = hold_folder(runs / "half")
    try:
        assert list_runs(runs)[1].state == "training"
        with pytest.raises(CheckpointError, match="half: is being trained now and cannot be del"):
            delete_run(runs / "half")
        with pytest.raises(CheckpointError, match="is being trained now and cannot be renamed"):
            rename_run(runs / "half", "other")
    finally:
        os.close(number)
    assert (runs / "half" / "best.safetensors").is_file()
    assert list_runs(runs)[1].state == "interrupted"


def test_broken_runs_are_listed_with_their_problem_and_hide_no_other(runs):
    (runs / "new" / "best.safetensors").write_bytes(b"no checkpoint")
    (runs / "old" / "evaluation" / "test" / "report.json").write_text("[")
    (runs / "notes").mkdir()
    (runs / "a.csv").touch()
    new, half, old = list_runs(runs)
    assert "not a checkpoint of this program" in new.problem
    assert (new.classes, new.score) == ((), 1.0)
    assert re.search(r"report\.json: cannot be read .*evaluate -m .*old", old.problem)
    assert half.problem == ""
    assert list_runs(runs / "none") == ()


def test_the_report_of_the_latest_scoring_counts(runs):
    for number in range(2, 12):
        write_report(runs / "old", "yn" if number < 11 else "nn", f"test-{number}")
    write_report(runs / "old", "yyyy", "other")
    assert list_runs(runs)[2].score == 0.0


def test_renaming_keeps_the_run_and_refuses_names_that_cannot_be(runs):
    assert rename_run(runs / "old", "Zürich-2") == runs / "Zürich-2"
    assert [run.name for run in list_runs(runs)] == ["new", "half", "Zürich-2"]
    assert rename_run(runs / "Zürich-2", "Zu\u0308rich").name == "Zürich"  # composed
    for name in ("a/b", "", "..", "a b", ".hidden"):
        with pytest.raises(ConfigError, match=r"run\.name"):
            rename_run(runs / "new", name)
    with pytest.raises(ConfigError, match="half is there already; choose another name"):
        rename_run(runs / "new", "half")
    with pytest.raises(CheckpointError, match="is not a run folder"):
        rename_run(runs / "nothing", "x")
    assert (runs / "new").is_dir()


def test_a_deletion_that_is_killed_half_way_leaves_no_half_run(runs, monkeypatch):
    def killed(path, **_):
        (path / "best.safetensors").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            delete_run(runs / "old")
    assert [run.name for run in list_runs(runs)] == ["new", "half"]
    delete_run(runs / "half")
    assert [path.name for path in runs.iterdir()] == ["new"]  # what was left is gone, too


def test_deleting_a_link_leaves_the_run_that_it_leads_to(runs, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "mine").symlink_to(runs / "old")
    delete_run(tmp_path / "links" / "mine")
    assert (runs / "old" / "best.safetensors").is_file()
    assert list_runs(tmp_path / "links") == ()


def test_the_same_test_clips_are_compared_clip_by_clip(runs):
    make_run(runs, "worse", 10, "n" * 8 + "yy", "training.epochs=9")
    make_run(runs, "better", 20, "y" * 8 + "yn")
    found = compare_runs(runs / "worse", runs / "better")
    assert found.comparable
    assert found.sentence == (
        "Tested on the same 10 clips: worse alone is right on 1, better alone on 8 (p = 0.039): "
        "better is better."
    )
    assert found.settings == {"training.epochs": (9, 40)}
    assert found.per_class == {"sit": (0.2, 0.9), "stånd": (None, None)}
    assert found.scores[0].interval == (0.0, 1.0)
    assert json.loads(json.dumps(found.document()))["runs"][1]["score"] == 0.9
    same = compare_runs(runs / "old", make_run(runs, "same", 5, "yyn")).sentence
    assert same.startswith("Tested on the same 3 clips, and both are right on the same ones: ")
    few = compare_runs(runs / "old", make_run(runs, "lucky", 5, "yyy"))
    assert "chance does too (p = 1.00): neither is shown to be better" in few.sentence


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ([0.1, 0.4], ": their intervals do not overlap, long is better."),
        ([0.1, 0.7], ": their intervals overlap, neither is shown to be better."),
        (None, ", without an interval: neither is shown to be better."),
    ],
)
def test_runs_without_answers_to_single_clips_are_compared_by_their_intervals(runs, interval, said):
    for name, found in (("short", interval), ("long", [0.6, 0.9])):
        run = make_run(runs, name, 3, "yyn")
        report = {"clips": 3, "frame_accuracy": 0.5, "frame_accuracy_interval": found}
        (run / "evaluation" / "test" / "report.json").write_text(json.dumps(report))
    pair = compare_runs(runs / "short", runs / "long"), compare_runs(runs / "long", runs / "short")
    assert [found.sentence for found in pair] == [f"Tested on the same 3 clips{said}"] * 2


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("four", r"they were tested on different clips \(3 and 4, 3 of them in both\)"),
        ("half", r"half was not scored on test clips; score it: action-gru evaluate -m .*half"),
    ],
)
def test_it_is_said_where_scores_cannot_be_compared(runs, other, said):
    make_run(runs, "four", 10, "yyyy")
    found = compare_runs(runs / "old", runs / other)
    assert not found.comparable
    assert re.search(f"^Not comparable: {said}", found.sentence)


def test_how_often_chance_does_the_same():
    assert sign_test(3, 0) == 0.25
    assert sign_test(2, 2) == sign_test(0, 0) == 1.0
    assert sign_test(0, 10) == 2 / 1024


def test_a_packed_model_of_the_builtin_network_is_the_checkpoint_alone(tmp_path):
    packed = pack_run(GOLDEN / "run", tmp_path / "one.safetensors")
    assert load_file(packed).keys() == load_file(GOLDEN / "run" / "best.safetensors").keys()
    assert load_checkpoint(packed).config == load_checkpoint(GOLDEN / "run").config


def test_a_packed_model_answers_where_its_network_is_not(tmp_path, monkeypatch):
    run, network = run_of_own_network(tmp_path)
    packed = tmp_path / "packed.safetensors"
    words = ("classify", CLIPS / "right_0.mp4", "--json", "-q", "decoding.isolate=false", "-m")
    before = action_gru(*words, run).answer
    told = action_gru("runs", "pack", run, "--out", packed).out
    assert told == f"{packed}\n"
    assert packed.stat().st_size > network.stat().st_size
    network.unlink()
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    action_gru(*words, run, code=BackboneError.exit_code)
    assert action_gru(*words, packed).answer == before
    (kept,) = (tmp_path / "home").rglob("*.safetensors")
    assert kept.name == "my_net__1_.safetensors"
    whole = kept.read_bytes()
    kept.write_bytes(b"damaged")
    assert load_checkpoint(packed).config["features"]["weights"] == str(kept)
    assert kept.read_bytes() == whole  # unpacked anew
    twice = pack_run(packed, tmp_path / "twice.safetensors")  # a packed one can be handed on
    assert load_file(twice).keys() == load_file(packed).keys()


def test_a_packed_model_is_checked_before_it_is_unpacked(tmp_path, monkeypatch):
    run, _ = run_of_own_network(tmp_path)
    packed = pack_run(run, tmp_path / "packed.safetensors")
    tensors = load_file(packed)
    with safe_open(packed, framework="np") as file:
        text = file.metadata()[METADATA]
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    document = json.loads(text)
    for change, said in {
        "../../outside.pt": "String should match pattern",
        "net.sh": "String should match pattern",
    }.items():
        document["networks"]["features.weights"]["file"] = change
        save_file(tensors, tmp_path / "bad.safetensors", {METADATA: json.dumps(document)})
        with pytest.raises(CheckpointError, match=said):
            load_checkpoint(tmp_path / "bad.safetensors")
    tensors["network.features.weights"][100] += 1
    save_file(tensors, tmp_path / "bad.safetensors", {METADATA: text})
    with pytest.raises(CheckpointError, match=r"its network .* has the SHA-256"):
        load_checkpoint(tmp_path / "bad.safetensors")
    assert not (tmp_path / "home").exists()


def test_what_cannot_be_packed_is_refused_with_the_reason(tmp_path):
    run, network = run_of_own_network(tmp_path, "net.onnx")
    with pytest.raises(CheckpointError, match=r"net\.onnx cannot be packed: only one file of Ultr"):
        pack_run(run, tmp_path / "a.safetensors")
    network.unlink()
    (tmp_path / "b").mkdir()
    run, network = run_of_own_network(tmp_path / "b")
    network.unlink()
    with pytest.raises(BackboneError, match="no file at"):
        pack_run(run, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"one file; name it NAME\.safetensors"):
        pack_run(GOLDEN / "run", tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="there is no folder"):
        pack_run(GOLDEN / "run", tmp_path / "none" / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


def test_every_network_of_the_views_goes_along_and_no_other(tmp_path):
    for name in ("boxes.pt", "pose.pt", "net.pt"):
        (tmp_path / name).write_bytes(b"weights")
    weights = {"detection": "boxes.pt", "pose": "pose.pt", "features": "net.pt"}
    tree: dict = {key: {"weights": str(tmp_path / name)} for key, name in weights.items()}
    for views, keys in {
        ("rgb",): {"features.weights"},
        ("pose",): {"pose.weights"},
        ("rgb", "detections"): {"features.weights", "detection.weights"},
    }.items():
        tree["features"]["views"] = list(views)
        assert network_files(checkpoint(config=tree)).keys() == keys


def test_the_command_lists_shows_and_compares(runs):
    text = command("runs", cwd=runs.parent).stdout
    head, new, half, _ = text.splitlines()
    assert head.split() == ["name", "trained", "classes", "clips", "score", "size"]
    assert re.match(r"new +1970-01-01 \S+ +2: sit and stånd +11 +1\.000 top-1 +0\.0 MB", new)
    assert "interrupted" in half
    told = json.loads(command("runs", "--json", cwd=runs.parent).stdout)
    assert [run["name"] for run in told["runs"]] == ["new", "half", "old"]
    shown = command("runs", "show", "old", cwd=runs.parent).stdout
    assert "classes  sit, stånd" in shown
    assert "0.667 top-1  Right on 2 of 3 new clips." in shown
    compared = command("runs", "compare", "new", "old", cwd=runs.parent).stdout
    assert re.search(r"score +1\.000 top-1 \(0\.000 to 1\.000\)  0\.667 top-1", compared)
    assert "no runs in" in command("runs", "--folder", "none", cwd=runs.parent).stdout


def test_the_command_renames_and_deletes_and_asks_first(runs, monkeypatch):
    place = runs.parent
    assert command("runs", "rename", "old", "first", cwd=place).stdout == "runs/first\n"
    told = command("runs", "delete", "first", "half", cwd=place, code=2).stderr
    assert "delete runs/first and runs/half (0.0 MB) for good? Nobody can be asked here" in told
    assert (runs / "first").is_dir()
    monkeypatch.setattr("action_gru.cli.runs.sys.stdin", Terminal("n\n"))
    done = command("runs", "delete", "first", cwd=place, code=1)
    assert "delete runs/first (0.0 MB) for good? [y/N]" in done.stderr
    assert done.stdout.strip() == "nothing was deleted"
    told = command("runs", "delete", "first", "none", "--yes", cwd=place, code=7).stderr
    assert "no run 'none' in" in told
    assert (runs / "first").is_dir()  # of several names one is wrong: none is deleted
    done = command("runs", "delete", "first", "half", "--yes", "--json", cwd=place).stdout
    assert json.loads(done) == {"deleted": ["runs/first", "runs/half"]}
    assert [run.name for run in list_runs(runs)] == ["new"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_run_that_begins_is_no_run_of_another_process(tmp_path):
    """A listing may look at a run while its training holds it."""
    run = RunFolder(make_run(tmp_path, "a"))
    run.hold()
    try:
        assert [one.name for one in list_runs(tmp_path)] == ["a"]
    finally:
        run.release()


@pytest.mark.parametrize("score", ["NaN", "1e999", "-1", '"x"', "[1]", "true", "[" * 100_000])
def test_a_score_that_is_none_is_a_problem_of_its_run_alone(runs, score):
    (runs / "old" / "evaluation" / "test" / "report.json").write_text(f'{{"top1": {score}}}')
    new, _, old = list_runs(runs)
    assert (new.score, old.score) == (1.0, None)
    assert "report.json: cannot be read" in old.problem
