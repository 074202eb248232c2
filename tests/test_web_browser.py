"""The web page in a real browser, with a model that was really trained: the slow lane."""

import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import cv2
import pytest
from helpers.videos import write_square
from helpers.web_doubles import FakeRecognizer, write_audio

from action_gru.apps.serving import free_port
from action_gru.apps.web import Limits, Page
from action_gru.apps.web.guard import Folders
from action_gru.apps.web.server import launch
from action_gru.config import build_config
from action_gru.core.progress import Reporter
from action_gru.demo import DEMO_CONFIG
from action_gru.demo.dataset import write_demo_dataset, write_video
from action_gru.demo.scenes import draw_clip
from action_gru.recognizer import ActionRecognizer
from action_gru.training import train

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
HOSTILE = "<img src=x onerror=alert(1)>.mp4"
PERSON, ACTION = 987_700, "wave"
SHOTS = os.environ.get("WEB_SHOTS")  # a folder for pictures of what the tests saw


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A demo in small: ten persons, twelve epochs."""
    root = tmp_path_factory.mktemp("web")
    manifest = write_demo_dataset(root / "data", clips_per_class=10, long_videos=0)
    tree = [f"data.manifest={manifest}", f"run.folder={root / 'runs'}"]
    tree += [f"features.cache_dir={root / 'cache'}", "training.epochs=12"]
    tree += ["training.mean_pooled_baseline=false", "training.device=cpu", "features.device=cpu"]
    return train(build_config(DEMO_CONFIG, tree), Reporter(quiet=True)).path


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A person that the model has never seen waves."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_video(path, draw_clip(ACTION, PERSON, fps=24.0), 24.0)
    return path


@pytest.fixture(scope="module")
def page(run):
    """The page and its server."""
    recognizer = ActionRecognizer.load(run, device="cpu")
    limits = Limits(max_upload_mb=5, max_duration_s=30, cameras=2)
    with Folders(600.0) as folders:
        page = Page(recognizer, folders, limits)
        page.address = launch(page, "127.0.0.1", free_port("127.0.0.1", 0))
        yield page
        page.blocks.close(verbose=False)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium whose camera shows the person over and over, and which reaches loopback alone."""
    if CHROMIUM is None:
        pytest.skip("chromium is not on this machine (Debian package 'chromium')")
    playwright = pytest.importorskip("playwright.sync_api")
    film = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    with film.open("wb") as file:
        for image in draw_clip(ACTION, PERSON, fps=24.0):
            jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [1, 95])[1]
            file.write(jpeg.tobytes())
    switches = [
        "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
        "--no-first-run", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]  # fmt: skip
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=switches)
        yield browser
        browser.close()


