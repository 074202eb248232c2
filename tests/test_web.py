"""The page for visitors without a browser: what it lets in, what it gives back, what it forgets."""

import re
import threading
import time
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient
from helpers.studio_doubles import InlineEngine, Recognizer, jpeg
from helpers.videos import moving_square, write_square
from helpers.web_doubles import HOSTILE, FakeRecognizer

from action_gru.apps.studio import background, networks, trying, work_live, work_tries, work_visits
from action_gru.apps.studio.live import TIME
from action_gru.apps.web import server
from action_gru.apps.web.server import Limits, Shown, make_app

HERE = "http://127.0.0.1:7860"
FROM_PAGE = {"origin": HERE}


@contextmanager
def open_page(monkeypatch, folder, recognizer, limits=None, **options):
    """A client of the page, whose engine works in this process."""
    for module in (work_tries, work_live):
        monkeypatch.setattr(module, "recognizer_of", lambda run: recognizer)
    reader = InlineEngine("tries", "live")
    shown = Shown(folder / "run", recognizer.classes)
    app = make_app(shown, reader, folder / "tries", limits or Limits(), "127.0.0.1", **options)
    kept = {"base_url": HERE, "headers": FROM_PAGE, "raise_server_exceptions": False}
    with TestClient(app, **kept) as client:
        yield client


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_square(tmp_path_factory.mktemp("film") / "film.mp4", 30)


@pytest.fixture
def page(tmp_path, monkeypatch):
    limits = Limits(max_upload_mb=1, max_duration_s=10.0, cameras=1)
    with open_page(monkeypatch, tmp_path, Recognizer(), limits, names=["try.example"]) as client:
        yield client


def upload(client, data, name="film.mp4"):
    return client.post("/api/tries", params={"name": name}, content=data)


def news(client, answer):
    """What is known of an upload once it is not read any more."""
    assert answer.status_code == 201, answer.text
    end_s = time.monotonic() + 120
    address = f"/api/tries/{answer.json()['id']}"
    while (found := client.get(address).json())["state"] == "reading":
        assert time.monotonic() < end_s
        time.sleep(0.02)
    return address, found


def test_a_video_gives_events_and_files_and_is_removed(page, video, tmp_path):
    recognizer = Recognizer()
    address, found = news(page, upload(page, video.read_bytes(), f"../{HOSTILE}.mp4"))
    assert found["error"] is None
    reader = recognizer.read_timeline(video)
    assert list(reader)
    timeline = reader.timeline()
    assert found["events"] == [event.to_json() for event in timeline.events]
    whole = recognizer.read(video)
    assert found["answer"]["label"] == whole.prediction.label
    assert [label for label, _ in found["top"]] == list(whole.prediction.labels)
    assert found["warnings"] == list(whole.warnings)
    endings = [name.rpartition(".")[2] for name in found["files"]]
    assert endings == ["csv", "eaf", "json", "png", "srt", "vtt"]
    for name in found["files"]:
        got = page.get(f"{address}/files/{name}")
        assert got.status_code == 200
        assert got.headers["content-disposition"].startswith("attachment")
        assert str(tmp_path).encode() not in got.content
    assert list((tmp_path / "tries").rglob("*.mp4")) == []
    assert page.delete(address).status_code == 200
    assert list((tmp_path / "tries").iterdir()) == []


def test_no_path_of_the_server_can_be_asked_for(page, video):
    address, _ = news(page, upload(page, video.read_bytes()))
    names = ("../film.mp4", "%2e%2e%2ffilm.mp4", "/etc/passwd", "http://127.0.0.1/", "x.csv")
    for path in (
        *(f"{address}/files/{name}" for name in names),
        "/web/../server.py",
        "/page/%2e%2e/guard.py",
    ):
        assert page.get(path).status_code == 404, path


def test_what_cannot_be_taken_is_told_in_a_sentence(page):
    cases = [
        (b"", "film.mp4", 400, "the file is empty"),
        (b"x", "film.txt", 415, "is no video by its name"),
        (b"x" * 1_000_001, "film.mp4", 413, "larger than 1 MB"),
    ]
    for data, name, status, said in cases:
        answer = upload(page, data, name)
        assert answer.status_code == status
        assert said in answer.json()["error"]
    _, found = news(page, upload(page, b"hello " * 100, "notes.mp4"))
    assert found["error"] == "notes.mp4: this is text, not a video; check what the path points to"


def test_more_videos_than_can_wait_are_told_to_come_back(tmp_path, monkeypatch, video):
    monkeypatch.setattr(server, "WAITING", 0)
    done = threading.Event()

    def read(tell, key, *_):
        background.begin(key, lambda job: done.wait(60))

    monkeypatch.setitem(work_tries.TASKS, "try_read", read)
    with open_page(monkeypatch, tmp_path, Recognizer(), Limits(videos=1)) as page:
        assert upload(page, video.read_bytes()).status_code == 201
        answer = upload(page, video.read_bytes())
        done.set()
        assert answer.status_code == 429
        assert answer.json()["error"].startswith("the places for videos are taken (1)")


