import json
import struct
import threading
import time
from itertools import islice
from socket import SHUT_RDWR
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.streams import make_engine
from helpers.studio_doubles import (
    ACTIONS,
    InlineEngine,
    Recognizer,
    app_of,
    client_of,
    jpeg,
    listening,
    open_studio,
    use_model,
)
from helpers.videos import moving_square
from starlette.websockets import WebSocketDisconnect
from websockets.sync.client import connect

from action_gru.apps.studio import frames, live, work_live
from action_gru.core.errors import VideoError
from action_gru.model.calibration import Calibration
from action_gru.timeline import EventTracker
from action_gru.video import VideoFile

FPS = 10.0
BRIGHT = [jpeg(image) for image in moving_square(40, seed=107)]
DARK = [jpeg(image) for image in moving_square(40, seed=6)]


@pytest.fixture
def studio(tmp_path, monkeypatch):
    recognizer = Recognizer()
    monkeypatch.setattr(work_live, "recognizer_of", lambda run: recognizer)
    made = open_studio(tmp_path / "mine", "bright", "dark")
    made.reader = InlineEngine("live")
    yield made
    made.reader.close()


@pytest.fixture
def client(studio):
    return client_of(studio, live.routes)


def frame(time_s, data):
    return struct.pack("<d", time_s) + data


def show(socket, frames, first_s=0.0):
    """Show frames as the page does, each once the one before is answered; the answers."""
    answers = []
    for index, data in enumerate(frames):
        socket.send_bytes(frame(first_s + index / FPS, data))
        answers.append(socket.receive_json())
    return answers


def test_a_camera_hears_what_the_model_knows_and_then_a_score_for_each_class(client):
    with client.websocket_connect("/api/live") as socket:
        facts = socket.receive_json()
        background = ["nothing in particular"]
        told = {"classes": list(ACTIONS), "background": background, "run": "model-1"}
        assert facts == told | {"threshold": 0.4, "window_s": 2.0, "smoothing_s": 0.2}
        answers = show(socket, BRIGHT[:20])
    assert [answer["time_s"] for answer in answers] == [index / FPS for index in range(20)]
    assert answers[0]["scores"] is None  # one frame says nothing yet
    assert sum(answers[-1]["scores"]) == pytest.approx(1, abs=1e-3)
    assert all(answer["ms"] > 0 for answer in answers)


def test_live_scores_are_those_of_a_stream_of_the_same_frames(client):
    with client.websocket_connect("/api/live") as socket:
        socket.receive_json()
        scores = show(socket, BRIGHT[:20])[-1]["scores"]
    stream = Recognizer().stream()
    stream.tracker.smoothing_s = 0.2
    for index, data in enumerate(BRIGHT[:20]):
        stream.push(frames.decode_frame(data), index / FPS)
    assert stream.smoothed is not None
    assert scores == pytest.approx(stream.smoothed.probabilities(stream.classes), abs=1e-4)


def test_without_a_model_the_page_hears_why_and_is_let_go(tmp_path):
    client = client_of(open_studio(tmp_path / "mine", model=None), live.routes)
    with client.websocket_connect("/api/live") as socket:
        said = socket.receive_json()["error"]
        assert said == live.NO_MODEL
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def huge_picture() -> bytes:
    return jpeg(np.zeros((2100, 2000, 3), np.uint8))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "got 0 bytes: send a smaller picture"),
        (b"1234567", "got 7 bytes"),
        (frame(0.0, b"\0" * live.MOST_FRAME_BYTES), "2 MB at most; got 2,000,008 bytes"),
        (frame(float("nan"), BRIGHT[0]), "a frame's time is a number of seconds; got nan"),
        (frame(1e300, BRIGHT[0]), "a frame's time is a number of seconds; got 1e"),
        (frame(0.0, b"hello"), "a frame is no JPEG (5 bytes)"),
        (frame(0.0, BRIGHT[0][:200]), "a frame is no picture"),
        (frame(0.0, huge_picture()), "announces 2000 x 2100, more than 4,000,000 pixels"),
        ("nonsense", 'a correction is {"correct": ACTION, "time_s": SECONDS}; got \'nonsense\''),
        (json.dumps({"correct": "dark", "time_s": 1, "more": 2}), "a correction is"),
        (json.dumps({"correct": "dark", "time_s": 1}), "only 0.0 s before that moment are kept"),
        (json.dumps({"correct": "../x", "time_s": 1}), "there is no action '../x'"),
    ],
)
def test_what_cannot_be_used_is_answered_with_a_sentence_and_the_camera_goes_on(
    client, message, said
):
    with client.websocket_connect("/api/live") as socket:
        socket.receive_json()
        (socket.send_text if isinstance(message, str) else socket.send_bytes)(message)
        error = socket.receive_json()["error"]
        assert said in error
        assert "scores" in show(socket, BRIGHT[:1])[0]


