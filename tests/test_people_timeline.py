"""timeline --per-person and webcam --per-person on a drawn video, with a scripted detector."""

import csv
import json

import numpy as np
import pytest
from helpers.people_doubles import ScriptedDetector
from helpers.videos import write_square
from typer.testing import CliRunner

from action_gru import ActionRecognizer
from action_gru.apps.live_loop import LiveLoop
from action_gru.apps.live_view import LiveView
from action_gru.apps.overlay import PLAIN, marks_of
from action_gru.apps.webcam import WebcamOptions, run_webcam
from action_gru.cli.commands import app
from action_gru.cli.inference import timeline
from action_gru.config import build_config
from action_gru.core.errors import BackboneError, ConfigError
from action_gru.core.graphics import class_colours, rgb
from action_gru.core.progress import Reporter
from action_gru.video import VideoFile

BOTH = [("person", 2, 4, 40, 60), ("person", 50, 4, 90, 60), ("chair", 40, 30, 60, 60)]
OVERRIDES = ["people.timeout_s=0.5"]


@pytest.fixture
def detector(monkeypatch):
    made = ScriptedDetector([BOTH] * 10_000)
    monkeypatch.setattr("action_gru.recognizer.build_detector", lambda config: made)
    return made


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_square(tmp_path_factory.mktemp("people") / "square.mp4", 50, seed=104)


def make(video, run, targets=(), annotated=None, as_json=True, overrides=OVERRIDES):
    options = {"per_person": True, "annotate": annotated, "json_": as_json, "quiet": True}
    timeline(video, run.path, list(overrides), list(targets), **options)


