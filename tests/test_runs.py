"""Which run a name means, and which one is the newest."""

import os
import re
from pathlib import Path

import pytest
from helpers.command_line import run as command
from helpers.dataset_trees import make_tree
from helpers.videos import write_square

from action_gru.core.errors import CheckpointError
from action_gru.training import runs
from action_gru.training.runs import about_run, find_model, newest_run


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """a, b and a-2 are finished, c was interrupted, d and e never trained; b was the last."""
    monkeypatch.chdir(tmp_path)
    finished = [f"{run}/{file}" for run in ("a", "a-2", "b")
                for file in ("config.yaml", "best.safetensors", "last.safetensors",
                             "summary.json")]  # fmt: skip
    others = ["c/config.yaml", "c/best.safetensors", "c/last.safetensors", "d/config.yaml", "e.csv"]
    make_tree(tmp_path / "runs", *finished, *others)
    for index, name in enumerate(["a", "a-2", "b"]):
        os.utime(tmp_path / "runs" / name / "summary.json", (index + 1000, index + 1000))
    return tmp_path


def test_the_newest_run_is_the_one_that_was_finished_last(here):
    assert find_model(None) == Path("runs/b")
    assert newest_run(Path("runs"), finished=False) == Path("runs/c")
    os.utime(here / "runs" / "a" / "summary.json", (2000, 2000))
    assert find_model(None) == Path("runs/a")


def test_the_newest_run_of_the_kind_that_is_needed_comes_first(here, monkeypatch):
    monkeypatch.setattr(runs, "_reads_video", lambda run: run.name != "b")
    assert find_model(None, of_video=True) == Path("runs/a-2")
    assert find_model(None, of_video=False) == find_model(None) == Path("runs/b")
    monkeypatch.setattr(runs, "_reads_video", lambda run: False)
    assert find_model(None, of_video=True) == Path("runs/b")  # which is then refused, with why


def test_a_name_of_no_run_is_told_beside_those_that_are_there(here):
    said = r"no run 'a-3' in .*runs, which holds a, a-2, b and c, .*did you mean 'a-2'"
    with pytest.raises(CheckpointError, match=said):
        find_model("a-3")


def test_a_name_is_a_path_then_a_run_and_else_left_to_what_knows_the_shipped_models(here):
    assert find_model("a-2") == Path("runs/a-2")
    assert find_model("runs/a") == Path("runs/a")
    assert find_model("fights") == Path("fights")
    make_tree(here, "a/wave/1.mp4", "b/best.safetensors")
    assert find_model("a") == Path("runs/a")  # a holds the clips that it was trained on
    assert find_model("b") == Path("b")


def test_where_no_run_is_the_error_says_how_to_get_one(tmp_path, monkeypatch):
    make_tree(tmp_path, "project.yaml", "runs/other/best.safetensors", "runs/other/summary.json")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # the runs of a folder above are another work's
    with pytest.raises(CheckpointError, match=r"no finished run in .*train CLIPS.* \(fights\)"):
        find_model(None)
    with pytest.raises(CheckpointError, match="no interrupted run in"):
        find_model(None, finished=False)


def test_commands_use_the_newest_run_and_say_which(small_run, tmp_path):
    (tmp_path / "runs").symlink_to(small_run.path.parent)
    video = write_square(tmp_path / "clip.mp4", 12)
    done = command("classify", video, cwd=tmp_path)
    assert re.search(r"^using runs/run \(\d+ [A-Z]\w\w, 2 classes\)$", done.stderr, re.MULTILINE)
    assert done.stdout == command("classify", video, "-m", "run", "-q", cwd=tmp_path).stdout
    assert "using" not in command("classify", video, "-m", "run", cwd=tmp_path).stderr
    told = command("evaluate", "sampling.fps=4", cwd=tmp_path, code=7).stderr
    assert "sampling.fps: 5.0 against 4.0" in told
    assert about_run(small_run.path).startswith(f"{small_run.path} (")
