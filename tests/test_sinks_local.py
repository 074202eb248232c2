"""Sinks of this machine: files on bad disks, clips that show the right seconds, sounds; and the
whole way from `webcam` to them.
"""

import csv
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from helpers.live_servers import eventually
from helpers.receivers import Broker, Hook, Listener, Told
from helpers.videos import write_square

from action_gru.apps.sinks import worker
from action_gru.apps.sinks.clip import ClipRecorder, ClipSink, Cut, _Ring
from action_gru.apps.sinks.events import EventSinks
from action_gru.apps.sinks.files import COLUMNS, CsvSink, JsonlSink
from action_gru.apps.sinks.sound import SoundSink, find_player, write_beep
from action_gru.apps.sinks.store import Store
from action_gru.apps.sinks.worker import RefusedError, SinkDownError
from action_gru.apps.webcam import WebcamOptions, run_webcam
from action_gru.config import build_config
from action_gru.core.errors import ConfigError, VideoError
from action_gru.core.progress import Reporter
from action_gru.timeline import Event
from action_gru.video import Frame, VideoFile

MESSAGE = {
    "schema": 1, "id": "a" * 32, "state": "end", "source": "cam", "label": "fall, \"hard\"\none",
    "score": 0.8, "start_s": 1.0, "end_s": 2.0, "start_utc": "2026-11-29T21:04:05.123Z",
    "end_utc": "2026-11-29T21:04:06.123Z", "person": None, "box": None, "picture_px": None,
    "model": "demo",
}  # fmt: skip


def sinks_of(*entries):
    return build_config({"events": {"sinks": list(entries)}}).events.sinks


def test_lines_are_appended_whole_and_a_csv_has_one_header(tmp_path):
    lines, table = tmp_path / "e.jsonl", tmp_path / "e.csv"
    for _ in range(2):  # as two starts of the program
        JsonlSink(lines).deliver(MESSAGE, False)
        CsvSink(table).deliver(MESSAGE | {"box": [1, 2, 3, 4.5]}, False)
    assert [json.loads(line) for line in lines.read_text().splitlines()] == [MESSAGE] * 2
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["label"] for row in rows] == [MESSAGE["label"]] * 2
    assert (rows[1]["left"], rows[1]["bottom"], rows[1]["person"]) == ("1", "4.5", "")