def test_events_name_their_person_in_every_format(video, small_run, detector, tmp_path, capsys):
    targets = [tmp_path / f"t{suffix}" for suffix in (".json", ".csv", ".vtt", ".eaf", ".png")]
    make(video, small_run, targets)
    answer = json.loads(capsys.readouterr().out)
    assert answer["people"] == 2
    assert {event["person"] for event in answer["events"]} == {1, 2}
    with (tmp_path / "t.csv").open() as file:
        assert {row["person"] for row in csv.DictReader(file)} == {"1", "2"}
    assert "person 2: " in (tmp_path / "t.vtt").read_text()
    assert 'TIER_ID="person 1"' in (tmp_path / "t.eaf").read_text()
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_names_the_person(video, small_run, detector, capsys):
    make(video, small_run, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert all("  person 1  " in line or "  person 2  " in line for line in lines)


def test_the_video_shows_everyone(video, small_run, detector, tmp_path, capsys):
    target = tmp_path / "a.mp4"
    make(video, small_run, annotated=target)
    with VideoFile(target) as made:
        frames = [frame.image for frame in made]
    assert len(frames) == 25  # 5 seconds at the model's 5 frames a second
    with VideoFile(video) as source:
        plain = next(iter(source.frames())).image
    assert np.abs(frames[10][30, 50].astype(int) - plain[30, 50]).max() > 40  # the box's edge


def test_nobody_and_a_crowd_are_told(video, small_run, detector, capsys):
    detector.script = [[]]
    make(video, small_run)
    assert "nobody was found" in " ".join(capsys.readouterr().err.split())
    detector.script, detector.asked = [BOTH], 0
    make(video, small_run, overrides=["people.max=1"])
    told = " ".join(capsys.readouterr().err.split())
    assert "someone was seen and not followed: people.max is 1" in told


def test_a_mistake_is_named(video, small_run, detector, tmp_path):
    with pytest.raises(ConfigError, match=r"people\.classes: the detector knows no 'persom'; did "
                       r"you mean 'person'\?; its classes are person, chair"):  # fmt: skip
        make(video, small_run, overrides=["people.classes=[persom]"])
    with pytest.raises(ConfigError, match=r"--annotate .*unknown ending '\.txt'"):
        make(video, small_run, annotated=tmp_path / "a.txt")
    with pytest.raises(ConfigError, match="would replace a file"):
        make(video, small_run, annotated=video)


def test_without_weights_the_file_and_the_way_to_get_it_are_named(video, small_run, tmp_path):
    overrides = ["features.download=false"]
    with pytest.raises(BackboneError, match=r"detection\.weights: 'yolo26n\.pt' is not on this "
                       r"machine .*features\.download=true"):  # fmt: skip
        make(video, small_run, overrides=overrides)
    with pytest.raises(BackboneError, match=r"detection\.weights: no file at .*none\.pt"):
        make(video, small_run, overrides=[f"detection.weights={tmp_path / 'none.pt'}"])
    with pytest.raises(BackboneError, match=r"'yolo99\.pt' is neither .* such as yolo26n\.pt"):
        make(video, small_run, overrides=["detection.weights=yolo99.pt"])


def test_a_failed_download_says_where_the_file_belongs(small_run, video, tmp_path, monkeypatch):
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    monkeypatch.setenv("ACTION_GRU_WEIGHTS_URL", f"file://{tmp_path}/nowhere")
    with pytest.raises(BackboneError) as caught:
        make(video, small_run)
    told = str(caught.value)
    assert told.startswith("detection.weights: 'yolo26n.pt' is not on this machine and could not")
    assert f"put it at {tmp_path / 'weights' / 'yolo26n.pt'}" in told
    assert told.endswith("or set detection.weights to a local .pt")


def test_options_that_contradict_are_refused(video, small_run, tmp_path):
    reference = tmp_path / "r.csv"
    reference.write_text("start_s,end_s,label\n")
    common = ["timeline", str(video), "--model", str(small_run.path)]
    refused = CliRunner().invoke(app, [*common, "--per-person", "--reference", str(reference)])
    assert "--reference has one action at a time" in str(refused.exception)
    refused = CliRunner().invoke(app, [*common, "--annotate", str(tmp_path / "a.mp4")])
    assert "--annotate needs --per-person" in str(refused.exception)


def test_the_live_loop_tells_of_everyone(video, small_run, detector, capsys):
    options = WebcamOptions(window=False, as_json=True, pace=False, per_person=True)
    summary = run_webcam([str(video)], small_run.path, OVERRIDES, options, Reporter(quiet=True))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = [line for line in lines if "people" in line]
    assert summary["predictions"] == len(said) == 25
    assert [one["person"] for one in said[10]["people"]] == [1, 2]
    assert said[10]["people"][0]["box"] == [50, 4, 90, 60]  # the larger one first
    assert said[10]["people"][0]["label"] in ("bright", "dark")
    ended = [line["ended"] for line in lines if "ended" in line]
    assert {event["person"] for event in ended} == {1, 2}


@pytest.mark.slow
def test_a_zone_lets_pass_whose_feet_were_in_it(video, small_run, detector, tmp_path, monkeypatch):
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    zone = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]  # the right half: person 1 stands there
    entries = [
        {"kind": "jsonl", "path": str(tmp_path / name), "zone": corners}
        for name, corners in {"all": None, "right": zone}.items()
    ]
    sinks = build_config({"events": {"sinks": entries}}).events.sinks
    options = WebcamOptions(window=False, pace=False, per_person=True, sinks=sinks)
    run_webcam([str(video)], small_run.path, OVERRIDES, options, Reporter(quiet=True))
    told = {
        name: [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("all", "right")
    }
    assert {one["person"] for one in told["all"]} == {1, 2}
    assert {one["person"] for one in told["right"]} == {1}
    assert told["right"][0]["box"] == [50, 4, 90, 60]
    assert told["right"][0]["picture_px"] == [96, 64]


def test_the_live_view_marks_everyone_also_beside_another_source(video, small_run, detector):
    recognizer = ActionRecognizer.load(small_run.path, device="cpu", overrides=OVERRIDES)
    for count in (1, 2):
        with LiveLoop(recognizer, [str(video)] * count, pace=False, per_person=True) as loop:
            view = LiveView(loop)
            for turn, _ in enumerate(loop.turns()):
                if turn > 6 and all(feed.stream.people for feed in loop.feeds):
                    break
            drawn = view.draw()
            first = marks_of(loop.feeds[0].stream.people)[0]
        assert drawn.shape == ((64, 96, 3) if count == 1 else (360, 1280, 3))
        # The first person's box: left edge 50 of 96, or of the tile that is 540 of 640 wide.
        column = 50 if count == 1 else 50 + round(50 * 540 / 96)
        rows = drawn[drawn.shape[0] // 2 :, column - 1 : column + 2].reshape(-1, 3)
        known = class_colours(recognizer.classes)
        colour = PLAIN if first.score is None else rgb(known[first.label])
        assert (rows == colour).all(-1).any()
