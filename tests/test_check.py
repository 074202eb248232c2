"""`check`: every planted fault is found, a clean set has none, nothing bad ends it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import action_gru
from helpers.drawn_clips import moving_blobs, write_clip

from action_gru.apps.check import first_lines
from action_gru.config import load_config

HERE = "decoding.isolate=false"


def write_set(root: Path, rows: list[str] | None = None) -> Path:
    """Six clips each of `a` and `b`, four of each for training, and rows of the caller's."""
    lines = ["path,label,group,split"]
    for number in range(12):
        name = f"{'ab'[number % 2]}/{number}.mp4"
        write_clip(root / name, moving_blobs(number))
        lines.append(f"{name},{name[0]},g{number},{'test' if number > 7 else 'train'}")
    (root / "manifest.csv").write_text("\n".join([*lines, *(rows or [])]) + "\n")
    return root


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    return write_set(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("faulty")
    names = ("copy", "black", "still", "short", "slow", "broken", "gone")
    sides = {"copy": "test"}
    rows = [f"a/{n}.mp4,a,{n},{sides.get(n, 'train')}" for n in names]
    write_set(root, [*rows, "b/twin.mp4,b,twin,train"])
    write_clip(root / "a/copy.mp4", moving_blobs(4), scale=2)
    write_clip(root / "b/twin.mp4", [image // 2 + 60 for image in moving_blobs(6)])
    write_clip(root / "a/black.mp4", [np.zeros((64, 96, 3), np.uint8)] * 24)
    write_clip(root / "a/still.mp4", moving_blobs(50)[:1] * 24)
    write_clip(root / "a/short.mp4", moving_blobs(51)[:2])
    write_clip(root / "a/slow.mp4", moving_blobs(52), fps=2.0)
    (root / "a/broken.mp4").write_bytes(b"\x07\x91" * 400)
    return root


def test_a_clean_set_has_no_finding_and_exit_code_0(clean):
    answer = action_gru("check", clean, HERE, "--json", "-q").answer
    assert answer["findings"] == []
    assert answer["summary"] == "12 clips, 2 classes, 12 groups, 0.4 minutes"
    assert answer["classes"][0]["splits"] == {"train": 4, "val": 0, "test": 2}
    assert "'action-gru extract' first" in answer["notes"][0]


def test_every_planted_fault_is_found(faulty):
    manifest = faulty / "manifest.csv"
    answer = action_gru("check", manifest, HERE, "--json", "-q", code=1).answer
    found = {one["topic"]: one for one in answer["findings"]}
    assert set(found) == {
        "unreadable", "black", "still", "short", "slow", "copies_across", "copies_relabelled",
        "copies_within",
    }  # fmt: skip
    assert set(found["unreadable"]["clips"]) == {"a/broken.mp4", "a/gone.mp4"}
    assert found["copies_across"]["clips"] == ["a/4.mp4", "a/copy.mp4"]
    for topic in ("black", "still", "short", "slow"):
        assert found[topic]["clips"][0] == f"a/{topic}.mp4", topic
    problems = {topic for topic, one in found.items() if one["severity"] == "problem"}
    assert problems == {"unreadable", "black", "copies_across", "copies_relabelled"}
    assert answer["problems"] == 4


def test_the_page_loads_nothing_and_shows_the_clips(faulty, tmp_path):
    page = tmp_path / "check.html"
    done = action_gru("check", faulty, HERE, "-q", "--out", page, code=1)
    text = page.read_text(encoding="utf-8")
    assert done.out.splitlines()[-1] == str(page)
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert text.count("data:image/jpeg;base64,") >= 12
    assert "The same moments on two sides of the split" in text


def test_a_folder_of_classes_needs_no_manifest_and_strict_makes_advice_fail(tmp_path):
    for number in range(6):
        write_clip(tmp_path / "ab"[number % 2] / f"{number}.mp4", moving_blobs(number))
    done = action_gru("check", tmp_path, HERE, "-q")
    assert "classes with fewer than 5 clips" in done.out
    assert done.out.splitlines()[-1] == "1 advice"
    assert not (tmp_path / "manifest.csv").exists()
    action_gru("check", tmp_path, HERE, "-q", "--strict", code=1)


def test_a_larger_set_is_sampled_and_it_is_said(clean):
    answer = action_gru("check", clean, HERE, "--json", "-q", "--clips", 5).answer
    assert answer["notes"][1] == "5 of 12 clips were looked at, drawn at random"
    assert sum(row["clips"] for row in answer["classes"]) == 12


def test_a_stretch_of_a_long_video_may_be_short(clean, tmp_path):
    rows = [f"{'ab'[n % 2]}/{n}.mp4,{'ab'[n % 2]},0,{(0.1, 2)[n > 7]}" for n in range(12)]
    (tmp_path / "m.csv").write_text("\n".join(["path,label,start_s,end_s", *rows]))
    words = [tmp_path / "m.csv", f"data.root={clean}", HERE, "--json", "-q"]
    topics = [
        {one["topic"] for one in action_gru("check", *words, *task).answer["findings"]}
        for task in ([], ["data.task=frames"])
    ]
    assert topics[0] - topics[1] == {"short"}


def test_a_network_that_is_not_here_yet_is_no_finding(clean, tmp_path):
    (tmp_path / "cache").mkdir()
    words = [f"features.cache_dir={tmp_path / 'cache'}", "features.weights=yolo26x-cls.pt"]
    answer = action_gru("check", clean, HERE, *words, "--json", "-q").answer
    assert "'action-gru extract' first" in answer["notes"][0]


def test_what_training_would_refuse_is_a_problem(clean, tmp_path):
    text = (clean / "manifest.csv").read_text().replace("g11", "g1")
    (tmp_path / "m.csv").write_text(text)
    done = action_gru("check", tmp_path / "m.csv", f"data.root={clean}", HERE, "-q", code=1)
    assert "training would refuse this data" in done.out
    assert "group 'g1' is in train and test" in done.out


def test_a_target_that_is_not_there_is_a_mistake_of_the_command_line(tmp_path):
    done = action_gru("check", tmp_path / "no.yaml", code=2)
    assert "no config file at" in done.err


@pytest.fixture
def people(tmp_path) -> Path:
    rows = ["path,label"]
    for index in range(24):
        name = f"{'ab'[index % 2]}/person0{index // 8}_{index}.mp4"
        rows.append(f"{name},{name[0]}")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    tree = {"data": {"manifest": str(tmp_path / "manifest.csv")}}
    (tmp_path / "c.yaml").write_text(json.dumps(tree))
    return tmp_path


def test_training_begins_with_what_names_show(people):
    lines = first_lines(load_config(people / "c.yaml"))
    assert lines[0].startswith("no groups are given, and the names look like some: 3 by")
    assert lines[-1] == "'action-gru check' says more, and looks at the clips"
    assert len(lines) <= 5
    assert all(len(line) <= 300 for line in lines)


def test_training_on_a_clean_set_begins_without_words(clean):
    (clean / "c.yaml").write_text(json.dumps({"data": {"manifest": str(clean / "manifest.csv")}}))
    assert first_lines(load_config(clean / "c.yaml")) == []


@pytest.mark.slow
def test_the_interactions_are_known_by_their_size_and_hold_no_copies(shared_data):
    """Their clips are cropped to the pair: one who points is a narrow picture."""
    manifest = shared_data / "interactions" / "clips.csv"
    answer = action_gru("check", manifest, "--json", "-q", code=1).answer
    found = {one["what"]: one for one in answer["findings"]}
    assert "surely point (F1 1.00)" in found["size alone tells the class"]["got"]
    assert {one["topic"] for one in answer["findings"]} == {"giveaway"}


@pytest.mark.slow
def test_the_fights_have_no_problem(shared_data):
    answer = action_gru("check", shared_data / "fights", "--json", "-q", "--clips", 60).answer
    assert answer["problems"] == 0
