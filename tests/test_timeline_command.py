"""The timeline command, in process and as a user's process with ctrl-C."""

import csv
import json
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from helpers.videos import moving_square, write_square

from action_gru import ActionRecognizer
from action_gru.cli.inference import timeline
from action_gru.core.errors import ConfigError, DataError, VideoError
from action_gru.timeline import read_segments, write_timeline
from action_gru.training import load_checkpoint, save_checkpoint
from action_gru.video import VideoWriter


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """Six seconds dark, six bright, six dark, at 10 frames a second."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    with VideoWriter(path, (96, 64), 10.0) as writer:
        for seed in (4, 105, 4):
            for image in moving_square(60, seed):
                writer.write(image)
    return path


def make(video, small_run, targets=(), reference=None, as_json=True, overrides=()):
    model, changes = small_run.path, list(overrides)
    timeline(video, model, changes, list(targets), reference, json_=as_json, quiet=True)


def test_the_answer_says_what_happens_when(long_video, small_run, capsys):
    make(long_video, small_run)
    answer = json.loads(capsys.readouterr().out)
    assert answer["complete"]
    assert answer["duration_s"] == pytest.approx(17.8, abs=0.11)
    assert [event["label"] for event in answer["events"]] == ["dark", "bright", "dark"]
    edges = [event["start_s"] for event in answer["events"]]
    assert edges == pytest.approx([0, 6, 12], abs=1.2)


def test_every_event_scores_best_somewhere_within_it(small_run, tmp_path, capsys):
    """Also the last one, which only the younger states speak of: the window is longer."""
    video, target = tmp_path / "ends_bright.mp4", tmp_path / "t.json"
    with VideoWriter(video, (96, 64), 10.0) as writer:
        for image in (*moving_square(100, 4), *moving_square(24, 105)):
            writer.write(image)
    overrides = ["stream.window_s=3", "events.smoothing_s=0.1", "events.min_event_s=0.1"]
    make(video, small_run, [target], overrides=overrides)
    written = json.loads(target.read_text())
    times_s, values = (np.array(written["scores"][key]) for key in ("times_s", "values"))
    best = np.array(written["classes"])[values.argmax(1)]
    labels = [event["label"] for event in written["events"]]  # where one turns into the other, some
    assert (labels[0], labels[-1]) == ("dark", "bright")
    for event in written["events"]:
        within = (event["start_s"] <= times_s) & (times_s <= event["end_s"])
        assert event["label"] in best[within]


def test_background_is_no_event_and_the_table_is_readable(long_video, small_run, capsys):
    make(long_video, small_run, as_json=False, overrides=["events.background=[dark]"])
    (line,) = capsys.readouterr().out.splitlines()
    start, end, label, score = line.split()
    assert (start[:3], end[:3], label) == ("0:0", "0:1", "bright")
    assert 0.4 <= float(score) <= 1


def test_every_format_is_written_and_says_the_same(long_video, small_run, tmp_path, capsys):
    targets = [tmp_path / f"t{suffix}" for suffix in (".json", ".csv", ".vtt", ".srt", ".eaf")]
    make(long_video, small_run, [*targets, tmp_path / "t.PNG"])
    events = json.loads(capsys.readouterr().out)["events"]
    labels = [event["label"] for event in events]
    assert [e["label"] for e in json.loads(targets[0].read_text())["events"]] == labels
    assert [segment.label for segment in read_segments(targets[1])] == labels
    assert targets[2].read_text().startswith("WEBVTT")
    assert targets[3].read_text().count("-->") == len(labels)
    assert ElementTree.parse(targets[4]).getroot().tag == "ANNOTATION_DOCUMENT"
    assert (tmp_path / "t.PNG").read_bytes().startswith(b"\x89PNG")


def test_a_reference_adds_scores(long_video, small_run, tmp_path, capsys):
    reference = tmp_path / "reference.csv"
    reference.write_text("start_s,end_s,label\n0,6,dark\n6,12,bright\n12,17.8,dark\n")
    make(long_video, small_run, reference=reference)
    assert json.loads(capsys.readouterr().out)["scores"]["f1"]["50"] == 1.0
    cues = "00:00,000 --> 00:06,000\ndark\n\n00:06,000 --> 00:12,000\nbright\n"
    reference = tmp_path / "reference.srt"
    reference.write_text(f"{cues}\n00:12,000 --> 00:17,800\ndark\n")
    make(long_video, small_run, reference=reference, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1].startswith("F1@10 1.000, F1@25 1.000")


@pytest.mark.parametrize(("number", "told"), [(0, 1), (9, 0)])  # a training clip, a test clip
def test_scores_on_a_video_of_the_training_are_told_to_be_too_good(
    number, told, small_run, tmp_path, capsys
):
    reference = tmp_path / "reference.csv"
    reference.write_text("start_s,end_s,label\n0,1,dark\n")
    make(small_run.path.parents[1] / f"{number}.mp4", small_run, reference=reference)
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert sum("the model was trained on this video" in one for one in warnings) == told


def test_a_mistake_is_found_before_the_work(long_video, small_run, tmp_path):
    with pytest.raises(ConfigError, match=r"unknown ending '\.doc'; use \.json, \.csv"):
        make(long_video, small_run, [tmp_path / "t.doc"])
    with pytest.raises(ConfigError, match="make it first"):
        make(long_video, small_run, [tmp_path / "none" / "t.csv"])
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        make(long_video, small_run, [tmp_path / "folder.csv"])
    with pytest.raises(DataError, match="no class sleep; its classes are bright, dark"):
        make(long_video, small_run, overrides=["events.background=[sleep]"])
    with pytest.raises(DataError, match="no file at"):
        make(long_video, small_run, reference=tmp_path / "none.csv")
    with pytest.raises(ConfigError, match=r"exit \(0\.9\) must not be above enter"):
        make(long_video, small_run, overrides=["events.exit=0.9"])


def test_no_target_replaces_what_is_read_or_written(long_video, small_run, tmp_path):
    reference = tmp_path / "reference.csv"
    reference.write_text("start_s,end_s,label\n0,6,dark\n")
    with pytest.raises(ConfigError, match="would replace a file"):
        make(long_video, small_run, [reference], reference)
    with pytest.raises(ConfigError, match="would replace a file"):
        make(long_video, small_run, [tmp_path / "t.csv", tmp_path / "x" / ".." / "t.csv"])
    assert reference.read_text().endswith("0,6,dark\n")


def test_what_can_be_written_is_written_though_one_target_fails(
    long_video, small_run, tmp_path, monkeypatch, capsys
):
    def fail(timeline, path):
        if path.suffix == ".vtt":
            raise ConfigError("no space")
        write_timeline(timeline, path)

    monkeypatch.setattr("action_gru.apps.timeline.write_timeline", fail)
    with pytest.raises(ConfigError, match="no space"):
        make(long_video, small_run, [tmp_path / "t.vtt", tmp_path / "t.csv"])
    assert (tmp_path / "t.csv").is_file()
    assert json.loads(capsys.readouterr().out)["events"]


def test_a_reference_with_an_unknown_label_is_named(long_video, small_run, tmp_path):
    (tmp_path / "r.csv").write_text("start_s,end_s,label\n0,6,Dark\n")
    with pytest.raises(
        DataError, match=r"r\.csv: unknown label Dark; the classes are bright, dark"
    ):
        make(long_video, small_run, reference=tmp_path / "r.csv")


def test_background_in_a_reference_is_no_segment(long_video, small_run, tmp_path, capsys):
    (tmp_path / "r.csv").write_text("start_s,end_s,label\n0,6,dark\n6,12,bright\n12,17.8,dark\n")
    overrides = ["events.background=[dark]"]
    make(long_video, small_run, reference=tmp_path / "r.csv", overrides=overrides)
    assert json.loads(capsys.readouterr().out)["scores"]["f1"]["50"] == 1.0


def test_with_several_labels_the_reference_may_overlap(long_video, small_run, tmp_path, capsys):
    model, told = tmp_path / "many.safetensors", load_checkpoint(small_run.path)
    save_checkpoint(replace(told, model=told.model | {"many": True}), model)
    (tmp_path / "r.csv").write_text("start_s,end_s,label\n0,12,dark\n6,12,bright\n")
    labels = ["data.labels=many", "events.background=[dark]"]
    timeline(long_video, model, labels, [], tmp_path / "r.csv", json_=True, quiet=True)
    counts = json.loads(capsys.readouterr().out)["scores"]["counts"]["10"]
    assert counts["true_positives"] + counts["false_negatives"] == 1  # dark is no event


def test_doubts_are_told(small_run, tmp_path, capsys):
    video = write_square(tmp_path / "dark.mp4", 60, seed=4)
    (tmp_path / "r.csv").write_text("start_s,end_s,label\n0,60,dark\n")
    make(video, small_run, reference=tmp_path / "r.csv")
    told = " ".join(capsys.readouterr().err.split())
    assert "'dark' from start to end" in told
    assert "the reference continues after its end" in told


def test_a_file_that_is_no_video_leaves_no_output(small_run, tmp_path):
    (tmp_path / "no.mp4").write_bytes(b"nothing" * 50)
    with pytest.raises(VideoError, match=r"no\.mp4"):
        make(tmp_path / "no.mp4", small_run, [tmp_path / "t.csv"])
    assert not (tmp_path / "t.csv").exists()


def test_three_frames_make_a_timeline_of_nothing(small_run, tmp_path, capsys):
    make(write_square(tmp_path / "short.mp4", 3), small_run, as_json=False)
    assert capsys.readouterr().out.startswith(("nothing in particular", "  "))


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_read(small_run, tmp_path):
    video = write_square(tmp_path / "endless.mp4", 6000)
    target = tmp_path / "t.csv"
    process = subprocess.Popen(
        [sys.executable, "-m", "action_gru", "timeline", video, "--model", small_run.path,
         "--out", target, "--out", tmp_path / "t.json", "--json", "stream.max_gap_s=60"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    while not re.match(r"timeline: [1-9]", process.stderr.readline()):  # seconds of the video
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    answer = json.loads(out)
    assert not answer["complete"]
    assert 0 < answer["duration_s"] < 599
    assert json.loads((tmp_path / "t.json").read_text())["complete"] is False
    with target.open() as file:
        assert len(list(csv.DictReader(file))) == len(answer["events"])
    assert "what was read is kept" in err


def test_the_python_api_does_the_same(long_video, small_run):
    recognizer = ActionRecognizer.load(small_run.path, device="cpu")
    timeline = recognizer.timeline(long_video)
    assert [event.label for event in timeline.events] == ["dark", "bright", "dark"]
    assert timeline.classes == ("bright", "dark")
