"""What the page looks like and says in a real browser, light and dark, wide and narrow: slow lane.

The model is untrained: its answers do not matter here.
"""

import os
import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.videos import write_square
from helpers.web_doubles import FakeRecognizer

from action_gru.apps.serving import free_port
from action_gru.apps.web import Limits, Page
from action_gru.apps.web.guard import Folders
from action_gru.apps.web.server import launch
from action_gru.core.graphics import class_colour, rgb

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SHOTS = os.environ.get("WEB_SHOTS")  # a folder for pictures of what the tests saw
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
CAMERA = "--use-fake-device-for-media-stream"
ELSEWHERE = "page.test"  # a name of the server that browsers do not trust, unlike 127.0.0.1
# Text whose contrast with its ground is below 4.5 to 1 (WCAG 2.1, 1.4.3).
LOW_CONTRAST = """() => {
  const numbers = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const over = (top, under) => {
    const opaque = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map((i) => opaque * top[i] + (1 - opaque) * under[i]);
  };
  const lightness = (colour) => colour.map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement)
      layers.unshift(numbers(getComputedStyle(one).backgroundColor));
    return layers.reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim(), element = texts.currentNode.parentElement;
    if (!text || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName)) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    seen += 1;
    const under = ground(element);
    const ink = over(numbers(getComputedStyle(element).color), under);
    const [low, high] = [lightness(ink), lightness(under)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.push(`${text.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return [seen, found];
}"""


@pytest.fixture(scope="module")
def address():
    """Of a page with its server."""
    with Folders(600.0) as folders:
        page = Page(FakeRecognizer(), folders, Limits(max_upload_mb=20))
        yield launch(page, "127.0.0.1", free_port("127.0.0.1", 0))
        page.blocks.close(verbose=False)


@pytest.fixture
def driver():
    if CHROMIUM is None:
        pytest.skip("chromium is not on this machine (Debian package 'chromium')")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as driver:
        yield driver


