"""The page as a client of its API meets it, without a browser."""

import base64
import json
import os
import struct
import uuid
import zlib
from types import SimpleNamespace

import cv2
import pytest
from helpers.videos import moving_square, write_square
from helpers.web_doubles import HOSTILE, FakeRecognizer

from action_gru.apps.serving import free_port
from action_gru.apps.web import Limits, Page
from action_gru.apps.web.guard import Folders
from action_gru.apps.web.server import launch


@pytest.fixture(scope="module")
def recognizer() -> FakeRecognizer:
    return FakeRecognizer()


@pytest.fixture(scope="module")
def page(recognizer):
    """A page with its server, without a browser."""
    with Folders(60.0) as folders:
        page = Page(recognizer, folders, Limits(max_upload_mb=1, cameras=1))
        page.address = launch(page, "127.0.0.1", free_port("127.0.0.1", 0))
        yield page
        page.blocks.close(verbose=False)


def upload_to(page, name, content):
    import httpx

    files = {"files": (name, content)}
    return httpx.post(f"{page.address}gradio_api/upload", files=files, trust_env=False)


def call(page, target, data):
    """Call what an event of the page calls, as a browser does; the messages that come back."""
    import httpx

    with httpx.Client(base_url=page.address, timeout=60, trust_env=False) as client:
        calls = client.get("config").json()["dependencies"]
        number = next(d["id"] for d in calls if any(t[1] == target for t in d["targets"]))
        key = uuid.uuid4().hex
        body = {"data": data, "fn_index": number, "session_hash": key}
        client.post("gradio_api/queue/join", json=body).raise_for_status()
        messages = []
        with client.stream("GET", f"gradio_api/queue/data?session_hash={key}") as lines:
            for line in lines.iter_lines():
                if line.startswith("data:"):
                    messages.append(json.loads(line[5:]))
                    if messages[-1]["msg"] == "process_completed":
                        return messages
    raise AssertionError("no answer")


def file_at(path):
    return {"path": str(path), "orig_name": "clip.mp4", "meta": {"_type": "gradio.FileData"}}


def test_an_uploaded_video_comes_back_as_files(page, tmp_path):
    import httpx

    content = write_square(tmp_path / "in.mp4", 20).read_bytes()
    path = upload_to(page, f"{HOSTILE}.mp4", content).json()[0]
    answer = call(page, "upload", [file_at(path)])[-1]
    assert answer["success"]
    files = [part["path"] for part in answer["output"]["data"] if is_file(part)]
    assert [path.rsplit(".", 1)[1] for path in files] == [
        *("mp4", "png", "png"),
        *("json", "csv", "vtt", "srt", "eaf"),
    ]
    for path in files:
        got = httpx.get(f"{page.address}gradio_api/file={path}", trust_env=False)
        assert got.status_code == 200
    assert "<img src=x" not in json.dumps(answer["output"]["data"][0])


def is_file(part):
    return isinstance(part, dict) and "path" in part


def test_no_path_of_the_server_can_be_asked_for(page, tmp_path):
    import httpx

    secret = write_square(tmp_path / "secret.mp4", 5)
    for path in (secret, "/etc/passwd", "../../etc/passwd", f"file://{secret}", "http://a.b/c.mp4"):
        answer = call(page, "upload", [file_at(path)])[-1]
        assert not answer["success"]
        assert str(tmp_path) not in json.dumps(answer)
        assert "passwd" not in json.dumps(answer)
    for bare in ({"path": str(secret)}, str(secret), [str(secret)], None):
        answer = call(page, "upload", [bare])[-1]
        assert not any(map(is_file, answer["output"].get("data", [])))
    for path in (secret, "/etc/passwd", "http://127.0.0.1/"):
        got = httpx.get(f"{page.address}gradio_api/file={path}", trust_env=False)
        assert got.status_code == 403
    assert secret.is_file()


def test_what_cannot_be_read_is_said_in_words(page):
    path = upload_to(page, "notes.mp4", b"hello " * 100).json()[0]
    before = set((page.folders.root / "jobs").glob("*"))
    messages = call(page, "upload", [file_at(path)])
    warning = next(message for message in messages if message["msg"] == "log")
    assert warning["log"] == ("notes.mp4: this is text, not a video; check what the path points to")
    assert 'class="error" role="alert">notes.mp4: this is' in messages[-1]["output"]["data"][0]
    assert str(page.folders.root) not in json.dumps(messages[-1]["output"]["data"][0])
    assert set((page.folders.root / "jobs").glob("*")) == before


def png_header(width, height):
    """A PNG that claims a size and holds no pixel."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc


@pytest.mark.parametrize(
    "content",
    [png_header(60_000, 60_000), png_header(9_000, 9_000), b"%!PS-Adobe-3.0 EPSF-3.0\n", b"text"],
)
def test_a_camera_frame_s_header_is_read_before_its_pixels(page, content, tmp_path):
    path = upload_to(page, "frame.png", content).json()[0]
    data = "data:image/png;base64," + base64.b64encode(content).decode()
    named = {"path": path, "orig_name": "frame.png", "meta": {"_type": "gradio.FileData"}}
    for frame in (named, {**named, "path": None, "url": data}):
        answer = call(page, "stream", [frame])[-1]
        assert not answer["success"]
        assert "a camera's frame is a small JPEG, PNG or WebP" in json.dumps(answer["output"])


def test_a_modest_picture_passes(tmp_path):
    from action_gru.apps.web.elements import is_modest_picture

    image = next(moving_square(1))
    for ending in (".jpg", ".png", ".webp"):
        cv2.imwrite(str(tmp_path / f"a{ending}"), image)
        assert is_modest_picture(tmp_path / f"a{ending}")
        assert is_modest_picture((tmp_path / f"a{ending}").read_bytes())
    cv2.imwrite(str(tmp_path / "a.bmp"), image)
    assert not is_modest_picture(tmp_path / "a.bmp")


def test_an_upload_that_is_too_large_is_refused(page):
    assert upload_to(page, "big.mp4", b"x" * 1_050_000).status_code == 413
    assert upload_to(page, "huge.mp4", b"x" * 3_000_000).status_code == 413


def test_a_full_house_is_told_and_leaving_makes_room(page):
    image = next(moving_square(1))
    ask_as = lambda key: page.camera.see(image, SimpleNamespace(session_hash=key))  # noqa: E731
    assert page.camera.labels in ask_as("a")
    assert "All 1 camera places are taken" in ask_as("b")[page.camera.status]
    page.camera.leave(SimpleNamespace(session_hash="a"))
    assert page.camera.labels in ask_as("b")
    page.camera.leave(SimpleNamespace(session_hash="b"))
    assert len(page.camera.sessions) == 0


def test_a_video_whose_browser_left_is_not_read_on(page, tmp_path):
    path = upload_to(page, "a.mp4", write_square(tmp_path / "in.mp4", 50).read_bytes()).json()[0]
    request = SimpleNamespace(session_hash="gone")
    work = page.video.read(file_at(path), request)
    assert page.video.status in next(work)
    folder = page.folders._jobs["gone"].folder
    work.close()  # what Gradio does when the connection is lost
    assert not folder.exists()


def test_a_page_calls_nobody(page):
    config = page.blocks.get_config_file()
    assert config["analytics_enabled"] is False
    assert page.blocks.share is False
    assert page.blocks.allowed_paths == []
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert all(call["api_visibility"] == "private" for call in config["dependencies"])
    theme = page.blocks.theme_css
    assert "googleapis" not in theme
    assert theme.count("url(") == theme.count('url("data:')
