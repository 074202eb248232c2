"""The studio's server: state, clips and actions over HTTP, pushes, sentences for every error."""

import errno
import json
import subprocess
import sys
import threading

import pytest
from fastapi import APIRouter
from helpers.studio_app import EVENTS, FROM_PAGE, open_app

from action_gru.apps import serving
from action_gru.apps.studio import server, session, uploads
from action_gru.apps.studio.session import Facts
from action_gru.core.errors import ConfigError

TAKE = "20261129-101500"
WEBM = b"\x1a\x45\xdf\xa3" + bytes(2000)


@pytest.fixture
def studio(tmp_path):
    with open_app(tmp_path / "mine") as (client, studio):
        yield client, studio


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """A studio with an action, for requests that change nothing."""
    with open_app(tmp_path_factory.mktemp("unchanged") / "mine") as (client, studio):
        client.post("/api/actions", json={"name": "wave"})
        yield client, studio


def record(client, action: str, number: int, **more: object) -> str:
    query = {"action": action, "take": TAKE, "number": number, **more}
    answer = client.post("/api/clips", params=query, content=WEBM)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_the_state_of_a_new_project(studio):
    client, running = studio
    state = client.get("/api/state").json()
    assert state["project"] == {
        "name": "mine", "folder": str(running.folder), "undo": None, "problem": None,
    }  # fmt: skip
    assert state["actions"] == [
        {"name": "nothing in particular", "colour": "#8C8C8C", "background": True}
    ]
    assert (state["clips"], state["people"]) == ([], [])
    assert state["engines"] == {
        "reader": {"state": "ready", "text": ""},
        "trainer": {"state": "ready", "text": ""},
    }


def test_clips_are_recorded_changed_deleted_and_brought_back(studio):
    client, running = studio
    assert client.post("/api/actions", json={"name": "wave"}).status_code == 201
    first = record(client, "wave", 1, person="Ana")
    assert first == f"wave/{TAKE}-1.webm"
    dropped = client.post("/api/clips?action=wave&name=x/a b.mp4", content=WEBM).json()["id"]
    assert dropped == "wave/a b.mp4"
    change = {"ids": [first], "start_s": 0.25, "end_s": 1.5}
    assert client.post("/api/clips/change", json=change).json() == {}
    running.facts[first] = Facts("ready", None, ("dark",), None, 2.0)
    assert client.get("/api/state").json()["clips"] == [
        {
            "id": first, "action": "wave", "file_s": 2.0, "start_s": 0.25, "end_s": 1.5,
            "person": "Ana", "take": TAKE, "features": "ready", "problem": None,
            "warnings": ["dark"], "like": None,
        },
        {
            "id": dropped, "action": "wave", "file_s": None, "start_s": None, "end_s": None,
            "person": None, "take": None, "features": "waiting", "problem": None, "warnings": [],
            "like": None,
        },
    ]  # fmt: skip
    assert client.post("/api/clips/delete", json={"ids": [first, dropped]}).status_code == 200
    state = client.get("/api/state").json()
    assert (state["clips"], state["project"]["undo"]) == ([], "Delete 2 clips")
    assert client.post("/api/undo").json() == {"undone": "Delete 2 clips"}
    assert client.post("/api/undo").json() == {"undone": "Trim 1 clip"}
    assert client.post("/api/undo").status_code == 404
    clips = client.get("/api/state").json()["clips"]
    assert [(clip["id"], clip["end_s"]) for clip in clips] == [(first, None), (dropped, None)]


def test_null_takes_a_person_away_and_what_is_not_given_stays(studio):
    client, _ = studio
    client.post("/api/actions", json={"name": "wave"})
    clip = record(client, "wave", 1, person="Ana")
    client.post("/api/clips/change", json={"ids": [clip], "end_s": 1.0})
    client.post("/api/clips/change", json={"ids": [clip], "person": None})
    found = client.get("/api/state").json()["clips"][0]
    assert (found["person"], found["end_s"]) == (None, 1.0)


def test_actions_are_renamed_and_deleted(studio):
    client, _ = studio
    for name in ("wave", "clap"):
        client.post("/api/actions", json={"name": name})
    record(client, "wave", 1)
    change = {"name": "wave", "new_name": "手を振る", "colour": "#123456"}
    assert client.post("/api/actions/change", json=change).status_code == 200
    client.post("/api/actions/delete", json={"name": "clap"})
    state = client.get("/api/state").json()
    assert [action["name"] for action in state["actions"]] == ["nothing in particular", "手を振る"]
    assert state["clips"][0]["id"] == f"手を振る/{TAKE}-1.webm"
    answer = client.get("/api/clips/video", params={"id": state["clips"][0]["id"]})
    assert answer.content == WEBM


