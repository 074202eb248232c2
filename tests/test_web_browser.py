"""The page for visitors in a real browser, with the stored run: the slow lane."""

import re
import shutil
import signal
import time

import cv2
import httpx
import numpy as np
import pytest
from helpers.studio_browser import PHONE, chromium
from helpers.web_browser import CLIP, GOLDEN, Window, running, write_film
from helpers.web_doubles import HOSTILE, write_audio

from action_gru.video import VideoFile, VideoWriter

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the server has its temporary files."""
    return tmp_path_factory.mktemp("web") / "temp"


@pytest.fixture(scope="module")
def address(place):
    with running(place, "--max-upload-mb", "5", "--max-duration-s", "30", "--cameras", "1") as one:
        yield one[1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    film = write_film(tmp_path_factory.mktemp("camera") / "camera.mjpeg", CLIP)
    with chromium(film) as driver:
        yield driver


@pytest.fixture
def visit(browser, address):
    """Open windows on the page; no window asks elsewhere."""
    windows = []

    def open_window(*args, **more):
        windows.append(Window(browser, address, *args, **more))
        return windows[-1]

    yield open_window
    for one in windows:
        one.context.close()
        assert one.elsewhere == []
        assert one.faults == []


def held(place):
    """The files of the server's tries."""
    return [path for path in place.glob("action_gru_web_*/tries/*/**/*") if path.is_file()]


def wait_until_empty(place):
    end_s = time.monotonic() + 60
    while held(place):
        assert time.monotonic() < end_s, held(place)
        time.sleep(0.1)


def test_a_video_plays_with_its_answer_and_gives_files(visit, place, tmp_path):
    window = visit()
    window.read(CLIP)
    assert window.says(".whole", r"^The whole video: not sure, perhaps (left|right), \d+%$")
    assert window.tab.locator(".events li").count() >= 4
    assert window.tab.locator(".bars li").count() == 2
    assert [path.name for path in held(place) if path.suffix == ".mp4"] == []  # it was removed
    played = window.tab.evaluate(
        """async () => {
            const video = document.querySelector('video');
            await video.play();
            await new Promise(done => setTimeout(done, 700));
            video.pause();
            const track = video.textTracks[0];
            return [video.currentTime > 0.2, video.error, track.mode, track.cues.length > 3];
        }"""
    )
    assert played == [True, None, "showing", True]
    window.tab.click(".events li:nth-child(4) button")
    event = window.tab.inner_text(".events li:nth-child(4) [dir]")
    window.tab.keyboard.press("ArrowRight")  # away from the border of two events
    window.says("#live-label", event)
    window.check("video_desk")
    got = {}
    for name in ("JSON", "CSV", "WebVTT", "SRT", "ELAN", "Picture"):
        with window.tab.expect_download() as download:
            window.tab.get_by_role("link", name=name).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        got[name] = path.read_bytes()
    assert got["CSV"].decode().splitlines()[4].split(",")[2] == event
    assert got["WebVTT"].startswith(b"WEBVTT")
    assert got["Picture"].startswith(b"\x89PNG")
    window.tab.goto("about:blank")
    wait_until_empty(place)


def test_a_narrow_dark_window_and_keys(visit):
    window = visit(PHONE, scheme="dark")
    window.read(GOLDEN / "clips" / "left_0.mp4")
    window.check("video_phone_dark")
    before_s = window.tab.evaluate("document.querySelector('video').currentTime")
    window.tab.keyboard.press("ArrowRight")
    window.tab.wait_for_function(
        "(before) => document.querySelector('video').currentTime > before + 0.3", arg=before_s
    )
    window.open_camera()
    window.says(".bars", r"(left|right)\s+\d+%")
    window.check("camera_phone_dark")


def test_a_camera_is_answered_and_a_second_one_waits_for_its_place(visit):
    first, second = visit(), visit()
    first.open_camera()
    first.says("#live-label", r"left|right|not sure")
    first.says(".events", r"now, for \d")
    first.says("#work", r"An answer takes \d+ ms; \d+ pictures a second")
    first.check("camera_desk")
    second.open_camera()
    second.says("#work", r"places for cameras are taken \(1\); yours begins as soon as one is free")
    first.context.close()
    second.says(".bars", r"(left|right)\s+\d+%")


