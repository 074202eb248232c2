"""The studio's steps Actions and Record in a real browser, a drawn person before the camera."""

import json
import shutil

import pytest
from helpers.studio_browser import (
    CHROMIUM,
    DESK,
    PHONE,
    SWITCHES,
    StudioProcess,
    Visit,
    chromium,
    running_studio,
    serious_faults,
    write_film,
)

from action_gru.demo.dataset import write_video
from action_gru.demo.scenes import draw_clip

pytestmark = pytest.mark.slow
SHORT_BURST = {"clips": 3, "clip_s": 1, "pause_s": 0.5, "count": 1, "sound": False}
BACKGROUND = "nothing in particular"
REFUSED = "Failed to load resource"  # what Chromium itself says of an answer that is a refusal


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    film = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    write_film(film, "wave", seeds=[1, 2], person=7, take_s=2.0)
    with chromium(film) as browser:
        yield browser


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """One studio for all tests here: each has actions of its own."""
    with running_studio(tmp_path_factory.mktemp("studio") / "people") as studio:
        yield studio


@pytest.fixture
def open_page(browser, studio):
    """Open pages of the studio; at the end none had a fault or asked another server."""
    visits = []

    def opened(step: str, size=DESK, address=None, **context) -> Visit:
        visit = Visit(browser, f"{address or studio.address}#{step}", size, **context)
        visits.append(visit)
        return visit

    yield opened
    for visit in visits:
        assert visit.elsewhere == []
        assert [one for one in visit.faults if not one.startswith(REFUSED)] == []
        visit.context.close()


@pytest.fixture
def film_file(tmp_path):
    path = tmp_path / "waving.mp4"
    write_video(path, draw_clip("wave", 3, fps=15.0), 15.0)
    return path


def name(visit: Visit, action: str) -> None:
    visit.tab.fill("#new-action", action)
    visit.tab.press("#new-action", "Enter")
    visit.tab.wait_for_selector(row(action))


def row(action: str) -> str:
    return f"[data-action={json.dumps(action, ensure_ascii=False)}]"


def clips_of(studio: StudioProcess, action: str) -> list[dict]:
    return [clip for clip in studio.state()["clips"] if clip["action"] == action]


def wait_clips(studio: StudioProcess, action: str, number: int) -> list[dict]:
    studio.wait(lambda _: len(clips_of(studio, action)) == number)
    return clips_of(studio, action)


def record(visit: Visit, action: str) -> None:
    """Open Record with an action that is made for it, and a short burst."""
    name(visit, action)
    visit.tab.evaluate("numbers => localStorage.setItem('burst', numbers)", json.dumps(SHORT_BURST))
    visit.tab.click(f"{row(action)} >> text=Record")
    visit.tab.wait_for_selector("#dock[data-camera=on]", state="attached")


def test_actions_are_named_by_the_keyboard_and_bad_names_are_told(open_page, studio):
    visit = open_page("actions")
    for action in ("walk", "跳ぶ"):
        name(visit, action)
    assert visit.tab.evaluate("document.activeElement.id") == "new-action"
    visit.tab.fill("#new-action", "walk")
    visit.tab.press("#new-action", "Enter")
    visit.tab.wait_for_selector("#new-action-problem:not(:empty)")
    assert "walk" in visit.tab.inner_text("#new-action-problem")
    assert visit.tab.input_value("#new-action") == "walk"  # to be mended, not typed again
    names = [action["name"] for action in studio.state()["actions"]]
    assert names.count("walk") == 1
    assert {"跳ぶ", BACKGROUND} <= set(names)
    assert serious_faults(visit.tab) == []
    visit.shoot("actions")


def test_long_names_do_not_lie_over_each_other(open_page):
    visit = open_page("actions")
    for number in range(8):
        name(visit, f"{number}" + 78 * "x")
    visit.go("record")
    visit.tab.wait_for_selector(".picker .pick")
    overflow = """() => [...document.querySelectorAll(".picker .pick")].filter((pick) =>
      pick.querySelector(".grow").getBoundingClientRect().height
        > pick.getBoundingClientRect().height).length"""
    assert visit.tab.locator(".picker .pick").count() >= 8
    assert visit.tab.evaluate(overflow) == 0