def test_a_line_that_a_crash_has_torn_spoils_no_other(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text('{"schema": 1, "id": "to')
    JsonlSink(path).deliver(MESSAGE, False)
    assert json.loads(path.read_text().splitlines()[1]) == MESSAGE


def test_several_programs_write_whole_lines_into_one_file(tmp_path):
    path = tmp_path / "e.csv"

    def write() -> None:
        for _ in range(20):
            CsvSink(path).deliver(MESSAGE, False)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 81
    assert {len(row) for row in rows} == {len(COLUMNS)}


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(SinkDownError, match=r"no.e\.jsonl cannot be written .No such file"):
        JsonlSink(tmp_path / "no" / "e.jsonl").deliver(MESSAGE, False)


FULL = """
import json, shutil, sys, time
from pathlib import Path
from helpers.live_servers import eventually
from helpers.receivers import Told
from action_gru.apps.sinks import worker
from action_gru.apps.sinks.events import EventSinks
from action_gru.config import build_config
from action_gru.timeline import Event

worker.FIRST_PAUSE_S, worker.LONGEST_PAUSE_S = 0.05, 0.2
kind, place, filler = sys.argv[1], Path("small"), Path("small/filler")
tree = {"events": {"sinks": [{"kind": kind, "path": str(place / "e"), "when": "end"}]}}
told = Told()
sinks = EventSinks(build_config(tree).events.sinks, ["a"], ["fall"], "m", told, spool=Path("spool"))
filler.write_bytes(b"x" * (shutil.disk_usage(place).free - 4096))
for number in range(60):
    sinks.look(0, [], [Event("fall", number, number + 0.5)])
assert eventually(lambda: sinks.status()[0].down)
whole = (place / "e").read_text().endswith("\\n")
filler.unlink()
assert eventually(lambda: sinks.status()[0].waiting == 0)
sinks.close()
print(json.dumps([whole, told.lines, (place / "e").read_text()]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_full_disk_loses_no_line_and_leaves_no_half_one(tmp_path, kind):
    (tmp_path / "small").mkdir()
    (tmp_path / "full.py").write_text(FULL)
    command = f"mount -t tmpfs -o size=64k none small && exec {sys.executable} full.py {kind}"
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests.parent), str(tests)])
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": path}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    whole, told, text = json.loads(done.stdout.splitlines()[-1])
    assert whole
    assert "No space left on device" in told[0]
    assert told[1].endswith("works again")
    lines = text.splitlines()
    if kind == "csv":
        starts = [float(row["start_s"]) for row in csv.DictReader(lines)]
    else:
        starts = [json.loads(line)["start_s"] for line in lines]
    assert starts == list(range(60))


def brightness(number: int) -> int:
    return 20 + number % 200


def picture(number: int, size_px=(160, 90)) -> np.ndarray:
    return np.full((size_px[1], size_px[0], 3), brightness(number), np.uint8)


def clip_sinks(tmp_path, told=None, **keys):
    entry = {"kind": "clip", "path": str(tmp_path / "clips"), "before_s": 1, "after_s": 0.5, **keys}
    sinks = sinks_of(entry)
    return EventSinks(
        sinks, ["cam"], ["fall"], "m", told or Told(), waits=True, spool=tmp_path / "spool"
    )


def play(sinks, seconds, fps=10, first=0, size_px=(160, 90)):
    for number in range(first, first + round(seconds * fps)):
        sinks.picture(0, Frame(number, number / fps, picture(number, size_px)))


def clips(tmp_path):
    """Each clip's message, and of its pictures the times and the frames' numbers."""
    found = []
    for path in sorted((tmp_path / "clips").glob("*.mp4")):
        with VideoFile(path) as video:
            frames = [(frame.time_s, float(frame.image.mean())) for frame in video]
        message = json.loads(path.with_suffix(".json").read_text())
        found.append((message, [(s, round(level) - 20) for s, level in frames]))
    return found


@pytest.mark.slow
def test_a_clip_shows_the_seconds_before_and_after_its_event(tmp_path):
    sinks = clip_sinks(tmp_path)
    play(sinks, 3)
    sinks.look(0, [Event("fall", 2.0, 2.9)])  # it begins
    play(sinks, 2, first=30)
    sinks.look(0, [], [Event("fall", 2.0, 3.5)])
    assert eventually(lambda: sinks._outlets[0].recorder._wanted != {})
    play(sinks, 3, first=50)
    sinks.close()
    ((message, frames),) = clips(tmp_path)
    assert message["clip_start_s"] == 1.0
    assert (message["state"], message["label"], message["end_s"]) == ("end", "fall", 3.5)
    assert [number for _, number in frames] == pytest.approx(list(range(10, 41)), abs=2)
    assert [s for s, _ in frames] == pytest.approx([n / 10 for n in range(31)], abs=0.002)
    name = next((tmp_path / "clips").glob("*.mp4")).name
    assert name.endswith(f"_fall_{message['id'][:8]}.mp4")


@pytest.mark.slow
def test_an_event_that_goes_on_at_the_end_has_its_clip(tmp_path):
    sinks = clip_sinks(tmp_path)
    play(sinks, 3)
    sinks.look(0, [Event("fall", 1.5, 2.9)])
    sinks.close()
    ((message, frames),) = clips(tmp_path)
    assert (message["state"], len(frames)) == ("start", 25)


@pytest.mark.slow
def test_ctrl_c_while_clips_are_written_tells_what_is_lost(tmp_path, monkeypatch):
    told, block = Told(), threading.Event()
    monkeypatch.setattr(ClipSink, "deliver", lambda *_: block.wait(60))
    sinks = clip_sinks(tmp_path, told)
    play(sinks, 3)
    for number in range(3):
        sinks.look(0, [], [Event("fall", 0.5 + number / 2, 0.9 + number / 2)])

    def interrupt(self, until_s):
        raise KeyboardInterrupt

    monkeypatch.setattr(worker.Worker, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sinks.close()
    block.set()
    assert told.lines == ["warning: clip: 3 messages could not be delivered, and are lost"]


@pytest.mark.slow
def test_a_long_event_is_cut_and_the_ring_stays_small(tmp_path):
    sinks = clip_sinks(tmp_path, longest_s=4, fps=5)
    for second in range(30):
        play(sinks, 1, first=10 * second)
        sinks.look(0, [Event("fall", 2.0, second + 0.9)] if second > 1 else [])
    recorder = sinks._outlets[0].recorder
    assert eventually(lambda: recorder._fresh.empty())
    ring = recorder._rings["cam"].pictures
    assert ring[-1][0] - ring[0][0] <= 14
    sinks.close()
    ((message, frames),) = clips(tmp_path)
    assert message["clip_start_s"] == pytest.approx(1.0, abs=0.2)
    assert frames[-1][0] == pytest.approx(4.0, abs=0.3)
    assert 19 <= len(frames) <= 22  # 5 a second


def test_the_memory_of_a_source_is_bounded():
    ring = _Ring(span_s=1e9, size_bytes=10_000)
    for number in range(1000):
        ring.add(number, np.zeros(999, np.uint8))
    assert ring.held_bytes == sum(jpeg.nbytes for _, jpeg in ring.pictures) <= 10_000
    assert ring.pictures[-1][0] == 999
    ring.add(5.0, np.zeros(999, np.uint8))  # the clock began anew
    assert (len(ring.pictures), ring.held_bytes) == (1, 999)


@pytest.mark.slow
def test_pictures_are_made_smaller_and_of_one_size(tmp_path):
    sinks = clip_sinks(tmp_path, width_px=320)
    play(sinks, 1, size_px=(1280, 720))
    play(sinks, 1, first=10, size_px=(640, 480))  # the camera came back with another size
    sinks.look(0, [], [Event("fall", 0.5, 1.5)])
    sinks.close()
    path = next((tmp_path / "clips").glob("*.mp4"))
    with VideoFile(path) as video:
        assert {frame.image.shape for frame in video} == {(180, 320, 3)}


@pytest.mark.slow
def test_whoever_reads_a_live_source_never_waits_for_the_encoder(monkeypatch):
    block = threading.Event()
    monkeypatch.setattr(cv2, "imencode", lambda *_: block.wait(60) and (False, None))
    (settings,) = sinks_of({"kind": "clip", "path": "clips"})
    recorder = ClipRecorder(settings, SimpleNamespace(), waits=False)
    began_s = time.monotonic()
    for number in range(100):
        recorder.picture("cam", Frame(number, number / 10, picture(number)))
    assert time.monotonic() - began_s < 30
    assert recorder.skipped >= 90
    block.set()
    recorder.close()


@pytest.mark.slow
def test_a_clip_without_pictures_is_refused_and_a_bad_folder_is_tried_again(tmp_path):
    (settings,) = sinks_of({"kind": "clip", "path": str(tmp_path / "clips")})
    with pytest.raises(RefusedError, match="no picture was left"):
        ClipSink(settings).deliver(Cut(MESSAGE, []), False)
    (tmp_path / "file").write_text("")
    (settings,) = sinks_of({"kind": "clip", "path": str(tmp_path / "file")})
    jpeg = cv2.imencode(".jpg", picture(1))[1].reshape(-1)
    with pytest.raises((VideoError, OSError)):
        ClipSink(settings).deliver(Cut(MESSAGE, [(0.0, jpeg), (0.1, jpeg)]), False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_sound_is_played_and_one_that_cannot_be_is_told(tmp_path):
    player = tmp_path / "player"
    player.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/played.wav\n')
    player.chmod(0o755)
    told = Told()
    entries = [
        {"kind": "sound", "player": str(player)},
        {"kind": "sound", "player": "false", "name": "broken"},
    ]
    sinks = EventSinks(sinks_of(*entries), ["cam"], ["fall"], "m", told, spool=tmp_path / "spool")
    sinks.look(0, [], [Event("fall", 1.0, 2.0)])
    sinks.close()
    assert (tmp_path / "played.wav").read_bytes()[:4] == b"RIFF"
    assert told.lines[0].startswith("warning: broken: refused, and left out: false cannot play")
    assert sinks.summary() == {"messages_sent": 1, "messages_waiting": 0, "messages_dropped": 1}


def test_a_machine_without_a_player_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no program that plays a sound .*aplay.*install one"):
        find_player(None)
    beep = write_beep(tmp_path / "beep.wav")
    assert 10_000 < beep.stat().st_size < 100_000
    (settings,) = sinks_of({"kind": "sound"})
    with pytest.raises(ConfigError):
        SoundSink(settings)


def test_a_worker_takes_more_while_it_delivers(tmp_path):
    """What the clip's own thread and the deciding one hand over at once."""
    told = Told()
    seen: list[int] = []
    sink = SimpleNamespace(
        deliver=lambda item, is_old: seen.append(item), look_after=lambda: None, close=lambda: None
    )
    one = worker.Worker("x", "clip", sink, Store(1000), told)
    one.start()
    for number in range(500):
        one.put(number)
    one.close()
    one.wait(time.monotonic() + 20)
    assert seen == list(range(500))


@pytest.mark.slow
def test_webcam_sends_what_it_prints_to_every_sink(small_run, tmp_path, monkeypatch):
    """The command as it is typed, with a broker, a web server and files."""
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    video = write_square(tmp_path / "a.mp4", 50, seed=4)
    with Broker(tmp_path) as broker, Hook() as hook:
        listener = Listener(broker.port)
        targets = [f"mqtt://127.0.0.1:{broker.port}/door", hook.url, tmp_path / "e.jsonl",
                   tmp_path / "e.csv", f"{tmp_path / 'clips'}{os.sep}"]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "action_gru", "webcam", "-m", small_run.path, "--source", video,
             "--no-window", "--no-pace", "--json", "--quiet",
             *(word for target in targets for word in ("--to", target))],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert eventually(lambda: listener.last("door/status") == "offline")
        listener.close()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (ended,) = [line["ended"] for line in lines if "ended" in line]
    assert done.stderr == ""
    assert lines[-1]["summary"]["messages_sent"] == 2 + 2 + 1 + 1 + 1
    assert lines[-1]["summary"]["messages_waiting"] == 0
    (line,) = (tmp_path / "e.jsonl").read_text().splitlines()
    message = json.loads(line)
    assert {key: message[key] for key in ended} == ended
    assert (message["model"], message["source"]) == (small_run.path.name, str(video))
    for told in (listener.events("door"), hook.bodies()):
        assert [one["state"] for one in told] == ["start", "end"]
        assert told[1] == message | {"id": told[1]["id"]}
        assert told[1]["id"] == message["id"] == told[0]["id"]
    (clip,) = (tmp_path / "clips").glob("*.mp4")
    with VideoFile(clip) as frames:
        assert len(list(frames)) >= 40
    assert list((tmp_path / "home" / "spool").glob("*/*.json")) == []