def test_what_no_browser_plays_comes_back_as_a_copy(visit, tmp_path):
    """MPEG-4 Part 2 in AVI: Chromium plays neither."""
    writer = cv2.VideoWriter(
        str(tmp_path / "old.avi"), cv2.VideoWriter_fourcc(*"XVID"), 10.0, (160, 120)
    )
    with VideoFile(CLIP) as video:
        for frame in video:
            writer.write(cv2.resize(frame.image, (160, 120)))
    writer.release()
    window = visit()
    window.read(tmp_path / "old.avi")
    # As a function: an expression is evaluated anew for each look, which the page's policy forbids.
    window.tab.wait_for_function("() => document.querySelector('video').videoWidth === 160")
    assert window.tab.is_visible("video")
    assert window.tab.get_by_role("link", name="Copy of the video").count() == 1


def test_several_files_are_answered_one_by_one(visit, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"hello " * 100)
    window = visit()
    window.upload([tmp_path / "a.mp4", CLIP, GOLDEN / "clips" / "left_0.mp4"])
    window.says("#work", "3 of 3 read")
    rows = window.tab.locator(".queue li")
    assert "this is text, not a video" in rows.nth(0).inner_text()
    for row in (rows.nth(1), rows.nth(2)):
        assert re.search(r"(left|right), \d+%", row.inner_text())
    window.tab.click(".queue li:nth-child(2) button")
    window.says("#work", f"Reading {CLIP.name}|Sending {CLIP.name}")
    folder = tmp_path / "clips"
    shutil.copytree(GOLDEN / "clips", folder)
    (folder / "notes.txt").write_text("hello")
    window.tab.set_input_files("#try-folder", folder)
    window.says("#work", r"\d+ of \d+ read; \d+ left aside, as no videos")


def test_what_cannot_be_read_is_said_on_the_page(visit, tmp_path):
    (tmp_path / f"{HOSTILE}.mp4").write_bytes(b"hello " * 100)
    (tmp_path / "large.mp4").write_bytes(b"\0" * 6_000_000)
    (tmp_path / "notes.txt").write_text("hello")
    write_audio(tmp_path / "sound.mp4")
    with VideoWriter(tmp_path / "long.mp4", (32, 32), 1.0) as writer:
        for number in range(33):
            writer.write(np.full((32, 32, 3), number, np.uint8), float(number))
    cases = {
        f"{HOSTILE}.mp4": r"img src=x onerror=alert\(1\).*this is text, not a video",
        "sound.mp4": r"sound\.mp4: no video stream in it \(audio only\?\)",
        "long.mp4": r"long\.mp4: the video lasts longer than 0:30\.0, which is the limit here",
        "large.mp4": r"large\.mp4: 6\.0 MB, and 5 MB is the limit here",
        "notes.txt": r"notes\.txt: not a video that is read here, such as \.mp4",
    }
    window = visit()
    for name, words in cases.items():
        window.upload(tmp_path / name)
        assert "/tmp" not in window.says("[role=alert]:visible", words)
    assert not window.tab.query_selector("img[src='x']")
    window.read(CLIP)
    assert not window.tab.is_visible("[role=alert]")


def test_leaving_ends_the_reading(visit, place, tmp_path):
    with VideoFile(CLIP) as video:
        images = [frame.image for frame in video]
    with VideoWriter(tmp_path / "slow.mp4", images[0].shape[1::-1], 25.0) as writer:
        for number in range(700):
            writer.write(images[number % len(images)], number / 25)
    wait_until_empty(place)
    window = visit()
    window.upload(tmp_path / "slow.mp4")
    window.says("#work", "Reading slow.mp4")
    assert held(place)
    window.tab.goto("about:blank")
    wait_until_empty(place)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_cleanly_and_leaves_nothing(number, tmp_path):
    with running(tmp_path / "temp") as (server, address):
        assert httpx.get(address, trust_env=False).status_code == 200
        assert list((tmp_path / "temp").glob("action_gru_web_*"))
        server.send_signal(number)
        assert server.wait(60) == 0
        assert server.stdout.read() == ""
    assert not list((tmp_path / "temp").iterdir())
