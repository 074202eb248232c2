"""Train: when it may begin, what is told on the way, and what stays of one that ends early."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.asked_engines import add_clips, studio_in

from action_gru.apps.studio.engine import StoppedTaskError, TaskError
from action_gru.apps.studio.extraction import Extraction
from action_gru.apps.studio.session import Facts
from action_gru.apps.studio.training import NotNowError, Training

WAIT_S = 120


@pytest.fixture
def studio(tmp_path):
    """Two actions of three clips each, read."""
    made = studio_in(tmp_path / "mine")
    made.training = Training(made)
    for action in ("wave", "clap"):
        made.project.add(action)
    add_clips(made, wave=3, clap=3)
    made.facts |= {clip.id: Facts("ready") for clip in made.shelf.clips()}
    return made


def test_what_is_missing_is_said_and_refused(tmp_path):
    studio = studio_in(tmp_path / "mine")
    training = Training(studio)
    studio.project.add("wave")
    add_clips(studio, wave=5)
    missing = "record at least 3 clips of each of two actions"
    assert training.state()["why_not"] == missing
    with pytest.raises(NotNowError, match=missing):
        training.start()
    studio.project.add("clap")
    add_clips(studio, clap=3)
    assert training.state()["why_not"] is None
    bad = "clap/20261129-101500-1.webm"
    studio.facts[bad] = Facts("failed", "no video")
    assert training.state()["why_not"] == "record at least 3 clips of each action: clap has 2"
    assert training.state()["clips_new"] == 7


def test_a_training_tells_its_curve_its_draft_and_its_end(studio):
    training, trainer = studio.training, studio.trainer
    training.start()
    assert trainer.asked == [("train_project", ("model-1",))]
    tell = trainer.told[0]
    draft = {"score": 0.5, "text": "1 of 2"}
    tell({"draft": draft})
    tell({"stage": "training", "share": 0.2})
    epochs = [{"epoch": n, "train": 0.5, "held_out": 0.5} for n in (1, 2)]
    for epoch in epochs:
        tell({"epoch": epoch})
    state = training.state()
    assert (state["state"], state["stage"], state["share"]) == ("running", "training", 0.2)
    assert (state["curve"], state["draft"], state["why_not"]) == (epochs, draft, None)
    with pytest.raises(NotNowError, match="a training is running"):
        training.start()
    trainer.answer("model-1")
    state = training.state()
    assert (state["state"], state["curve"], state["draft"]) == ("idle", epochs, draft)


def test_it_waits_until_every_clip_is_read(studio):
    slow = "wave/20261129-101500-1.webm"
    studio.facts[slow] = Facts("waiting")
    studio.training.start()
    assert studio.trainer.asked == []
    assert studio.training.state()["stage"] == "reading clips"
    studio.facts[slow] = Facts("ready")
    studio.changed()
    studio.changed()
    assert studio.trainer.asked == [("train_project", ("model-1",))]


def test_with_the_extraction_a_burst_is_read_and_then_trained_on(tmp_path):
    studio = studio_in(tmp_path / "mine")
    Extraction(studio)
    training = Training(studio)
    for action in ("wave", "clap"):
        studio.project.add(action)
    add_clips(studio, wave=3, clap=3)
    training.start()
    for _ in range(6):
        assert studio.trainer.asked == []
        studio.reader.answer({"problem": None, "warnings": [], "alike": [], "file_s": 2.0})
    assert studio.trainer.asked == [("train_project", ("model-1",))]


def test_cancelling_stops_the_worker_and_what_it_still_says_is_nothing(studio):
    training, trainer = studio.training, studio.trainer
    training.start()
    left = studio.folder / ".studio" / "training" / "model-1"
    left.mkdir(parents=True)
    training.cancel()
    assert (training.state()["state"], trainer.restarts) == ("cancelled", 1)
    trainer.told[0]({"stage": "training", "share": 0.5})
    trainer.answer(StoppedTaskError("train_project: stopped"))
    assert training.state()["state"] == "cancelled"
    assert training.state()["share"] == 0.0
    assert not left.exists()
    with pytest.raises(NotNowError, match="no training is running"):
        training.cancel()
    training.start()
    trainer.told[0]({"epoch": {"epoch": 9}})
    assert training.state()["curve"] == []
    assert training.state()["state"] == "running"


def test_one_that_waits_for_clips_is_cancelled_without_the_worker(studio):
    studio.facts["wave/20261129-101500-1.webm"] = Facts("waiting")
    studio.training.start()
    studio.training.cancel()
    studio.facts["wave/20261129-101500-1.webm"] = Facts("ready")
    studio.changed()
    assert (studio.trainer.asked, studio.trainer.restarts) == ([], 0)


def test_a_training_that_an_earlier_studio_broke_off_is_told_and_removed(tmp_path):
    left = tmp_path / "mine" / ".studio" / "training" / "model-1"
    left.mkdir(parents=True)
    studio = studio_in(tmp_path / "mine")
    training = Training(studio)
    studio.clips_changed()  # as at its start
    assert training.state()["state"] == "failed"
    assert training.state()["error"].startswith("the last training was broken off when the studio")
    assert not left.parent.exists()


def test_a_failed_training_says_why_and_another_may_follow(studio):
    studio.training.start()
    studio.trainer.answer(TaskError("clips: too few; record more"))
    state = studio.training.state()
    assert (state["state"], state["error"]) == ("failed", "clips: too few; record more")
    studio.training.start()
    assert studio.training.state()["error"] is None


# With the real trainer.


def draw_clips(folder, actions=("wave", "sit_down", "idle"), count=6):
    """A project that the small network reads, with drawn people; two takes of each action."""
    from action_gru.demo.scenes import draw_clip
    from action_gru.prepare.project import open_project
    from action_gru.video import VideoWriter

    project = open_project(folder)
    (project.hidden / "network").write_text("builtin")
    for place, action in enumerate(actions):
        project.add(action)
        for number in range(count):
            take = f"20261129-1015{2 * place + number % 2:02d}"
            path = project.clips / action / f"{take}-{number + 1}.mp4"
            seed, size = 100 * place + number, (160, 96)
            images = draw_clip(action, seed, fps=12.0, duration_s=1.5, size_px=size)
            with VideoWriter(path, size, 12.0) as writer:
                for image in images:
                    writer.write(image)
    return project


@pytest.mark.slow
def test_a_training_leaves_a_scored_run_that_every_command_understands(tmp_path, monkeypatch):
    from action_gru import ActionRecognizer
    from action_gru.apps.studio.work_training import train_project
    from action_gru.core.progress import Reporter
    from action_gru.evaluation.evaluate import evaluate
    from action_gru.training import RunFolder

    project, told = draw_clips(tmp_path / "mine"), []
    monkeypatch.chdir(project.folder)
    assert train_project(told.append, "model-1") == "model-1"
    run = Path("runs/model-1")
    document = json.loads((run / "studio.json").read_bytes())
    assert document["clips"] == 18
    assert document["held_out"] == 9  # whole takes
    assert sum(one["total"] for one in document["actions"]) == 9
    assert document["score"] == sum(one["right"] for one in document["actions"]) / 9
    assert {one["clip"] for one in document["mistakes"]} <= set(document["known"])
    assert not (project.hidden / "training").exists()

    epochs = [value["epoch"] for value in told if "epoch" in value]
    assert [one["epoch"] for one in epochs] == list(range(1, 16))
    assert epochs[-1]["held_out"] == round(document["score"], 4)  # the model that is scored
    shares = [value["share"] for value in told if "share" in value]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len({share for share in shares if 0.1 < share < 0.8}) > 30  # each model moves it
    order = [next(iter(value)) for value in told]
    assert order.index("draft") < order.index("epoch")

    config = RunFolder.open(run).config()
    assert (str(config.run.folder), config.data.split) == ("runs", "group")
    clip = next(project.clips.glob("wave/*.mp4"))
    assert ActionRecognizer.load(run).classify(clip).label in ("wave", "sit_down", "idle")
    report, _ = evaluate(RunFolder.open(run), Reporter(mute=True))
    assert report.metrics.top1 == document["score"]


@pytest.mark.slow
def test_looking_on_changes_no_weight(tmp_path, monkeypatch):
    """The live curve asks the model about held-out clips after each epoch."""
    from action_gru.apps.studio.work_training import _curve, _prepare
    from action_gru.config import build_config
    from action_gru.core.progress import Reporter
    from action_gru.training import load_checkpoint, train

    project, looks = draw_clips(tmp_path / "mine", count=4), []
    monkeypatch.chdir(project.folder)
    few = ["training.epochs=3", "calibration.how=none"]
    config = build_config(_prepare("model-1")[0].to_tree(), few)
    runs = [train(config, Reporter(mute=True), watch=_curve(looks.append))]
    runs.append(train(config, Reporter(mute=True)))
    assert [look["epoch"]["epoch"] for look in looks] == [1, 2, 3]
    watched, alone = (load_checkpoint(run.best).weights for run in runs)
    assert all(watched[name].equal(alone[name]) for name in alone)


SERVER = """
import sys, time
from pathlib import Path
from action_gru.apps.studio.session import Studio
from action_gru.apps.studio.extraction import Extraction
from action_gru.apps.studio.training import Training
if __name__ == "__main__":
    studio = Studio(Path(sys.argv[1]))
    Extraction(studio)
    training = Training(studio)
    studio.start()
    asked = False
    while True:
        state = training.state()
        if not asked and state["why_not"] is None and studio.facts:
            training.start()
            asked, state = True, training.state()
        print(state["state"], len(state["curve"]), state["error"], flush=True)
        if asked and state["state"] != "running":
            break
        time.sleep(0.05)
    studio.close()
    print("closed", flush=True)
"""


def serve(folder, script):
    script.write_text(SERVER)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(folder)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_server_killed_while_training_loses_no_clip_and_leaves_no_half_run(tmp_path):
    import psutil

    project = draw_clips(tmp_path / "mine", count=4)
    clips = sorted(path.name for path in project.clips.rglob("*.mp4"))
    with serve(project.folder, tmp_path / "server.py") as server:
        for line in server.stdout:
            if line.startswith("running") and int(line.split()[1]) >= 3:
                break
        workers = psutil.Process(server.pid).children(recursive=True)
        server.kill()
    ends = time.monotonic() + WAIT_S
    while any(one.is_running() and one.status() != "zombie" for one in workers):
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert list(project.runs.iterdir()) == []
    assert sorted(path.name for path in project.clips.rglob("*.mp4")) == clips
    with serve(project.folder, tmp_path / "server.py") as server:
        lines = server.stdout.read().splitlines()
    assert lines[-1] == "closed"
    assert [path.name for path in project.runs.iterdir()] == ["model-1"]
    assert not (project.hidden / "training").exists()
