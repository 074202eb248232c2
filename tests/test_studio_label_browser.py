"""Step 3 of the studio in a real browser: long videos labelled by keys, mouse and model."""

import time
from types import SimpleNamespace

import av
import numpy as np
import pytest
from helpers.studio_browser import (
    DESK,
    PHONE,
    Visit,
    chromium,
    running_studio,
    serious_faults,
)

from action_gru.core.progress import Reporter
from action_gru.demo.scenes import draw_clip
from action_gru.prepare.project import open_project
from action_gru.prepare.source import read_source
from action_gru.timeline import read_segments
from action_gru.training import train
from action_gru.video import VideoFile, VideoWriter

pytestmark = pytest.mark.slow
FPS = 15.0
NOTHING = "nothing in particular"
DRAWN = {"wave": "wave", "jump": "jump", NOTHING: "idle"}  # action -> what is drawn for it
SCRIPT = ("idle", "wave", "idle", "jump", "wave", "idle", "jump", "idle")
FILMED = 77_000  # in no clip that was learned from
JUMP, WAVE = "1", "2"  # the keys of the two actions
CSV = "start_s,end_s,label\n1,2.5,wave\n2,3.25,jump\n"


def write_film(path, actions, seed: int) -> np.ndarray:
    """Actions one after the other, as H.264; when each begins, seconds, and the end."""
    starts, time_s = [], 0.0
    size_px = draw_clip("idle", seed, fps=FPS)[0].shape[1::-1]
    with VideoWriter(path, size_px, FPS) as writer:
        for number, action in enumerate(actions):
            starts.append(time_s)
            for image in draw_clip(action, seed + number, fps=FPS):
                writer.write(image, time_s)
                time_s += 1 / FPS
    return np.array([*starts, time_s])


def write_old(path) -> None:
    """Two seconds of a codec that no browser plays."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(30):
            image = np.full((64, 96, 3), 8 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A project with a model of two actions, and videos beside it that are not in it yet."""
    root = tmp_path_factory.mktemp("studio")
    folder = root / "mine"
    for action, drawn in DRAWN.items():
        (folder / "clips" / action).mkdir(parents=True)
        for number in range(6):
            path = folder / "clips" / action / f"take-{number}.mp4"
            write_film(path, [drawn], 1000 * (number % 3) + 10 * number + len(action))
    starts = write_film(root / "morning.mp4", SCRIPT, FILMED)
    write_film(root / "phone.mp4", SCRIPT[:2], FILMED)
    write_old(root / "old.avi")
    return SimpleNamespace(root=root, folder=folder, starts=starts)


@pytest.fixture(scope="module")
def scene(place):
    open_project(place.folder)
    values = ["training.epochs=8", "run.name=model-1", "features.weights=builtin"]
    run = read_source(place.folder, [*values, "training.mean_pooled_baseline=false"])
    train(run.written(), Reporter(quiet=True))
    with running_studio(place.folder) as studio, chromium() as browser:
        studio.wait(lambda state: state.get("model"))
        yield SimpleNamespace(studio=studio, browser=browser, place=place)


@pytest.fixture
def visit(scene):
    """Opens the step; at the end nothing went wrong in any page, or left the machine."""
    opened = []

    def open_step(size=DESK, **context) -> Visit:
        opened.append(Visit(scene.browser, f"{scene.studio.address}#label", size, **context))
        opened[-1].root = scene.place.root
        opened[-1].tab.wait_for_selector("#label-file", state="attached")
        return opened[-1]

    yield open_step
    for one in opened:
        one.context.close()
        assert one.faults == []
        assert one.elsewhere == []


def until(holds, within_s: float = 60.0) -> None:
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def add(page, path) -> None:
    """Choose a file, and wait until it is played."""
    page.tab.set_input_files("#label-file", path)
    page.tab.wait_for_selector(f".video-row[aria-current=true]:has-text('{path.stem}')")
    played(page)


def played(page) -> None:
    """The reader has told its length and rate, and the player shows a picture."""
    page.tab.wait_for_selector(".video-row[aria-current=true]:has-text(':')", timeout=90_000)
    until(lambda: page.tab.evaluate("document.querySelector('.label-video').readyState >= 2"))


def open_video(page, name: str) -> None:
    """Choose a video of the project, into which it comes where no earlier test has added it."""
    (file,) = page.root.glob(f"{name}.*")
    if not (page.root / "mine" / "videos" / file.name).is_file():
        add(page, file)
        return
    page.tab.click(f".video-row:has-text('{name}')")
    page.tab.wait_for_selector(f".video-row[aria-current=true]:has-text('{name}')")
    played(page)


def press(page, *keys: str) -> None:
    for key in keys:
        page.tab.keyboard.press(key)


def saved(page) -> None:
    page.tab.wait_for_selector("#label-saved:text-is('Saved')")


def kept(scene, name: str):
    file = scene.place.folder / "videos" / f"{name}.csv"
    found = read_segments(file, overlaps=True) if file.exists() else ()
    return [(one.label, one.start_s, one.end_s) for one in found]


