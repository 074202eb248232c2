"""`serve`, live and long: web sockets and jobs give what the library gives."""

import io
import struct
import threading
import time

import numpy as np
import pytest
from helpers.people_doubles import ScriptedDetector
from helpers.serve_app import CLIP, GOLDEN, HERE, golden_models, open_app
from PIL import Image as Pillow
from starlette.websockets import WebSocketDisconnect

from action_gru.apps.serve import streams
from action_gru.apps.serve.guard import Rules
from action_gru.apps.serve.models import load_models
from action_gru.apps.serve.service import Limits
from action_gru.video import VideoFile

STREAM = HERE.replace("http", "ws") + "/stream?drop=false"


@pytest.fixture(scope="module")
def server():
    with open_app(limits=Limits(streams=2, jobs=1)) as (client, service):
        yield client, service


@pytest.fixture(scope="module")
def frames() -> list:
    with VideoFile(CLIP) as video:
        return list(video)


def png(image) -> bytes:
    held = io.BytesIO()
    Pillow.fromarray(image).save(held, "png")
    return held.getvalue()


def message(frame) -> bytes:
    return struct.pack("<d", frame.time_s) + png(frame.image)


def until_end(socket) -> list[dict]:
    told = []
    while not told or told[-1]["type"] != "end":
        told.append(socket.receive_json())
    return told


def wait_for(client, job: str) -> dict:
    for _ in range(2400):
        found = client.get(f"/timeline/{job}").json()
        if found["state"] not in ("waiting", "running"):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def post(client, path: str = "/timeline", data: bytes | None = None, **more):
    file = ("long.mp4", CLIP.read_bytes() if data is None else data)
    return client.post(path, files={"file": file}, **more)


def test_frames_over_a_socket_give_the_events_and_scores_of_the_library(server, frames):
    client, _ = server
    stream, expected = golden_models()["run"].recognizer.stream(), []
    for frame in frames:
        sample = stream.sampler.sample(frame.image, frame.time_s)
        if sample is not None:
            expected += stream.engine.advance([stream], [sample])
    events = [*stream.events, *stream.finish()]
    with client.websocket_connect(STREAM) as socket:
        ready = socket.receive_json()
        assert (ready["type"], ready["name"], ready["classes"]) == (
            "ready",
            "run",
            ["left", "right"],
        )
        for frame in frames:
            socket.send_bytes(message(frame))
        socket.send_json({"type": "finish"})
        told = until_end(socket)
    answers = [one for one in told if one["type"] == "answer"]
    assert [(one["time_s"], one["score"], one["label"]) for one in answers] == [
        (one.time_s, one.score, one.label) for one in expected
    ]
    found = [one for one in told if one["type"] == "event"]
    assert [(one["label"], one["start_s"], one["end_s"]) for one in found] == [
        (one.label, round(one.start_s, 3), round(one.end_s, 3)) for one in events
    ]
    assert len(events) > 1
    assert 'action_gru_events_total{label="left"}' in client.get("/metrics").text


@pytest.mark.slow
def test_each_person_of_a_stream_is_answered_by_number_and_box(frames, monkeypatch):
    pytest.importorskip("lap", reason="the extra 'people' is not installed")
    monkeypatch.setattr(streams, "check_detection", lambda config, per_person: None)
    models = load_models([GOLDEN / "run"], [])
    boxes = [("person", 5, 5, 30, 60), ("person", 45, 5, 75, 60)]
    models["run"].recognizer.detector = ScriptedDetector([boxes])
    with (
        open_app(models=models) as (client, _),
        client.websocket_connect(STREAM + "&per_person=true&top=1") as socket,
    ):
        socket.receive_json()
        for frame in frames:
            socket.send_bytes(message(frame))
        socket.send_json({"type": "finish"})
        told = until_end(socket)
    answers = [one for one in told if one["type"] == "answer"]
    both = answers[-1]["people"]
    assert [one["person"] for one in both] == [1, 2]
    assert {tuple(one["box"]) for one in both} == {box[1:] for box in boxes}
    assert all(one["label"] in ("left", "right") and len(one["top"]) == 1 for one in both)
    assert {one["person"] for one in told if one["type"] == "event"} <= {1, 2}


