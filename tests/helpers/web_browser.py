"""The page for visitors in a process of its own, and windows on it."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import cv2

from action_gru.video import VideoFile
from helpers.studio_browser import DESK, serious_faults

GOLDEN = Path(__file__).parents[1] / "golden"
CLIP = GOLDEN / "clips" / "long.mp4"  # eight seconds: something goes right and left
SHOTS = os.environ.get("WEB_SHOTS")  # a folder for pictures of what the tests saw


@contextmanager
def running(temp, *options, model=GOLDEN / "run"):
    """`action-gru web` on a free port; its process and its address."""
    command = [sys.executable, "-m", "action_gru", "web", "-m", str(model), "--port", "0"]
    temp.mkdir(exist_ok=True)
    environment = os.environ | {"TMPDIR": str(temp), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [*command, *options], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        address = server.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        yield server, address
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGINT)
        server.wait(60)


def write_film(path, video):
    """A camera's film (.mjpeg) of a video; Chromium plays 30 pictures a second."""
    with path.open("wb") as file, VideoFile(video) as frames:
        shown = 0
        for frame in frames:
            image = cv2.cvtColor(cv2.resize(frame.image, (320, 240)), cv2.COLOR_RGB2BGR)
            jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
            due = round(30 * frame.time_s) + 1 - shown
            file.write(jpeg * due)
            shown += due
    return path


class Window:
    """A tab on the page; what goes wrong in it is kept."""

    def __init__(self, browser, address, size=DESK, scheme="light"):
        self.context = browser.new_context(
            viewport=size, color_scheme=scheme, permissions=["camera"], accept_downloads=True
        )
        self.tab = self.context.new_page()
        self.faults, self.elsewhere = [], []
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("dialog", self._dismiss)
        self.tab.on("request", self._asked)
        self.tab.goto(address)
        self.tab.wait_for_selector("#try-file", state="attached")

    def _dismiss(self, dialog):
        self.faults.append(dialog.message)
        dialog.dismiss()

    def _asked(self, request):
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "blob:", "data:")):
            self.elsewhere.append(request.url)

    def upload(self, path):
        self.tab.set_input_files("#try-file", path)

    def read(self, path, timeout_s=240):
        self.upload(path)
        self.tab.wait_for_selector(".files a", timeout=1000 * timeout_s)

    def open_camera(self):
        self.tab.click("[data-mode=camera]")
        self.tab.wait_for_function(
            "() => document.querySelector('.camera-power').textContent === 'Turn off'"
            " || document.querySelector('#try-camera')?.checkVisibility()"
        )
        if self.tab.is_visible("#try-camera"):
            self.tab.click("#try-camera")

    def says(self, part, pattern, timeout_s=60.0):
        """The text of a part once it matches."""
        end_s = time.monotonic() + timeout_s
        while not re.search(pattern, text := self.tab.inner_text(part)):
            assert time.monotonic() < end_s, f"{part} says {text!r}, not {pattern!r}"
            self.tab.wait_for_timeout(100)
        return text

    def check(self, name):
        """It fits, and a screen reader and weak eyes find what is there."""
        assert self.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert serious_faults(self.tab) == []
        if SHOTS:
            self.tab.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)