def test_an_action_called_as_a_part_of_every_object_is_one_like_others(open_page):
    visit = open_page("actions")
    for action in ("constructor", "__proto__"):
        name(visit, action)
        assert "0 clips" in visit.tab.inner_text(row(action))


def test_an_action_is_renamed_in_place_coloured_deleted_and_brought_back(open_page, studio):
    visit = open_page("actions")
    name(visit, "hop")
    visit.tab.fill(f"{row('hop')} .name", "hop twice")
    visit.tab.press(f"{row('hop')} .name", "Enter")
    visit.tab.wait_for_selector(row("hop twice"))
    visit.tab.fill(f"{row('hop twice')} .colour", "#123456")
    studio.wait(lambda state: "#123456" in [one["colour"] for one in state["actions"]])
    coloured = {"name": "hop twice", "colour": "#123456", "background": False}
    assert coloured in studio.state()["actions"]
    visit.tab.click(f"{row('hop twice')} >> text=Delete")
    visit.tab.click(".toast >> text=Undo")
    studio.wait(lambda state: "hop twice" in [one["name"] for one in state["actions"]])
    visit.tab.wait_for_selector(row("hop twice"))


def test_a_burst_becomes_clips_of_who_is_named_and_a_deletion_is_undone(open_page, studio):
    visit = open_page("actions")
    record(visit, "greet")
    visit.tab.fill("#person", "Ana")
    visit.tab.press("#person", "Tab")
    visit.tab.locator("h1").click()
    visit.tab.keyboard.press("b")
    visit.tab.wait_for_selector(".overlay[data-phase=clip]")
    visit.shoot("recording")
    clips = wait_clips(studio, "greet", 3)
    assert {clip["person"] for clip in clips} == {"Ana"}
    assert len({clip["take"] for clip in clips}) == 1
    assert [clip["id"].rsplit("-", 1)[1] for clip in clips] == ["1.webm", "2.webm", "3.webm"]
    for clip in clips:
        assert (studio.folder / "clips" / clip["id"]).stat().st_size > 5_000
    visit.tab.wait_for_selector(".tile >> nth=2")
    visit.tab.click("text=Choose all")
    visit.tab.click("text=Delete chosen")
    wait_clips(studio, "greet", 0)
    visit.tab.click("#undo")
    wait_clips(studio, "greet", 3)
    visit.tab.wait_for_selector(".tile >> nth=2")
    visit.shoot("clips")


def test_one_key_records_one_clip_and_escape_stops_a_burst(open_page, studio):
    visit = open_page("actions")
    record(visit, "nod")
    visit.tab.keyboard.press("r")
    wait_clips(studio, "nod", 1)
    visit.tab.wait_for_selector(".overlay", state="hidden")
    visit.tab.keyboard.press("b")
    visit.tab.wait_for_selector(".overlay[data-phase=pause]")
    visit.tab.focus("#person")
    visit.tab.keyboard.press("Escape")  # whatever has the focus
    visit.tab.wait_for_selector("text=Stopped. The clips before are kept.")
    wait_clips(studio, "nod", 2)


def test_a_clip_plays_under_the_pointer_and_is_trimmed_and_moved_by_keys(open_page, studio):
    visit = open_page("actions")
    name(visit, "there")
    record(visit, "here")
    visit.tab.keyboard.press("r")
    clip = wait_clips(studio, "here", 1)[0]["id"]
    visit.tab.hover(".tile")
    visit.tab.wait_for_selector(".tile .thumb-film")
    visit.tab.click(".tile [aria-label^=Trim]")
    visit.tab.wait_for_selector("dialog.trim input:enabled")
    for _ in range(6):
        visit.tab.keyboard.press("ArrowRight")
    assert serious_faults(visit.tab) == []
    visit.shoot("trim")
    visit.tab.click("dialog.trim >> text=Save")
    studio.wait(lambda _: clips_of(studio, "here")[0]["start_s"] == pytest.approx(0.3))
    assert clips_of(studio, "here")[0]["end_s"] is None
    assert (studio.folder / "clips" / clip).is_file()
    visit.tab.locator(".tile .choose").check()
    visit.tab.select_option(".move", "there")
    wait_clips(studio, "there", 1)
    visit.tab.click(f".pick{row('there')}")
    visit.tab.locator(".tile").drag_to(visit.tab.locator(f".pick{row('here')}"))
    wait_clips(studio, "here", 1)