def test_a_video_is_sent_in_ranges(studio):
    client, _ = studio
    client.post("/api/actions", json={"name": "wave"})
    clip = record(client, "wave", 1)
    answer = client.get(f"/api/clips/video?id={clip}", headers={"range": "bytes=2-5"})
    assert (answer.status_code, answer.content) == (206, WEBM[2:6])
    assert answer.headers["content-type"] == "video/webm"
    assert answer.headers["content-range"] == f"bytes 2-5/{len(WEBM)}"


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/api/actions", {"name": "a/b"}, 400, "holds /, which no folder's name can have"),
        ("/api/actions", {"name": ""}, 400, "an action needs a name"),
        ("/api/actions", {"name": "x" * 501}, 422, "name: String should have at most 500"),
        ("/api/actions", {"name": 5}, 422, "name: Input should be a valid string"),
        ("/api/actions", {}, 422, "name: Field required"),
        ("/api/actions", {"name": "x", "z": 1}, 422, "z: Extra inputs are not permitted"),
        ("/api/actions", b"{", 422, "JSON decode error"),
        ("/api/actions/delete", {"name": "none"}, 400, "there is no action 'none'"),
        ("/api/clips/delete", {"ids": ["../project.yaml"]}, 404, "there is no clip '../project"),
        ("/api/clips/delete", {"ids": []}, 422, "ids: List should have at least 1 item"),
        ("/api/clips/change", {"ids": ["x"], "end_s": -1}, 422, "end_s: Input should be greater"),
        ("/api/clips/change", b'{"ids": ["x"], "end_s": NaN}', 422, "end_s: Input should be a"),
        ("/api/clips?action=none", WEBM, 400, "there is no action 'none'"),
        ("/api/clips", WEBM, 422, "action: Field required"),
        ("/api/clips?action=wave", b"", 400, "the file is empty (0 bytes)"),
        ("/api/clips?action=wave&name=x.txt", WEBM, 415, "'x.txt' is no video by its name"),
        ("/api/clips?action=wave&take=now", WEBM, 400, "take is like 20261129-101500; got 'now'"),
        ("/api/clips?action=wave&take=videos/x", WEBM, 400, "take is like"),
        ("/api/clips?action=wave&number=0", WEBM, 422, "number: Input should be greater than"),
        ("/api/nothing", {}, 404, "Not Found; reload the page"),
        ("/api/state", {}, 405, "Method Not Allowed; reload the page"),
        ("/docs", {}, 404, "Not Found"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(unchanged, path, body, status, said):
    client, running = unchanged
    before = client.get("/api/state").json()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert said in answer.json()["error"]
    after = client.get("/api/state").json()
    assert all(after[part] == before[part] for part in ("clips", "actions", "project"))
    assert list(running.shelf.temp.iterdir()) == []


@pytest.mark.parametrize(
    "clip", ["../project.yaml", "/etc/passwd", "wave/../../project.yaml", "", "wave", "wave\0.mp4"]
)
def test_no_file_but_a_clip_is_sent(unchanged, clip):
    client, _ = unchanged
    answer = client.get("/api/clips/video", params={"id": clip})
    assert (answer.status_code, list(answer.json())) == (404, ["error"])
    for path in ("/page/../server.py", "/page/%2e%2e/server.py", "/page/..%2fserver.py"):
        assert client.get(path).status_code in (404, 405)


@pytest.mark.parametrize("name", ["../clips/wave/1.mp4", "/etc/passwd", "\0", "..", ""])
@pytest.mark.parametrize("path", ["segments", "proposals", "file", "export"])
def test_no_worker_is_asked_to_open_a_video_that_is_none(unchanged, path, name):
    client, running = unchanged
    query = {"id": name, "format": "csv"}
    answer = client.get(f"/api/videos/{path}", params=query)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])
    assert not any("video" in task for task, _ in running.reader.asked)


def test_the_page_is_there(studio):
    client, _ = studio
    assert "</title>" in client.get("/").text
    assert client.get("/page/index.html").status_code == 200


def test_each_change_is_pushed_to_every_page(studio):
    client, running = studio
    own = list(running.listeners)
    with (
        client.websocket_connect(EVENTS, headers=FROM_PAGE) as one,
        client.websocket_connect(EVENTS, headers=FROM_PAGE) as other,
    ):
        one.send_bytes(b"noise")
        one.send_text("noise")
        first = one.receive_json()
        assert other.receive_json() == first
        client.post("/api/actions", json={"name": "wave"})
        for page in (one, other):
            state = page.receive_json()
            assert [action["name"] for action in state["actions"]][1:] == ["wave"]
            assert state["revision"] > first["revision"]
        assert len(running.listeners) == len(own) + 2
    client.post("/api/actions", json={"name": "clap"})
    assert running.listeners == own