@pytest.mark.slow
def test_the_start_leaves_before_the_end_is_known(small_run, tmp_path, monkeypatch):
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    video = write_square(tmp_path / "a.mp4", 60, seed=4)
    with Hook() as hook:
        process = subprocess.Popen(
            [sys.executable, "-m", "action_gru", "webcam", "-m", small_run.path, "--source", video,
             "--no-window", "--quiet", "--loop", "--to", hook.url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert eventually(lambda: len(hook.got) > 0, within_s=120)
            assert hook.bodies()[0]["state"] == "start"
        finally:
            process.terminate()  # as a service is ended
            _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert [one["state"] for one in hook.bodies()][-1] == "end"


@pytest.mark.slow
def test_a_dead_receiver_leaves_the_live_loop_as_it_is(small_run, tmp_path, monkeypatch):
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("action_gru.apps.sinks.events.FLUSH_S", 1.0)
    video = str(write_square(tmp_path / "a.mp4", 50, seed=4))
    with Hook() as hook:
        hook.answers = ["hang"] * 9
        sinks = sinks_of({"kind": "webhook", "url": hook.url})
        options = WebcamOptions(window=False, pace=False, sinks=sinks)
        summary = run_webcam([video], small_run.path, [], options, Reporter(quiet=True))
    assert (summary["predictions"], summary["dropped"]) == (25, 0)
    assert (summary["messages_sent"], summary["messages_waiting"]) == (0, 2)