def test_a_picked_folder_gives_its_name_to_its_clips(open_page, studio, film_file, tmp_path):
    folder = tmp_path / "mine"
    for action in ("squat", "lunge"):
        (folder / action).mkdir(parents=True)
        shutil.copy(film_file, folder / action / "one.mp4")
    (folder / "squat" / "notes.txt").write_text("not a video")
    visit = open_page("record")
    visit.tab.set_input_files("input[webkitdirectory]", str(folder))
    assert wait_clips(studio, "squat", 1)[0]["id"] == "squat/one.mp4"
    assert wait_clips(studio, "lunge", 1)[0]["id"] == "lunge/one.mp4"
    visit.tab.wait_for_selector("text=1 file left out, as no video")


def test_a_reload_keeps_the_step_the_action_and_who_it_is(open_page):
    visit = open_page("actions")
    record(visit, "sit down")
    visit.tab.fill("#person", "Ben")
    visit.tab.press("#person", "Tab")
    visit.tab.reload()
    visit.tab.wait_for_selector(f".pick.chosen{row('sit down')}")
    assert visit.tab.input_value("#person") == "Ben"
    assert visit.tab.inner_text("#chosen-name") == "sit down"


@pytest.mark.parametrize("step", ["actions", "record", "label", "train", "try", "use"])
def test_a_reload_opens_each_step_again_and_another_tab_hears_of_it(open_page, step):
    visit, other = open_page(step), open_page("actions")
    for _ in range(2):
        visit.tab.wait_for_selector("#step-title")
        assert visit.tab.get_attribute("[data-step][aria-current=page]", "data-step") == step
        visit.tab.reload()
    visit.go("actions")
    name(visit, f"made in {step}")
    other.tab.wait_for_selector(row(f"made in {step}"))


def test_a_full_disk_is_told_and_the_clip_waits_through_a_reload(open_page, studio):
    visit = open_page("actions")
    full = {"error": "the disk is full; free some space"}
    visit.context.route("**/api/clips?*", lambda route: route.fulfill(status=507, json=full))
    record(visit, "bow")
    visit.tab.keyboard.press("r")
    visit.tab.wait_for_selector(".sending >> text=the disk is full; free some space")
    visit.tab.reload()
    visit.tab.wait_for_selector(".sending >> text=1 clip waits")
    assert clips_of(studio, "bow") == []
    visit.context.unroute("**/api/clips?*")
    visit.tab.click("text=Try again now")
    wait_clips(studio, "bow", 1)
    visit.tab.wait_for_selector(".sending", state="hidden")


def test_a_server_that_is_killed_while_it_records_loses_no_clip(browser, tmp_path):
    folder = tmp_path / "killed"
    with running_studio(folder) as studio:
        port = studio.address.rstrip("/").rsplit(":", 1)[1]
        visit = Visit(browser, f"{studio.address}#actions", DESK)
        record(visit, "wave")
        visit.tab.keyboard.press("b")
        visit.tab.wait_for_selector(".overlay[data-phase=pause]")
        studio.kill()
        visit.tab.wait_for_selector("#offline:not([hidden])")
        visit.tab.wait_for_selector("text=Done: 3 clips recorded.")
    with running_studio(folder, "--port", port) as studio:
        clips = wait_clips(studio, "wave", 3)
        visit.tab.wait_for_selector(".sending", state="hidden")
        assert len({(studio.folder / "clips" / clip["id"]).read_bytes() for clip in clips}) == 3
        visit.context.close()