def test_a_frame_that_cannot_be_used_is_told_and_the_stream_goes_on(server, frames):
    client, _ = server
    good = message(frames[0])
    with client.websocket_connect(STREAM) as socket:
        socket.receive_json()
        for data in (
            b"hello",
            good[:200],
            b"\xff\xd8\xff" + bytes(100),
            struct.pack("<d", np.nan) + good[8:],
        ):
            socket.send_bytes(data)
            told = socket.receive_json()
            assert told["type"] == "error", told
            assert "a frame" in told["error"]
        socket.send_text("hello")
        assert 'a text is {"type": "finish"}' in socket.receive_json()["error"]
        socket.send_bytes(good)
        assert socket.receive_json()["type"] == "answer"
        socket.send_bytes(png(frames[1].image))  # its time is when it came
        socket.send_json({"type": "finish"})
        until_end(socket)


def test_too_many_streams_and_wrong_names_are_refused_with_a_sentence(server):
    client, service = server
    with client.websocket_connect(STREAM + "&model=x") as socket:
        assert "no model 'x' is served here" in socket.receive_json()["error"]
    with client.websocket_connect(STREAM) as one, client.websocket_connect(STREAM) as two:
        one.receive_json(), two.receive_json()
        with client.websocket_connect(STREAM) as third:
            assert "2 streams are followed here already" in third.receive_json()["error"]
    for _ in range(600):  # the places of those that left are free again
        if service.streams == 0:
            break
        time.sleep(0.05)
    assert service.streams == 0


def test_a_socket_needs_the_key_which_a_browser_sends_as_a_protocol():
    with open_app(Rules("0.0.0.0", ("0123456789",))) as (client, _):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM):
            pass
        wanted = ["action-gru", "key.0123456789"]
        with client.websocket_connect(STREAM, subprotocols=wanted) as socket:
            assert socket.receive_json()["type"] == "ready"
            assert socket.accepted_subprotocol == "action-gru"


def test_a_long_video_is_a_job_whose_result_is_the_library_s(server):
    client, service = server
    started = post(client)
    assert (started.status_code, started.json()["model"]) == (202, "run")
    job = started.json()["id"]
    found = wait_for(client, job)
    expected = golden_models()["run"].recognizer.timeline(CLIP)
    assert (found["state"], found["progress"], found["error"]) == ("done", 1.0, None)
    assert found["result"]["events"] == [
        event.to_json() | {"person": None} for event in expected.events
    ]
    assert found["result"]["duration_s"] == round(expected.duration_s, 3)
    subtitles = client.get(f"/timeline/{job}/file?format=vtt")
    assert subtitles.text.startswith("WEBVTT")
    assert str(service.folder.path) not in client.get(f"/timeline/{job}/file").text
    assert list(service.folder.path.iterdir()) == []
    assert client.delete(f"/timeline/{job}").status_code == 200
    assert client.get(f"/timeline/{job}").status_code == 404


def test_a_job_that_is_no_video_fails_with_the_sentence(server):
    client, service = server
    found = wait_for(client, post(client, data=b"text\n" * 50).json()["id"])
    assert found["state"] == "failed"
    assert found["error"].startswith("long.mp4: this is text, not a video")
    assert client.get(f"/timeline/{found['id']}/file").status_code == 409
    assert list(service.folder.path.iterdir()) == []


def test_a_job_is_stopped_while_it_is_read_and_places_are_counted(server, monkeypatch):
    client, service = server
    recognizer, held, begun = (
        golden_models()["run"].recognizer,
        threading.Event(),
        threading.Event(),
    )
    whole = recognizer.read_timeline

    class Slow:
        def __init__(self, path) -> None:
            self.reader = whole(path)
            self.stream, self.declared_s = self.reader.stream, 100.0

        def __iter__(self):
            for answer in self.reader:
                begun.set()
                assert held.wait(60)
                yield answer

    monkeypatch.setattr(recognizer, "read_timeline", Slow)
    job = post(client).json()["id"]
    assert begun.wait(60)
    assert client.get(f"/timeline/{job}").json()["state"] == "running"
    refused = post(client)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert client.delete(f"/timeline/{job}").json()["id"] == job
    held.set()
    for _ in range(600):
        if not list(service.folder.path.iterdir()):
            break
        time.sleep(0.05)
    assert list(service.folder.path.iterdir()) == []
    assert "no timeline" in client.get(f"/timeline/{job}").json()["error"]


def test_results_expire(server):
    with open_app(limits=Limits(keep_s=0.0)) as (client, _):
        job = post(client).json()["id"]
        for _ in range(2400):
            if client.get(f"/timeline/{job}").status_code == 404:
                break
            time.sleep(0.05)
        assert client.get(f"/timeline/{job}").status_code == 404