def test_a_server_holds_so_many_bytes(tmp_path, monkeypatch, video):
    monkeypatch.setattr(server, "HELD_UPLOADS", 0)
    with open_page(monkeypatch, tmp_path, Recognizer()) as page:
        answer = upload(page, video.read_bytes())
        assert answer.status_code == 507
        assert "holds as many videos as it may; try again later" in answer.json()["error"]


def test_a_page_that_asks_no_more_is_forgotten(page, video, tmp_path, monkeypatch):
    address, _ = news(page, upload(page, video.read_bytes()))
    real = time.monotonic
    monkeypatch.setattr(trying.time, "monotonic", lambda: real() + server.KEEP_S + 1)
    assert page.get(address).status_code == 404
    assert list((tmp_path / "tries").iterdir()) == []


def test_an_address_that_uploads_too_often_waits(page):
    answers = [upload(page, b"", "a.mp4").status_code for _ in range(45)]
    assert answers[:40] == [400] * 40
    assert 429 in answers[40:]


def test_another_site_reaches_nothing(page, video):
    strange = page.get("/", headers={"host": "evil.example"})
    assert strange.status_code == 403
    assert page.get("/", headers={"host": "try.example"}).status_code == 200
    other = page.post("/api/tries?name=a.mp4", content=b"x", headers={"origin": "http://a.example"})
    assert other.status_code == 403
    assert "default-src 'self'" in page.get("/").headers["content-security-policy"]


def test_a_camera_is_answered_and_can_correct_nothing(page):
    frames = [jpeg(image) for image in moving_square(20)]
    with page.websocket_connect("ws://127.0.0.1:7860/api/live", headers=FROM_PAGE) as socket:
        assert socket.receive_json()["run"] == "run"
        for index, data in enumerate(frames):
            socket.send_bytes(TIME.pack(index / 10) + data)
            told = socket.receive_json()
        assert sum(told["scores"]) == pytest.approx(1, abs=1e-3)
        socket.send_text('{"correct": "dark", "time_s": 1}')
        assert "corrected in the studio" in socket.receive_json()["error"]
        with page.websocket_connect("ws://127.0.0.1:7860/api/live", headers=FROM_PAGE) as second:
            assert "the places for cameras are taken (1)" in second.receive_json()["error"]


def test_several_labels_come_with_thresholds_and_the_events_that_overlap(
    tmp_path, monkeypatch, video
):
    class Many(Recognizer, FakeRecognizer):
        def __init__(self):
            FakeRecognizer.__init__(self, many=True)
            limits = [*self.thresholds.values()]
            self.engine.classes = self.classes
            self.thresholds = dict(zip(self.classes, limits, strict=True))

    with open_page(monkeypatch, tmp_path, Many()) as page:
        _, found = news(page, upload(page, video.read_bytes()))
        assert found["error"] is None
        assert set(found["thresholds"]) == set(found["classes"])
        assert isinstance(found["labels"], list)
        with page.websocket_connect("ws://127.0.0.1:7860/api/live", headers=FROM_PAGE) as socket:
            assert socket.receive_json()["thresholds"] == found["thresholds"]
            for index, image in enumerate(moving_square(30)):
                socket.send_bytes(TIME.pack(index / 10) + jpeg(image))
                told = socket.receive_json()
        assert {"events", "going", "scores"} <= told.keys()


def test_the_page_is_told_what_it_may_take_and_shows_names_as_text(page):
    model = page.get("/api/model").json()
    assert (model["run"], model["megabytes"], model["seconds"]) == ("run", 1, 10.0)
    assert list(model["colours"]) == list(Recognizer.classes)
    assert ".mp4" in model["suffixes"]


def test_the_page_s_own_files_are_whole_and_from_here_alone(page):
    index = page.get("/").text
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", index)
    named = re.findall(r'(?:src|href)="(/[^"]*)"', index)
    main = page.get("/web/main.js").text
    named += re.findall(r'from "([^"]+)"', main)
    assert "/page/try_file.js" in named
    for path in named:
        assert page.get(path).status_code == 200, path
    assert "innerHTML" not in main
    assert not re.search(r"https?://", index + main)


def test_a_visit_s_reader_keeps_no_picture_of_a_camera(monkeypatch, tmp_path):
    recognizer = Recognizer()
    monkeypatch.setattr(networks, "recognizer_of", lambda run: recognizer)
    for module, name in (
        (background, "at_once"),
        (work_live, "cameras_kept"),
        (work_live, "keeps_pictures"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(networks, "overrides", [])
    facts = work_visits.visits_open(None, str(tmp_path), ["features.device=cpu"], 3, 5)
    assert facts["classes"] == list(Recognizer.classes)
    assert (background.at_once, work_live.cameras_kept) == (3, 10)
    assert networks.overrides == ["features.device=cpu"]
    camera = work_live.Camera(recognizer)
    for index, image in enumerate(moving_square(10)):
        camera.push(jpeg(image), index / 10)
    assert {data for _, data in camera.frames} == {b""}


def test_a_camera_that_began_anew_is_told():
    data = jpeg(next(moving_square(1)))
    camera = work_live.Camera(Recognizer())
    assert {camera.push(data, index / 5)["note"] for index in range(10)} == {""}
    assert camera.push(data, 20.0)["note"].startswith("started afresh: no frame for ")