def test_what_changes_in_the_folder_by_hand_is_pushed(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "LOOK_EVERY_S", 0.01)
    with open_app(tmp_path / "p") as (client, running):
        told = threading.Event()
        running.on_clips.append(told.set)
        with client.websocket_connect(EVENTS, headers=FROM_PAGE) as page:
            page.receive_json()
            (running.project.clips / "jump").mkdir()
            (running.project.clips / "jump" / "1.mp4").write_bytes(WEBM)
            while not (state := page.receive_json())["clips"]:
                assert state["project"]["problem"] is None
            assert state["clips"][0]["id"] == "jump/1.mp4"
            assert told.is_set()
            assert "jump" in (running.folder / "project.yaml").read_text()
            (running.folder / "project.yaml").write_text("format: [")
            while not (problem := page.receive_json()["project"]["problem"]):
                pass
    assert "line 1: is no YAML" in problem


def test_a_full_disk_is_507_and_leaves_nothing(studio, monkeypatch):
    client, running = studio
    client.post("/api/actions", json={"name": "wave"})
    monkeypatch.setattr(serving, "SPARE_BYTES", 1 << 62)
    answer = client.post("/api/clips?action=wave", content=WEBM)
    assert answer.status_code == 507
    assert "the disk is full: free space, then try again" in answer.json()["error"]
    monkeypatch.undo()

    async def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads, "_write", full)
    assert client.post("/api/clips?action=wave", content=WEBM).status_code == 507
    monkeypatch.undo()
    assert list(running.shelf.temp.iterdir()) == []
    assert record(client, "wave", 1)


def test_an_error_of_our_own_making_is_a_sentence_too(tmp_path, monkeypatch):
    def routes(_: object) -> APIRouter:
        router = APIRouter()

        @router.get("/api/broken")
        def broken() -> None:
            raise KeyError("x")

        return router

    monkeypatch.setattr(server, "ROUTES", (*server.ROUTES, routes))
    with open_app(tmp_path / "p") as (client, _):
        answer = client.get("/api/broken")
    assert answer.status_code == 500
    assert answer.json() == {"error": "KeyError: 'x'; the terminal tells more"}


def test_a_project_is_open_in_one_studio_at_a_time(tmp_path):
    with open_app(tmp_path / "p") as (_, running):
        with pytest.raises(ConfigError, match="open in another studio; use its page, or end"):
            session.Studio(tmp_path / "p").hold()
        running.tell_address("http://127.0.0.1:1/")
        with pytest.raises(ConfigError, match=r"use http://127\.0\.0\.1:1/, or end that one first"):
            session.Studio(tmp_path / "p").hold()
    again = session.Studio(tmp_path / "p")
    again.hold()
    again.hold()
    again.close()


@pytest.mark.slow
def test_two_hundred_clips_are_taken_at_once(studio):
    client, _ = studio
    client.post("/api/actions", json={"name": "wave"})
    for number in range(1, 201):
        record(client, "wave", number)
    assert len(client.get("/api/state").json()["clips"]) == 200


def test_the_server_imports_neither_networks_nor_decoders(tmp_path):
    program = (
        "import sys, pathlib\n"
        "from action_gru.apps.studio.server import make_app\n"
        "from action_gru.apps.studio.session import Studio\n"
        f"make_app(Studio(pathlib.Path({str(tmp_path / 'p')!r}))).openapi()\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = set(json.loads(done.stdout.replace("'", '"')))
    assert "fastapi" in found
    assert not found & {"torch", "cv2", "av", "ultralytics", "matplotlib", "PIL", "torchvision"}


def test_a_full_disk_is_a_sentence_wherever_it_is_met(studio, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    client, _ = studio
    video = client.post("/api/videos?name=long.mp4", content=WEBM).json()["id"]
    monkeypatch.setattr("tempfile.TemporaryDirectory", full)
    answer = client.post(f"/api/videos/import?id={video}&name=a.csv", content=b"start_s")
    assert answer.status_code == 507
    assert answer.json() == {
        "error": "the disk is full: free space, then try again (No space left on device)"
    }


def test_a_project_whose_name_is_no_text_is_shown_all_the_same(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "project.yaml").write_text('format: action-gru 1\nname: "\\ud800x"\n')
    with open_app(tmp_path / "p") as (client, _):
        assert client.get("/api/state").json()["project"]["name"] == "\ud800x"