class Visit:
    """One browser window on the page; collects what it asks for and what goes wrong."""

    def __init__(self, browser, address, size) -> None:
        self.context = browser.new_context(
            viewport=size, permissions=["camera"], accept_downloads=True
        )
        self.tab = self.context.new_page()
        self.elsewhere, self.alerts, self.faults = [], [], []
        self.tab.on("request", self._note)
        self.tab.on("dialog", self._dismiss)
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.goto(address)
        self.tab.wait_for_selector("#upload input[type=file]", state="attached")

    def _note(self, request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.elsewhere.append(request.url)

    def _dismiss(self, dialog) -> None:
        self.alerts.append(dialog.message)
        dialog.dismiss()

    def upload(self, path) -> None:
        self.tab.set_input_files("#upload input[type=file]", path)

    def open_camera(self) -> None:
        self.tab.get_by_role("tab", name="Camera").click()
        self.tab.locator("#camera").get_by_text("Click to Access Webcam").click()
        self.tab.locator("#camera").get_by_text("Start").click()

    def text(self, part: str) -> str:
        return self.tab.inner_text(part)

    def wait(self, part: str, pattern: str, timeout_s: float = 60.0) -> str:
        """The text of a part once it matches."""
        end_s = time.monotonic() + timeout_s
        while not re.search(pattern, text := self.text(part)):
            assert time.monotonic() < end_s, f"{part} says {text!r}, not {pattern!r}"
            self.tab.wait_for_timeout(100)
        return text

    def fits(self) -> bool:
        """Nothing is wider than the window."""
        return self.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    def shoot(self, name: str) -> None:
        if SHOTS:
            self.tab.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def visit(browser, page):
    """Open windows on the page; all are closed at the end, and none asked elsewhere."""
    visits = []

    def open_window(size=DESK) -> Visit:
        visits.append(Visit(browser, page.address, size))
        return visits[-1]

    yield open_window
    for one in visits:
        one.close()
        assert one.elsewhere == []
        assert one.alerts == []
        assert one.faults == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_an_upload_is_named_played_and_handed_back(visit, clip, size, tmp_path):
    window = visit(size)
    window.upload(clip)
    assert window.wait("#video_status", r"1 event").startswith("clip.mp4: 0:0")
    assert window.text("#labels").split("\n")[1] == ACTION
    assert re.search(rf"0:\d\d\.\d\s+0:\d\d\.\d\s+{ACTION}\s+\d+%", window.text("#events"))
    played = window.tab.evaluate(
        """async () => {
            const video = document.querySelector('#annotated video');
            video.muted = true;
            await video.play();
            await new Promise(done => setTimeout(done, 700));
            return [video.videoWidth, video.videoHeight, video.currentTime > 0.2, !!video.error];
        }"""
    )
    assert played == [320, 240, True, False]
    assert window.tab.evaluate("document.querySelector('#timeline img').naturalWidth") > 500
    got = {}
    for name in ("JSON", "CSV", "WebVTT", "SRT", "ELAN"):
        with window.tab.expect_download() as download:
            window.tab.get_by_role("link", name=name).or_(
                window.tab.get_by_role("button", name=name)
            ).first.click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        got[name] = path.read_text()
    assert got["CSV"].splitlines()[1].split(",")[2] == ACTION
    assert got["WebVTT"].startswith("WEBVTT")
    assert window.fits()
    window.shoot(f"video_{size['width']}")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_camera_is_named_live_and_forgotten(visit, page, size):
    window = visit(size)
    window.open_camera()
    window.wait("#live_events", rf"0:0\d\.\d\s+now\s+{ACTION}")
    window.wait("#camera_status", r"\d+ frames a second · answered in \d+ ms")
    assert ACTION in window.text("#live_labels")
    assert window.fits()
    window.shoot(f"camera_{size['width']}")
    (session,) = page.camera.sessions._sessions.values()
    traces = [
        weakref.ref(session),
        weakref.ref(session.stream),
        weakref.ref(session.stream.sampler),
    ]
    del session
    window.close()  # mid-stream
    end_s = time.monotonic() + 15
    while len(page.camera.sessions) or any(trace() for trace in traces):
        assert time.monotonic() < end_s, (len(page.camera.sessions), [trace() for trace in traces])
        time.sleep(0.1)
        gc.collect()


def test_a_file_name_is_shown_as_text(visit, clip, tmp_path):
    hostile = tmp_path / HOSTILE
    shutil.copy(clip, hostile)
    window = visit()
    window.upload(hostile)
    window.wait("#video_status", "1 event")
    assert not window.tab.query_selector("img[src='x']")
    broken = tmp_path / f"2{HOSTILE}"
    broken.write_bytes(b"hello " * 100)
    other = visit()
    other.upload(broken)
    other.wait("#video_status", "this is text, not a video")
    other.tab.wait_for_timeout(500)
    assert "&lt;" not in other.tab.inner_text("body")
    assert not other.tab.query_selector("img[src='x']")


def test_what_cannot_be_read_is_said_on_the_page(visit, tmp_path):
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    write_audio(tmp_path / "sound.mp4")
    write_square(tmp_path / "long.mp4", 31 * 2 + 1, fps=2.0)
    write_square(tmp_path / "three.mp4", 3)
    cases = {
        "noise.mp4": r"noise\.mp4: not a video that can be read",
        "sound.mp4": r"sound\.mp4: no video stream in it \(audio only\?\)",
        "long.mp4": r"long\.mp4: the video lasts longer than 0:30\.0, which is the limit here",
        "three.mp4": r"three\.mp4: 0:00\.2, ",
    }
    for name, words in cases.items():
        window = visit()
        window.upload(tmp_path / name)
        text = window.wait("#video_status", words)
        assert "/tmp" not in text
        window.shoot(f"said_{name}")
        window.close()


def test_a_file_that_is_refused_unread_is_said_on_the_page(visit, clip, tmp_path):
    (tmp_path / "large.mp4").write_bytes(b"\0" * 6_000_000)
    window = visit()
    window.upload(tmp_path / "large.mp4")
    window.wait("#refused", r"large\.mp4: 6\.0 MB, and 5 MB is the limit here")
    window.shoot("said_large")
    (tmp_path / "notes.txt").write_text("hello")
    window.upload(tmp_path / "notes.txt")
    window.wait("#refused", r"notes\.txt: not a video that is read here, such as \.mp4")
    window.upload(clip)
    window.wait("#video_status", "1 event")
    assert window.text("#refused") == ""


def test_a_camera_goes_on_while_a_video_is_read_and_a_third_waits(visit, page, tmp_path):
    write_square(tmp_path / "in.mp4", 120, fps=24.0)
    first, second, third = visit(), visit(), visit()
    first.open_camera()
    first.wait("#camera_status", "frames a second")
    session = next(iter(page.camera.sessions._sessions.values()))
    second.open_camera()
    second.wait("#camera_status", "frames a second")
    third.open_camera()
    third.wait("#camera_status", "All 2 camera places are taken")
    third.upload(tmp_path / "in.mp4")  # its other tab
    third.wait("#video_status", "Reading in.mp4: 0:0")
    before_s = session.stream.prediction.time_s
    third.wait("#video_status", r"in\.mp4: 0:0[45]\.\d, ", timeout_s=300)
    assert session.stream.prediction.time_s > before_s + 1
    first.close()
    third.wait("#camera_status", "frames a second")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_address_and_ends_cleanly(run, number, tmp_path):
    code = (
        "import typer; from action_gru.cli.common import run;"
        "from action_gru.cli.inference import web;"
        "app = typer.Typer(); app.command()(web);"
        f"run(app, ['--model', {str(run)!r}, '--port', '0', 'features.device=cpu'])"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    import httpx

    address = server.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    assert httpx.get(address, trust_env=False).status_code == 200
    assert list(tmp_path.glob("action_gru_web_*"))
    server.send_signal(number)
    out, err = server.communicate(timeout=30)
    assert server.returncode == 0, err
    assert out == ""
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_labels_are_shown_as_text(browser, clip):
    recognizer = FakeRecognizer()
    with Folders(600.0) as folders:
        page = Page(recognizer, folders)
        window = Visit(browser, launch(page, "127.0.0.1", free_port("127.0.0.1", 0)), DESK)
        window.upload(clip)
        window.wait("#video_status", r"clip\.mp4: 0:.*event")
        for label in recognizer.classes:
            assert label in window.text("#labels")
            assert label in window.text(".known")
        assert any(label in window.text("#events") for label in recognizer.classes)
        assert not window.tab.query_selector("img[src='x']")
        window.shoot("hostile_labels")
        window.close()
        page.blocks.close(verbose=False)
    assert window.alerts == []
    assert window.faults == []


def test_nothing_of_a_camera_is_kept_by_the_server(visit, page):
    window = visit()
    window.open_camera()
    window.wait("#camera_status", "frames a second")
    window.close()
    end_s = time.monotonic() + 15
    while b"data:image" in held_by_gradio(page):
        assert time.monotonic() < end_s
        time.sleep(0.2)


def held_by_gradio(page) -> bytes:
    """What Gradio remembers of its sessions' components."""
    return repr(
        [dict(s.config_values) for s in page.blocks.state_holder.session_data.values()]
    ).encode()


def test_leaving_or_clearing_ends_a_video(visit, page, clip, tmp_path):
    jobs = page.folders.root / "jobs"
    write_square(tmp_path / "in.mp4", 600, fps=24.0)

    def wait_until_gone(folders):
        end_s = time.monotonic() + 20
        while any(folder.exists() for folder in folders):
            assert time.monotonic() < end_s
            time.sleep(0.1)

    def started(window):
        before = set(jobs.glob("*"))
        window.upload(tmp_path / "in.mp4")
        window.wait("#video_status", "Reading in.mp4: 0:0")
        return set(jobs.glob("*")) - before

    window = visit()
    reading = started(window)
    window.close()
    wait_until_gone(reading)
    window = visit()
    reading = started(window)
    window.tab.locator("#upload").get_by_label("Clear").click()
    wait_until_gone(reading)
    window.wait("#video_status", r"^\s*$")
    before = set(jobs.glob("*"))
    window.upload(clip)
    window.wait("#video_status", "1 event")
    results = set(jobs.glob("*")) - before
    window.tab.locator("#upload").get_by_label("Clear").click()
    wait_until_gone(results)
    window.wait("#video_status", r"^\s*$")
    assert not window.tab.is_visible("#results")