@contextmanager
def opened(driver, address, size=DESK, scheme="light", switches=(), permissions=("camera",)):
    """A tab of a new browser on the page."""
    arguments = [*SWITCHES, f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1", *switches]
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
    try:
        context = browser.new_context(
            viewport=size, color_scheme=scheme, permissions=list(permissions)
        )
        tab = context.new_page()
        tab.goto(address)
        tab.wait_for_selector("#upload input[type=file]", state="attached")
        tab.wait_for_timeout(500)
        yield tab
    finally:
        browser.close()


def wait(tab, part: str, pattern: str, timeout_s: float = 60.0) -> str:
    """The text of a part once it matches."""
    end_s = time.monotonic() + timeout_s
    while not re.search(pattern, text := tab.inner_text(part)):
        assert time.monotonic() < end_s, f"{part} says {text!r}, not {pattern!r}"
        tab.wait_for_timeout(50)
    return text


def read(tab, path) -> None:
    tab.set_input_files("#upload input[type=file]", path)
    wait(tab, "#video_status", r"\d event|no event")
    tab.wait_for_timeout(700)  # the pictures arrive


def open_camera(tab) -> None:
    tab.get_by_role("tab", name="Camera").click()
    tab.locator("#camera").get_by_text("Click to Access Webcam").click()


def shoot(tab, name: str) -> None:
    if SHOTS:
        tab.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_camera_that_is_denied_is_said_with_what_to_do(driver, address, size):
    with opened(driver, address, size, switches=[CAMERA], permissions=()) as tab:
        assert not tab.is_visible("#camera_problem")
        open_camera(tab)
        words = wait(tab, "#camera_problem", "may not use the camera")
        assert "Allow it in the browser" in words
        shoot(tab, f"denied_{size['width']}")


def test_a_camera_that_is_not_there_is_said_with_what_to_do(driver, address):
    with opened(driver, address) as tab:
        open_camera(tab)
        wait(tab, "#camera_problem", "No camera was found. Connect one")


def test_a_page_from_another_machine_without_https_says_so(driver, address):
    elsewhere = address.replace("127.0.0.1", ELSEWHERE)
    with opened(driver, elsewhere, switches=[CAMERA]) as tab:
        tab.get_by_role("tab", name="Camera").click()
        wait(tab, "#insecure", "put an https proxy before it")


def test_a_camera_that_opens_leaves_no_complaint_and_no_record_button(driver, address):
    with opened(driver, address, switches=[CAMERA]) as tab:
        open_camera(tab)
        tab.locator("#camera").get_by_text("Start").click()
        wait(tab, "#camera_status", "frames a second")
        assert "Record" not in tab.inner_text("body")
        tab.locator("#camera").get_by_text("Stop").click()
        tab.locator("#camera").get_by_text("Start").wait_for()
        assert "Record" not in tab.inner_text("body")
        assert not tab.is_visible("#camera_problem")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(driver, address, tmp_path, size, scheme):
    video = write_square(tmp_path / "a.mp4", 30)
    with opened(driver, address, size, scheme) as tab:
        assert tab.evaluate(LOW_CONTRAST)[1] == []
        read(tab, video)
        seen, found = tab.evaluate(LOW_CONTRAST)
        assert seen > 20
        assert found == []
        shoot(tab, f"video_{scheme}_{size['width']}")
        open_camera(tab)
        wait(tab, "#camera_problem", "No camera")
        assert tab.evaluate(LOW_CONTRAST)[1] == []
        shoot(tab, f"camera_{scheme}_{size['width']}")


@pytest.mark.parametrize(
    ("scheme", "query", "dark"),
    [("light", "", False), ("dark", "", True), ("light", "?__theme=dark", True)],
)
def test_the_chart_is_as_dark_as_the_page(driver, address, tmp_path, scheme, query, dark):
    video = write_square(tmp_path / "a.mp4", 30)
    with opened(driver, address + query, scheme=scheme) as tab:
        read(tab, video)
        (shown,) = [one for one in tab.query_selector_all(".timeline img") if one.is_visible()]
        picture = cv2.imdecode(np.frombuffer(shown.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        assert (np.median(picture) < 30) == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_names_of_the_classes_lie_within_a_narrow_screen(driver, address, tmp_path, scheme):
    video = write_square(tmp_path / "a.mp4", 30)
    with opened(driver, address, PHONE, scheme) as tab:
        read(tab, video)
        names = tab.query_selector_all("#legend li")
        assert names
        for name in names:
            box = name.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_class_has_its_colour_in_lists_bars_and_tables(driver, address, tmp_path):
    video = write_square(tmp_path / "a.mp4", 30)
    colour = """(element) => getComputedStyle(element).backgroundColor"""
    expected = [f"rgb({', '.join(map(str, rgb(class_colour(index))))})" for index in range(3)]
    with opened(driver, address) as tab:
        read(tab, video)
        known = tab.query_selector_all(".known .swatch")
        assert [one.evaluate(colour) for one in known] == expected
        bars = {
            bar.get_attribute("aria-label"): bar.evaluate(colour)
            for bar in tab.query_selector_all("#labels meter")
        }
        assert [bars[label] for label in FakeRecognizer.classes] == expected


def test_an_upload_says_how_far_it_is(driver, address, tmp_path):
    video = write_square(tmp_path / "large.mp4", 30)
    with video.open("ab") as file:
        file.write(b"\0" * 3_000_000)
    with opened(driver, address) as tab:
        network = tab.context.new_cdp_session(tab)
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1}
        network.send("Network.enable")
        network.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": 500_000})
        tab.set_input_files("#upload input[type=file]", video)
        wait(tab, "#uploading", r"Uploading large\.mp4: \d\d?% of 3\.\d MB")
        shoot(tab, "uploading")
        wait(tab, "#video_status", "event")
        assert not tab.is_visible("#uploading")


def test_a_file_with_one_picture_is_said_to_be_one(driver, address, tmp_path):
    with opened(driver, address) as tab:
        read(tab, write_square(tmp_path / "still.mp4", 1))
        wait(tab, "#video_status", r"still\.mp4: one picture, no video")