def point(page, time_s: float, row: int = 0) -> tuple[float, float]:
    """A place on the track that shows the whole video: row 0 is the first one of segments."""
    box = page.tab.locator(".track-canvas").bounding_box()
    end_s = float(page.tab.get_attribute(".track-playhead", "aria-valuemax"))
    return box["x"] + box["width"] * time_s / end_s, box["y"] + 28 + 38 * row + 17


def test_keys_alone_label_a_video_and_a_reload_shows_it_again(scene, visit):
    page = visit()
    add(page, scene.place.root / "morning.mp4")
    press(page, *["Shift+ArrowRight"] * 2, WAVE, *["Shift+ArrowRight"] * 2, WAVE)
    press(page, *["Shift+ArrowRight"] * 2, JUMP, "Shift+ArrowRight", *["ArrowRight"] * 3, WAVE)
    assert page.tab.get_attribute("[data-label=wave]", "aria-pressed") == "true"
    press(page, "Escape")
    saved(page)
    assert kept(scene, "morning") == [("wave", 2.0, 4.0), ("jump", 6.0, 7.2)]
    press(page, "z")
    until(lambda: kept(scene, "morning") == [("wave", 2.0, 4.0)])
    press(page, "Shift+Z")
    until(lambda: len(kept(scene, "morning")) == 2)
    page.tab.reload()
    page.tab.wait_for_selector("summary:has-text('2 segments as a list')")
    page.shoot("label-keys")
    press(page, " ")
    until(lambda: page.tab.evaluate("!document.querySelector('.label-video').paused"))
    press(page, " ")
    assert page.tab.evaluate("document.querySelector('.label-video').paused")


def test_edges_are_moved_by_mouse_and_by_keyboard(scene, visit):
    page = visit()
    open_video(page, "morning")
    mouse = page.tab.mouse
    mouse.click(*point(page, 3.0))
    x, y = point(page, 4.0)
    mouse.move(x, y)
    mouse.down()
    mouse.move(*point(page, 4.5), steps=4)
    mouse.up()
    saved(page)
    assert kept(scene, "morning")[0][2] == pytest.approx(4.5, abs=0.1)
    end_s = kept(scene, "morning")[0][2]
    page.tab.locator(".track-edge.end").focus()
    press(page, "Shift+ArrowLeft", "ArrowRight")
    until(lambda: kept(scene, "morning")[0][2] == pytest.approx(end_s - 1 + 1 / FPS, abs=2e-3))
    press(page, "z", "z", "z")
    until(lambda: kept(scene, "morning") == [("wave", 2.0, 4.0), ("jump", 6.0, 7.2)])


def test_the_list_changes_the_same_segments_and_refuses_what_is_no_time(scene, visit):
    page = visit()
    open_video(page, "morning")
    page.tab.click("summary:has-text('as a list')")
    row = page.tab.locator(".segment-row").first
    end = row.locator(".segment-time").nth(1)
    end.fill("0:03.5")
    end.press("Tab")
    row.locator("select").select_option("jump")
    until(lambda: kept(scene, "morning")[0] == ("jump", 2.0, 3.5))
    end.fill("99")
    end.press("Tab")
    assert "within the video" in end.evaluate("field => field.validationMessage")
    assert kept(scene, "morning")[0] == ("jump", 2.0, 3.5)
    row.locator("text=Delete").click()
    until(lambda: kept(scene, "morning") == [("jump", 6.0, 7.2)])


def test_segments_are_imported_and_exported_and_another_tab_follows(scene, visit, tmp_path):
    page, other = visit(), visit()
    open_video(page, "morning")
    open_video(other, "morning")
    labels = tmp_path / "labels.csv"
    labels.write_text(CSV)
    page.tab.set_input_files("#label-import", labels)
    saved(page)
    wanted = [("wave", 1.0, 2.5), ("jump", 2.0, 3.25), ("jump", 6.0, 7.2)]
    assert kept(scene, "morning") == wanted
    other.tab.wait_for_selector("summary:has-text('3 segments as a list')")
    for form in ("eaf", "vtt"):
        with page.tab.expect_download() as download:
            page.tab.select_option("#label-export", form)
        path = tmp_path / f"back.{form}"
        download.value.save_as(path)
        assert download.value.suggested_filename == f"morning.{form}"
        found = [(one.label, one.start_s, one.end_s) for one in read_segments(path, overlaps=True)]
        assert found == wanted