def test_without_a_camera_the_page_says_what_to_do_and_takes_files(browser, studio, film_file):
    kind = browser.browser_type  # of the same driver: there can be but one
    with kind.launch(executable_path=CHROMIUM, args=list(SWITCHES)) as bare:
        visit = Visit(bare, f"{studio.address}#record", DESK)
        visit.tab.click(".camera-on")
        visit.tab.wait_for_selector(".stage:is([data-camera=none], [data-camera=denied])")
        words = visit.tab.inner_text(".stage-words")
        assert "press Turn on" in words
        assert "drop video files" in words
        visit.tab.click(f".pick{row(BACKGROUND)}")
        visit.tab.set_input_files("input[accept='video/*']", film_file)
        assert wait_clips(studio, BACKGROUND, 1)[0]["id"] == f"{BACKGROUND}/waving.mp4"
        assert serious_faults(visit.tab) == []
        visit.shoot("no-camera")


def test_a_page_that_may_have_no_camera_says_why(open_page, studio):
    """As over plain http from another computer."""
    visit = open_page("actions")
    hidden = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"
    visit.tab.add_init_script(hidden)
    visit.tab.goto(f"{studio.address}?again#record")
    visit.tab.wait_for_selector(".stage[data-camera=insecure]")
    assert "http://127.0.0.1" in visit.tab.inner_text(".stage-words")
    assert visit.tab.is_disabled("#burst")


def test_a_camera_that_is_unplugged_ends_the_burst_and_is_told(open_page, studio):
    visit = open_page("actions")
    record(visit, "stretch")
    visit.tab.keyboard.press("b")
    visit.tab.wait_for_selector(".overlay[data-phase=pause]")
    unplug = "track => { track.stop(); track.dispatchEvent(new Event('ended')); }"
    module = "import('/page/camera.js')"
    visit.tab.evaluate(f"{module}.then(it => it.camera.stream.getTracks().forEach({unplug}))")
    visit.tab.wait_for_selector(".stage[data-camera=lost]")
    assert "disconnected" in visit.tab.inner_text(".stage-words")
    visit.tab.wait_for_selector(".toast.error >> text=the clips before are kept")
    wait_clips(studio, "stretch", 1)


def test_a_dropped_file_that_is_no_video_within_is_told_at_its_clip(open_page, studio):
    visit = open_page("actions")
    record(visit, "fall")
    dropped = """name => {
        const file = new File(["not a film"], name, {type: "video/mp4"});
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(file);
        for (const type of ["dragenter", "drop"])
            document.querySelector(".stage").dispatchEvent(
                new DragEvent(type, {dataTransfer, bubbles: true, cancelable: true}));
    }"""
    visit.tab.evaluate(dropped, "<b>fall.mp4")
    assert "/" not in wait_clips(studio, "fall", 1)[0]["id"].removeprefix("fall/")
    visit.tab.wait_for_selector(".tile .chip.error", timeout=120_000)
    assert visit.tab.locator(".tile b").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_in_both_schemes(open_page, scheme):
    visit = open_page("actions", PHONE, color_scheme=scheme)
    for step in ("actions", "record"):
        visit.go(step)
        visit.tab.wait_for_selector("#step-title")
        visit.tab.wait_for_selector(row(BACKGROUND))
        assert visit.fits()
        assert serious_faults(visit.tab) == []
        visit.shoot(f"phone-{scheme}-{step}")


def test_200_clips_of_30_actions_stay_in_the_page_while_the_state_changes(browser, film_file):
    folder = film_file.parent / "many"
    for number in range(200):
        place = folder / "clips" / f"action {number % 2}" / f"{number}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(film_file, place)
    for number in range(2, 30):
        (folder / "clips" / f"action {number}").mkdir()
    with running_studio(folder) as studio:
        visit = Visit(browser, f"{studio.address}#record", DESK)
        visit.tab.click(f".pick{row('action 0')}")
        visit.tab.wait_for_selector(".tile >> nth=99")
        assert visit.tab.locator(".pick").count() == 30
        mark = "for (const tile of document.querySelectorAll('.tile')) tile.kept = true"
        visit.tab.evaluate(mark)
        visit.tab.locator(".tile .choose >> nth=0").focus()
        visit.tab.keyboard.press("Delete")
        wait_clips(studio, "action 0", 99)
        visit.tab.wait_for_selector("#clips-title >> text=99 clips")
        kept = "[...document.querySelectorAll('.tile')].filter(tile => tile.kept).length"
        assert visit.tab.evaluate(kept) == 99
        assert "choose" in visit.tab.evaluate("document.activeElement.className")
        visit.context.close()