def test_another_model_closes_the_connection_with_a_code_of_its_own(client, studio):
    with client.websocket_connect("/api/live") as socket:
        socket.receive_json()
        studio.changed()  # of something else: the camera goes on
        assert "scores" in show(socket, BRIGHT[:1])[0]
        use_model(studio, "model-2")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 4000
    assert len(studio.listeners) == 1  # what loads a new model


def test_a_fifth_camera_has_to_wait_until_one_leaves(client):
    sockets = [client.websocket_connect("/api/live") for _ in range(live.MOST_CAMERAS)]
    for socket in sockets:
        assert "classes" in socket.__enter__().receive_json()
    with client.websocket_connect("/api/live") as fifth:
        assert fifth.receive_json()["error"] == live.FULL
    for socket in sockets:
        socket.__exit__(None, None, None)
    with client.websocket_connect("/api/live") as again:
        assert "classes" in again.receive_json()


def test_cameras_have_streams_of_their_own(client):
    alone = live_scores(client, BRIGHT[:15])
    with (
        client.websocket_connect("/api/live") as one,
        client.websocket_connect("/api/live") as two,
    ):
        one.receive_json()
        two.receive_json()
        for index in range(15):
            first = show(one, [BRIGHT[index]], index / FPS)[0]
            show(two, [DARK[index]], 100 + index / FPS)
    assert first["scores"] == alone


def live_scores(client, frames):
    with client.websocket_connect("/api/live") as socket:
        socket.receive_json()
        return show(socket, frames)[-1]["scores"]


def test_a_silent_camera_loses_its_place(client, monkeypatch):
    monkeypatch.setattr(live, "IDLE_S", 0.05)
    with client.websocket_connect("/api/live") as socket:
        socket.receive_json()
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1000


def test_nothing_of_a_camera_stays_in_the_reader(client, studio):
    live_scores(client, BRIGHT[:3])
    studio.reader.ask("live_close", "nobody").result()  # after all that was asked before
    assert not work_live._cameras


def test_a_reader_that_began_anew_goes_on_with_the_next_frame(client):
    with client.websocket_connect("/api/live") as socket:
        socket.receive_json()
        show(socket, BRIGHT[:12])
        work_live._cameras.clear()
        answers = show(socket, BRIGHT[12:26], first_s=1.2)
    assert answers[0]["scores"] is None
    assert answers[-1]["scores"] is not None


def test_a_correction_is_a_clip_of_the_last_two_seconds_with_their_times(client, studio):
    with client.websocket_connect("/api/live") as socket:
        socket.receive_json()
        show(socket, [*BRIGHT, *DARK][:45], first_s=50.0)
        saved = [correct(socket, "dark", 54.0, person) for person in ("Ana", None)]
    clips = [clip for clip in studio.shelf.clips() if clip.action == "dark"]
    assert [clip.id for clip in clips] == [answer["saved"] for answer in saved]
    assert [clip.person for clip in clips] == ["Ana", None]
    assert clips[1].take is not None
    with VideoFile(studio.project.clips / clips[0].id) as video:
        times_s = [one.time_s for one in video]
    assert times_s == pytest.approx([index / FPS for index in range(21)], abs=1e-3)
    assert list(studio.shelf.temp.iterdir()) == []