def test_what_the_studio_refuses_is_told_and_saved_after_it_is_mended(scene, visit):
    """A label that no action can have, by an import."""
    page = visit()
    open_video(page, "morning")
    before, puts = kept(scene, "morning"), []
    page.tab.on("request", lambda one: one.method == "PUT" and puts.append(one))
    labels = {"name": "a.csv", "mimeType": "text/csv"}
    bad = b"start_s,end_s,label\n9,9.5,a/b\n"
    page.tab.set_input_files("#label-import", labels | {"buffer": bad})
    page.tab.wait_for_selector("#label-saved:has-text('holds /, which no folder')")
    page.tab.wait_for_timeout(1500)
    assert len(puts) == 1
    assert kept(scene, "morning") == before
    press(page, "z")
    saved(page)
    assert kept(scene, "morning") == before
    assert [fault for fault in page.faults if "400" not in fault] == []
    page.faults.clear()  # Chromium tells of each answer that is no success


def test_the_model_s_proposals_are_accepted_and_become_clips(scene, visit):
    page = visit()
    open_video(page, "morning")
    page.tab.click("summary:has-text('as a list')")
    page.tab.wait_for_selector(".segment-row")
    while page.tab.locator(".segment-row").count():
        page.tab.locator(".segment-row >> text=Delete").first.click()
    page.tab.click("#label-propose")
    page.tab.wait_for_selector("#label-accept-all:visible", timeout=120_000)
    page.shoot("label-proposals")
    press(page, "a")
    saved(page)
    found, starts = kept(scene, "morning"), scene.place.starts
    shown = [
        (action, start_s, end_s)
        for action, start_s, end_s in zip(SCRIPT, starts[:-1], starts[1:], strict=True)
        if action != "idle"
    ]
    hit = [
        any(label == action and start_s < (a + b) / 2 < end_s for label, a, b in found)
        for action, start_s, end_s in shown
    ]
    assert sum(hit) >= 3, (found, shown)
    page.tab.click("#label-cut")
    page.tab.wait_for_selector("#toasts:has-text('Made')", timeout=60_000)
    page.shoot("label-clips")
    clips = {
        (label, path)
        for label in ("wave", "jump")
        for path in (scene.place.folder / "clips" / label).glob("morning_*.mp4")
    }
    long = [one for one in found if one[2] - one[1] >= 0.3]
    assert len(clips) == len(long)
    for label, start_s, end_s in long:
        path = scene.place.folder / "clips" / label / f"morning_{start_s:.3f}-{end_s:.3f}.mp4"
        with VideoFile(path) as clip:
            last_s = [frame.time_s for frame in clip][-1]
        assert last_s == pytest.approx(end_s - start_s, abs=2.1 / FPS)
    state = scene.studio.state()
    takes = {clip["take"] for clip in state["clips"] if "morning" in clip["id"]}
    assert takes == {"videos/morning.mp4"}


def test_a_video_that_no_browser_plays_is_played_as_a_copy(scene, visit):
    page = visit()
    add(page, scene.place.root / "old.avi")
    assert page.tab.evaluate("document.querySelector('.label-video').videoWidth") == 96
    press(page, WAVE, "Shift+ArrowRight", WAVE)
    saved(page)
    assert kept(scene, "old") == [("wave", 0.0, 1.0)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_step_fits_and_axe_finds_nothing_serious(scene, visit, size, scheme):
    page = visit(size, color_scheme=scheme, reduced_motion="reduce", has_touch=size is PHONE)
    open_video(page, "morning")
    press(page, WAVE, "Shift+ArrowRight", WAVE)
    saved(page)
    page.tab.click("summary:has-text('as a list')")
    page.tab.click(".segment-row >> text=Show >> nth=0")
    page.shoot(f"label-{scheme}-{size['width']}")
    assert page.fits()
    assert serious_faults(page.tab) == []


def test_a_thumb_labels_on_a_phone(scene, visit):
    page = visit(PHONE, has_touch=True)
    add(page, scene.place.root / "phone.mp4")
    page.tab.tap("[data-label=jump]")
    page.tab.touchscreen.tap(*point(page, 1.5))
    page.tab.tap("[data-label=jump]")
    saved(page)
    label, start_s, end_s = kept(scene, "phone")[0]
    assert (label, start_s) == ("jump", 0.0)
    assert end_s == pytest.approx(1.5, abs=0.05)


def test_a_deleted_video_comes_back_by_undo(scene, visit):
    page = visit()
    open_video(page, "old")
    page.tab.click("#label-remove")
    page.tab.wait_for_selector(".video-row:has-text('old')", state="detached")
    page.tab.click(".toast >> text=Undo")
    page.tab.wait_for_selector(".video-row:has-text('old')")
    assert kept(scene, "old") == [("wave", 0.0, 1.0)]


def test_what_was_saved_outlives_a_killed_studio(scene):
    """The last: it ends the studio of the others."""
    page = Visit(scene.browser, f"{scene.studio.address}#label", DESK)
    page.root = scene.place.root
    open_video(page, "phone")
    press(page, "Shift+ArrowRight", WAVE, "Shift+ArrowRight", WAVE)
    saved(page)
    scene.studio.kill()
    assert ("wave", 1.0, 2.0) in kept(scene, "phone")
    press(page, "z")
    page.tab.wait_for_selector("#label-saved:has-text('Not saved')")
    page.context.close()
