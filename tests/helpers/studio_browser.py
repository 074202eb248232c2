"""A real studio in a process of its own, and Chromium whose camera shows drawn people."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest

from action_gru.demo.scenes import clip_scene

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FILM_FPS = 30.0  # Chromium plays a .mjpeg file at this rate
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SHOTS = os.environ.get("STUDIO_SHOTS")  # a folder for pictures of what the tests saw
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def write_film(path: Path, action: str, seeds: Sequence[int], person: int, take_s: float) -> Path:
    """A camera's film (.mjpeg): one person does one action in one place after another.

    Without the pauses before and after it, which the action would else be learnt from.
    """
    with path.open("wb") as file:
        for seed in seeds:
            # A repeated action fills at least three fifths of a scene.
            scene = clip_scene(action, seed, fps=FILM_FPS, duration_s=2 * take_s, person=person)
            begins_s = max(0.0, scene.actors[0].moves[0].span_s[0])
            for index in range(round(take_s * FILM_FPS)):
                image = scene.image_at(begins_s + index / FILM_FPS)
                image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
                file.write(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
    return path


class StudioProcess:
    """`action-gru studio FOLDER` on a free port of loopback."""

    def __init__(self, folder: Path, *settings: str, home: Path | None = None) -> None:
        self.folder, self.log = folder, folder.parent / f"{folder.name}.log"
        environment = dict(os.environ) | ({"HOME": str(home)} if home else {})
        command = [sys.executable, "-m", "action_gru", "studio", str(folder), "--no-browser"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", "0", *settings],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:"), self.log.read_text()

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.address.rstrip('/')}/api/state", timeout=10) as answer:
            return json.load(answer)

    def wait_ready(self, within_s: float = 120.0) -> None:
        self.wait(lambda state: state["engines"]["reader"]["state"] == "ready", within_s)

    def wait(self, holds: Any, within_s: float = 60.0) -> dict[str, Any]:
        """The state once something holds of it."""
        end_s = time.monotonic() + within_s
        while not holds(state := self.state()):
            assert time.monotonic() < end_s, json.dumps(state)[:3000] + self.log.read_text()[-2000:]
            time.sleep(0.1)
        return state

    def kill(self) -> None:
        """End it and its workers at once, as a power cut does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self) -> None:
        """End it as ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def running_studio(
    folder: Path, *settings: str, home: Path | None = None
) -> Iterator[StudioProcess]:
    studio = StudioProcess(folder, *settings, home=home)
    try:
        yield studio
    finally:
        try:
            studio.close()
        finally:
            if studio.process.poll() is None:
                studio.kill()


class Visit:
    """One browser with a page of the studio; keeps what goes wrong in it."""

    def __init__(self, browser: Any, address: str, size: dict[str, int], **context: Any) -> None:
        self.context = browser.new_context(viewport=size, accept_downloads=True, **context)
        self.tab = self.context.new_page()
        self.faults: list[str] = []
        self.elsewhere: list[str] = []
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("console", self._heard)
        self.tab.on("request", self._asked)
        self.tab.goto(address)
        self.tab.wait_for_selector("[data-step]")

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(f"{message.text} {message.location.get('url')}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.elsewhere.append(request.url)

    def go(self, step: str) -> None:
        self.tab.click(f"nav [data-step={step}]")

    def fits(self) -> bool:
        """Nothing is wider than the window."""
        return self.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    def shoot(self, name: str) -> None:
        if SHOTS:
            self.tab.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


@contextmanager
def chromium(film: Path | None = None, *switches: str) -> Iterator[Any]:
    """A browser; film: what its camera shows over and over, without it there is no camera."""
    if CHROMIUM is None:
        pytest.skip("chromium is not on this machine (Debian package 'chromium')")
    playwright = pytest.importorskip("playwright.sync_api")
    camera = (
        (
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
        )
        if film
        else ()
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=[*SWITCHES, *camera, *switches]
        )
        try:
            yield browser
        finally:
            browser.close()


def serious_faults(tab: Any) -> list[str]:
    """What axe-core calls serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(tab).response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