def correct(socket, action, time_s, person=None):
    socket.send_text(json.dumps({"correct": action, "time_s": time_s, "person": person}))
    return socket.receive_json()


def test_a_page_that_leaves_while_it_is_answered_is_no_error(studio, caplog):
    is_asked, may_answer = threading.Event(), threading.Event()

    def push(tell, *frame):
        is_asked.set()
        assert may_answer.wait(30)
        return {"scores": None}

    studio.reader.tasks["live_push"] = push
    with listening(app_of(studio, live.routes)) as address:
        for leaves in (lambda page: page.close(), lambda page: page.socket.shutdown(SHUT_RDWR)):
            is_asked.clear()
            may_answer.clear()
            with connect(f"{address.replace('http', 'ws')}/api/live") as page:
                page.recv()
                page.send(frame(0.0, BRIGHT[0]))
                assert is_asked.wait(30)
                leaves(page)
            time.sleep(0.1)  # until the server has heard of it
            may_answer.set()
            wait_until(lambda: studio.reader.asked[-1][0] == "live_close")
            studio.reader.asked.clear()
    assert caplog.text == ""
    assert len(studio.listeners) == 1  # what loads a new model


def wait_until(holds):
    end_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_only_the_newest_frames_of_a_camera_are_kept():
    camera = work_live.Camera(Recognizer())
    for index, data in enumerate(islice(BRIGHT, 40)):
        camera.push(data, index / FPS)
    assert camera.frames[0][0] == pytest.approx(39 / FPS - work_live.KEPT_S, abs=1e-6)
    camera.push(BRIGHT[0], 0.5)  # the page's clock began anew
    assert [time_s for time_s, _ in camera.frames] == [0.5]


def test_frames_of_a_turned_phone_are_left_out_of_a_clip(tmp_path):
    upright = [jpeg(np.full((96, 64, 3), 99, np.uint8))] * 3
    shown = [(index / FPS, data) for index, data in enumerate([BRIGHT[0], *upright])]
    frames.write_frames(shown, tmp_path / "clip.mp4")
    with VideoFile(tmp_path / "clip.mp4") as video:
        assert [one.image.shape for one in video] == [(96, 64, 3)] * 3


@pytest.mark.parametrize(
    ("right", "proven", "sure_from"),
    [
        ([True, True, True], 0.9, 0.5),  # none was wrong
        ([True, False, True], 0.9, 0.8),  # one was, with 0.8
        ([False, False, True], 0.7, 0.7),
        ([True, True, True], 0.4, 0.4),
        ([True, True, True], None, None),
    ],
)
def test_a_moment_is_sure_above_every_score_with_which_a_clip_was_wrong(right, proven, sure_from):
    calibration = Calibration(1.0, "three clips", (0.3, 0.8, 0.95), tuple(right))
    checkpoint = SimpleNamespace(calibration=calibration)
    recognizer = SimpleNamespace(threshold=proven, checkpoint=checkpoint)
    assert work_live.sure_from(recognizer) == sure_from


def test_a_picture_that_is_no_jpeg_is_not_decoded():
    with pytest.raises(VideoError, match="no JPEG"):
        frames.decode_frame(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)


def test_a_new_model_is_loaded_before_somebody_waits_for_it(client, studio):
    use_model(studio, "model-2")
    wait_until(
        lambda: studio.reader.asked[-1:] == [("live_open", str(studio.folder / "runs/model-2"))]
    )


@pytest.mark.parametrize(("rate", "is_slow"), [(2, True), (10, False)])
def test_a_camera_whose_frames_are_too_few_is_told_so(rate, is_slow):
    def stream():
        return make_engine().open(EventTracker(), 1.6, 4, 1.0)

    camera = work_live.Camera(SimpleNamespace(stream=stream))
    for index in range(6 * rate + 1):
        camera.push(BRIGHT[index % 40], index / rate)
    assert bool(camera.rate.warning) is is_slow
