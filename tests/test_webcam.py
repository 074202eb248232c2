"""The live loop and the webcam command; sources are files and a server on loopback."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.live_servers import MJPEGServer, eventually
from helpers.videos import write_square

from action_gru import ActionRecognizer
from action_gru.apps.checks import check_display
from action_gru.apps.live_loop import LiveLoop
from action_gru.apps.live_view import LiveView, fitted, still_holds
from action_gru.apps.overlay import marks_of
from action_gru.apps.recorder import RECORDED_FPS, Recorder
from action_gru.apps.webcam import (
    Webcam,
    WebcamOptions,
    _current_json,
    _prediction_json,
    run_webcam,
)
from action_gru.cli.live import webcam
from action_gru.core.errors import ConfigError, VideoError
from action_gru.core.progress import Reporter
from action_gru.timeline import ManyEventTracker, Prediction
from action_gru.video import Frame, VideoFile

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def recognizer(small_run) -> ActionRecognizer:
    return ActionRecognizer.load(small_run.path, device="cpu")


def test_a_file_without_pace_is_read_whole_and_as_the_timeline_reads_it(recognizer, tmp_path):
    video = write_square(tmp_path / "a.mp4", 60, seed=3)
    expected = list(recognizer.read_timeline(video))
    with LiveLoop(recognizer, [str(video)], pace=False) as loop:
        answers = [a.prediction for turn in loop.turns() for a in turn if a.latency_s is not None]
    assert [answer.time_s for answer in answers] == [answer.time_s for answer in expected]
    for answer, other in zip(answers, expected, strict=True):
        assert answer.scores == pytest.approx(other.scores, abs=0.02)  # batches round differently
    assert loop.summary()["dropped"] == 0


def test_the_newest_frame_wins_and_dropped_samples_are_counted(recognizer, tmp_path):
    video = write_square(tmp_path / "a.mp4", 40, fps=20.0)
    lags_s = []
    with LiveLoop(recognizer, [str(video)]) as loop:
        advance = loop.engine.advance

        def slow(streams, samples):
            time.sleep(0.5)  # two samples come meanwhile
            return advance(streams, samples)

        loop.engine.advance = slow
        try:
            for turn in loop.turns():
                lags_s += [a.feed.frame.time_s - a.prediction.time_s for a in turn if a.prediction]
        finally:
            del loop.engine.advance
    assert loop.summary()["dropped"] >= 2
    # What is answered was the newest when the model took it; it never falls further behind.
    assert max(lags_s) < 2 * 0.5 + 0.4


def test_several_sources_share_one_backbone_call(recognizer, tmp_path):
    videos = [str(write_square(tmp_path / f"{n}.mp4", 30, seed=n)) for n in range(3)]
    sizes = []
    backbone = recognizer.engine.backbone
    with LiveLoop(recognizer, videos, pace=False) as loop:
        loop.engine.backbone = lambda images: sizes.append(len(images)) or backbone(images)
        try:
            seen = {answer.feed.source.name for turn in loop.turns() for answer in turn}
        finally:
            loop.engine.backbone = backbone
    assert seen == set(videos)
    assert loop.predictions == 45
    assert sum(sizes) == 90  # two views
    assert max(sizes) > 2
    picture = LiveView(loop).draw()
    assert picture.shape == (720, 1280, 3)  # two by two tiles


def test_a_lost_stream_is_told_on_the_picture_and_comes_back(recognizer):
    with MJPEGServer() as server, LiveLoop(recognizer, [server.url]) as loop:
        (feed,) = loop.feeds
        turns = loop.turns()

        def reaches(state):
            return eventually(lambda: next(turns) is not None and feed.source.status.state == state)

        server.cut()
        assert reaches("lost")
        assert "lost, trying again" in feed.source.status.detail
        assert (LiveView(loop).draw()[-3:, -3:] == (150, 30, 20)).all()
        before = loop.predictions
        with MJPEGServer(server.port):
            assert reaches("live")
            assert eventually(lambda: next(turns) is not None and loop.predictions > before)
            assert loop.summary()["reconnects"] == 1


@pytest.mark.slow
def test_pictures_of_another_size_are_told_drawn_and_recorded_at_the_first_size(
    recognizer, tmp_path, capsys
):
    options = WebcamOptions(window=False, as_json=True, record=tmp_path / "r.mp4")
    with MJPEGServer() as server, LiveLoop(recognizer, [server.url]) as loop:
        (feed,) = loop.feeds
        webcam = Webcam(loop, None, options, QUIET)
        turns = loop.turns()

        def step():
            next(turns)
            webcam._say_state(feed)
            webcam._draw()
            return feed.stream.restarts

        assert eventually(lambda: step() == 0 and loop.predictions > 3)
        server.size_px = (320, 240)
        assert eventually(lambda: step() == 1)
        assert webcam.view.draw().shape == (240, 320, 3)
        assert len(webcam.view._overlays) == 1
        server.cut()
        with MJPEGServer(server.port) as other:
            other.size_px, other.pixels = (320, 240), "full"
            assert eventually(lambda: step() == 2)
        webcam.close()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    details = [line["detail"] for line in told if "restarts" in line]
    assert details[0] == "the frames changed from 96 x 64 to 320 x 240 pixels"
    came_back, was = details[1].split(", not ")
    assert came_back.startswith("it came back with 320 x 240, ")
    assert (came_back.split()[-1], was.split()[-1]) == ("yuvj444p", "yuvj420p")
    with VideoFile(tmp_path / "r.mp4") as recorded:
        assert {frame.image.shape for frame in recorded} == {(64, 96, 3)}


def test_a_source_that_is_not_there_is_named(recognizer, tmp_path):
    with pytest.raises(VideoError, match=r"none\.mp4"), LiveLoop(recognizer, ["none.mp4"]):
        pass
    with pytest.raises(VideoError, match="camera 97"), LiveLoop(recognizer, ["97"]):
        pass
    good = str(write_square(tmp_path / "a.mp4", 200))
    gone = LiveLoop(recognizer, [good, "http://127.0.0.1:9/cam"])
    with pytest.raises(VideoError, match="refused"), gone:
        pass
    assert not [t for t in threading.enumerate() if t.name.startswith("live ")]


def test_a_recording_keeps_real_time_and_one_size(tmp_path):
    clock = iter([0.0, 0.4, 0.5, 5.0, 5.2])
    recorder = Recorder(tmp_path / "r.mp4", now_s=lambda: next(clock))
    for size in (64, 64, 64, 64, 48):
        recorder.add(np.full((48, size, 3), 90, np.uint8))
    frames = recorder.close()
    assert frames == pytest.approx(
        (0.5 + 0.2) * RECORDED_FPS + 1, abs=1
    )  # 4.5 s without pictures left out
    with VideoFile(tmp_path / "r.mp4") as video:
        assert [frame.image.shape for frame in video] == [(48, 64, 3)] * frames


def test_a_pause_is_left_out_of_a_recording(tmp_path):
    clock = [0.0]
    recorder = Recorder(tmp_path / "r.mp4", now_s=lambda: clock[0])
    picture = np.full((48, 64, 3), 90, np.uint8)
    for now_s in (0.0, 0.5, 1.0):
        clock[0] = now_s
        recorder.add(picture)
    clock[0] = 1.2
    recorder.pause()
    for now_s in (2.5, 3.0):  # less than what is filled where pictures are late
        clock[0] = now_s
        recorder.add(picture)
    assert recorder.close() == pytest.approx((1.2 + 0.5) * RECORDED_FPS + 1, abs=2)


class Still:
    """A loop of one file that stands still."""

    def __init__(self) -> None:
        self.display_label: list[bool] = []
        source = SimpleNamespace(name="a.mp4", pause=self.display_label.append)
        self.feeds = [SimpleNamespace(source=source, stream=SimpleNamespace(restarts=0))]


def test_space_pauses_the_source_and_the_recording_and_goes_on(tmp_path):
    loop = Still()
    webcam = Webcam(loop, None, WebcamOptions(record=tmp_path / "r.mp4"), QUIET)
    picture = np.full((48, 64, 3), 90, np.uint8)
    webcam.view = SimpleNamespace(draw=lambda notes: shown.append(notes) or picture)
    shown: list[list[str]] = []

    def draw(times: int) -> None:
        for _ in range(times):
            webcam._drawn_s = 0.0
            webcam._draw()

    draw(1)
    webcam._obey(" ")
    draw(3)
    assert webcam.recorder._next_s is None  # nothing was added meanwhile
    webcam._obey(" ")
    draw(1)
    assert loop.display_label == [True, False]
    assert shown == [["● recording"], *[["paused, the recording too"]] * 3, ["● recording"]]
    assert webcam.recorder._next_s is not None


def test_a_recording_of_a_pause_alone_is_no_file(tmp_path):
    webcam = Webcam(Still(), None, WebcamOptions(record=tmp_path / "r.mp4"), QUIET)
    webcam._obey(" ")
    webcam.view = SimpleNamespace(draw=lambda notes: np.zeros((48, 64, 3), np.uint8))
    webcam._draw()
    webcam._stop_recording()
    assert list(tmp_path.iterdir()) == []


def test_a_paused_camera_s_frames_are_left_out(recognizer):
    with MJPEGServer() as server, LiveLoop(recognizer, [server.url]) as loop:
        (feed,) = loop.feeds
        assert eventually(lambda: feed.frame is not None)
        feed.source.pause(True)
        time.sleep(0.2)
        last_s = feed.frame.time_s
        time.sleep(0.5)
        assert feed.frame.time_s == last_s
        feed.source.pause(False)
        assert eventually(lambda: feed.frame.time_s > last_s)
        assert feed.frame.time_s > last_s + 0.4  # its own clock went on


def scene(seed, shift=0):
    """A coarse picture of its own colours, (180, 320, 3); shift: something in it moves."""
    tiles = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    image = tiles.repeat(20, 0).repeat(20, 1)
    image[60:150, 40 + shift : 100 + shift] = (200, 30, 30)
    return image


def test_no_box_outlives_a_cut_or_a_gap():
    def feed(answered, frame):
        sampler = SimpleNamespace(max_gap_s=1.0)
        stream = SimpleNamespace(sampler=sampler)
        return SimpleNamespace(answered=answered, frame=frame, stream=stream)

    before = Frame(0, 1.0, scene(1))
    assert still_holds(feed(before, before))
    assert still_holds(feed(before, Frame(1, 1.2, scene(1, shift=80))))  # someone walks
    assert not still_holds(feed(before, Frame(1, 1.04, scene(2))))  # a cut
    assert not still_holds(feed(before, Frame(1, 2.5, scene(1))))  # a gap
    assert not still_holds(feed(before, Frame(1, 0.0, scene(1))))  # it began anew
    assert not still_holds(feed(None, before))


def test_a_picture_is_fitted_without_distortion():
    image = np.full((100, 100, 3), 200, np.uint8)
    shown = fitted(image, (160, 80))
    assert shown.shape == (80, 160, 3)
    assert (shown[:, 45:115] > 190).all()
    assert (shown[:, :38] == 0).all()


@pytest.mark.slow
def test_json_lines_end_with_a_summary_and_the_recording_is_there(small_run, tmp_path):
    video = write_square(tmp_path / "a.mp4", 50, seed=4)
    done = subprocess.run(
        [sys.executable, "-m", "action_gru", "webcam", "-m", small_run.path, "--source", video,
         "--no-window", "--no-pace", "--json", "--quiet", "--record", tmp_path / "r.mp4"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    predictions = [line for line in lines if "label" in line]
    assert len(predictions) == 25
    assert {"source", "time_s", "score", "top", "event", "latency_ms", "dropped"} < set(
        predictions[0]
    )
    assert [line["ended"]["label"] for line in lines if "ended" in line] == ["dark"]
    summary = lines[-1]["summary"]
    assert summary["predictions"] == 25
    assert summary["latency_p95_ms"] >= summary["latency_p50_ms"] > 0
    assert 0 < summary["share_beside_backbone"] < 1
    assert done.stderr == ""
    with VideoFile(tmp_path / "r.mp4") as recorded:
        assert next(iter(recorded)).image.shape == (64, 96, 3)


@pytest.mark.slow
def test_ctrl_c_finishes_the_recording(small_run, tmp_path):
    video = write_square(tmp_path / "a.mp4", 50)
    process = subprocess.Popen(
        [sys.executable, "-m", "action_gru", "webcam", "-m", small_run.path, "--source", video,
         "--loop", "--no-window", "--json", "--record", tmp_path / "r.mp4"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(12):  # a frame that is shown late may be recorded for several, or not at all
        assert "label" in json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "summary" in json.loads(out.splitlines()[-1])
    assert "wrote" in err
    with VideoFile(tmp_path / "r.mp4") as recorded:
        assert len(list(recorded)) > 5


def test_a_full_disk_ends_the_recording_and_not_the_watching(small_run, tmp_path, monkeypatch):
    video = write_square(tmp_path / "a.mp4", 20)

    def full(self, image):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Recorder, "add", full)
    options = WebcamOptions(window=False, pace=False, record=tmp_path / "r.mp4")
    summary = run_webcam([str(video)], small_run.path, [], options, QUIET)
    assert summary["predictions"] == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_a_source_that_ends_announces_its_events_while_others_go_on(recognizer, tmp_path):
    short = str(write_square(tmp_path / "short.mp4", 30, seed=4))
    long = str(write_square(tmp_path / "long.mp4", 50, seed=4))
    with LiveLoop(recognizer, [short, long], loop=False, pace=False) as loop:
        first, other = loop.feeds
        told = [
            (answer.feed, event)
            for turn in loop.turns()
            for answer in turn
            for event in answer.ended
        ]
    assert {feed for feed, _ in told} == {first, other}
    assert loop.finish() == []


def test_mistakes_are_told_before_the_source_is_opened(small_run, tmp_path, monkeypatch):
    def run(record, source="0"):
        webcam(small_run.path, [], [source], window=False, record=record)

    with pytest.raises(ConfigError, match="make it first"):
        run(tmp_path / "none" / "r.mp4")
    with pytest.raises(ConfigError, match=r"unknown ending '\.gif'; use \.mp4"):
        run(tmp_path / "r.gif")
    (tmp_path / "x").mkdir()
    (tmp_path / "r.mp4").touch()
    with pytest.raises(ConfigError, match="would replace a file"):
        run(tmp_path / "r.mp4", str(tmp_path / "x" / ".." / "r.mp4"))
    if sys.platform == "linux":
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        with pytest.raises(VideoError, match=r"neither DISPLAY .* use --no-window"):
            run_webcam(["0"], small_run.path, [], WebcamOptions(), QUIET)
        monkeypatch.setenv("DISPLAY", ":4711")
        with pytest.raises(VideoError, match="':4711' does not answer"):
            check_display()


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool"
)
def test_the_window_shows_and_obeys_its_keys(small_run, tmp_path):
    """A real window on a virtual screen: r records, space pauses, q ends."""
    video = write_square(tmp_path / "a.mp4", 50)
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        environment = {**os.environ, "DISPLAY": f":{screen.stdout.readline().strip()}"}
        process = subprocess.Popen(
            [sys.executable, "-m", "action_gru", "webcam", "-m", small_run.path, "--source",
             video, "--loop", "--json"], cwd=tmp_path, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

        def press(key: str) -> None:
            find = ["xdotool", "search", "--sync", "--name", "action_gru"]
            subprocess.run(
                [*find, "windowfocus", "--sync", "key", key], env=environment, check=True
            )

        for _ in range(4):
            process.stdout.readline()
        press("r")
        for _ in range(8):
            process.stdout.readline()
        press("r")
        assert eventually(lambda: list(tmp_path.glob("recording-*.mp4")) != [])
        press("space")
        time.sleep(0.5)  # OpenCV keeps one key only: a second one in the same moment replaces it
        press("q")
        _, err = process.communicate(timeout=60)
    finally:
        screen.terminate()
        screen.wait(20)
    assert process.returncode == 0, err
    (recording,) = Path(tmp_path).glob("recording-*.mp4")
    with VideoFile(recording) as recorded:
        assert next(iter(recorded)).image.shape == (64, 96, 3)


def test_several_current_events_are_all_named():
    limits = {"read": 0.4, "walk": 0.5, "wave": 0.5}
    tracker = ManyEventTracker(limits, min_event_s=0.2, smoothing_s=0.0)
    for number in range(6):
        scores = (0.6, 0.9 * (number > 1), 0.1)
        answer = Prediction.from_probabilities(
            list(limits), scores, number / 10, thresholds=list(limits.values())
        )
        tracker.push(answer)
    stream = SimpleNamespace(tracker=tracker, smoothed=tracker.smoothed, current=tracker.current)
    view = SimpleNamespace(loop=None)
    assert LiveView._title(view, stream) == ("read + walk", "")
    found = _current_json(stream, person=3)
    assert [event["label"] for event in found["events"]] == ["read", "walk"]
    assert found["event"] == found["events"][0]
    assert found["event"]["person"] == 3
    assert _prediction_json(tracker.smoothed)["labels"] == ["walk", "read"]
    (mark,) = marks_of([SimpleNamespace(number=1, box=(0, 0, 9, 9), stream=stream, visible=True)])
    assert mark.text == "1  read + walk 60%"
