"""Train, Try and Use of the studio in a real browser, with a camera that shows drawn people."""

import json
import time
from types import SimpleNamespace

import pytest
from helpers.studio_browser import (
    DESK,
    PHONE,
    Visit,
    chromium,
    running_studio,
    serious_faults,
    write_film,
)
from safetensors import safe_open

from action_gru.demo.scenes import draw_clip
from action_gru.video import VideoWriter

pytestmark = pytest.mark.slow
FPS = 15.0
NOTHING = "nothing in particular"
DRAWN = {"wave": "wave", "jump": "jump", NOTHING: "idle"}  # action -> what is drawn for it
PEOPLE, CLIPS_EACH = 4, 8
FILMED = 91  # the person before the camera; in no clip
READY_S, TRAINING_S = 240.0, 240.0


def write_clip(path, action: str, person: int) -> None:
    """Two seconds as H.264, which a browser plays."""
    images = draw_clip(action, 1000 * person + hash_of(path.stem), fps=FPS)
    height, width = images[0].shape[:2]
    with VideoWriter(path, (width, height), FPS) as writer:
        for index, image in enumerate(images):
            writer.write(image, index / FPS)


def hash_of(name: str) -> int:
    return sum(map(ord, name))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A project with clips, and the film of its camera."""
    root = tmp_path_factory.mktemp("studio")
    for action, drawn in DRAWN.items():
        folder = root / "mine" / "clips" / action
        folder.mkdir(parents=True)
        for number in range(CLIPS_EACH):
            write_clip(folder / f"take-{number}.mp4", drawn, number % PEOPLE)
    # The network that comes along: this test needs none to be fetched.
    words = "format: action-gru 1\nweights: builtin\n"
    (root / "mine" / "project.yaml").write_text(words, encoding="utf-8")
    film = write_film(root / "film.mjpeg", "wave", range(4), FILMED, take_s=2.0)
    return SimpleNamespace(root=root, folder=root / "mine", film=film)


@pytest.fixture(scope="module")
def scene(place):
    """The studio and a browser, once the clips are read."""
    with running_studio(place.folder) as studio, chromium(place.film) as browser:
        studio.wait(lambda state: "training" in state, READY_S)
        studio.wait(lambda state: not state["training"]["why_not"], READY_S)
        yield SimpleNamespace(studio=studio, browser=browser, place=place)


@pytest.fixture
def visit(scene):
    """Opens a page at a step; at the end nothing went wrong in it, or left the machine."""
    opened = []

    def open_step(step: str, size=DESK, **context) -> Visit:
        opened.append(Visit(scene.browser, f"{scene.studio.address}#{step}", size, **context))
        return opened[-1]

    yield open_step
    for one in opened:
        one.context.close()
        assert one.faults == []
        assert one.elsewhere == []


@pytest.fixture(scope="module")
def trained(scene):
    """The scene with a model, trained by the key `t`."""
    page = Visit(scene.browser, f"{scene.studio.address}#train", DESK)
    page.tab.wait_for_selector("#train[aria-disabled=false]")
    page.tab.keyboard.press("t")
    page.tab.wait_for_selector("text=Training…", timeout=5_000)
    ended = scene.studio.wait(lambda state: state["training"]["state"] != "running", TRAINING_S)
    assert ended["model"], ended["training"]
    page.tab.wait_for_selector("#verdict:not(:empty)")
    page.shoot("train-verdict")
    yield SimpleNamespace(**vars(scene), page=page)
    page.context.close()


def test_a_key_trains_and_the_verdict_counts_each_action(trained):
    page = trained.page
    model = trained.studio.state()["model"]
    assert page.tab.inner_text("#verdict") == model["verdict"]["text"]
    bars = page.tab.eval_on_selector_all(
        ".verdict [data-bar]", "all => all.map(e => e.dataset.bar)"
    )
    assert bars == [action["name"] for action in model["actions"]]
    for action in model["actions"]:
        row = page.tab.inner_text(f'.verdict [data-bar="{action["name"]}"]')
        assert f"{action['right']} of {action['total']}" in row
    assert page.tab.locator(".version").count() == 1
    assert serious_faults(page.tab) == []
    assert page.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("step", ["train", "try", "use"])
def test_each_step_fits_a_phone_and_axe_finds_nothing_serious(trained, visit, step, scheme):
    page = visit(step, PHONE, color_scheme=scheme)
    page.tab.wait_for_selector(
        {"train": "#verdict", "try": "#live-label", "use": "#download"}[step]
    )
    page.shoot(f"{step}-{scheme}")
    assert page.fits()
    assert serious_faults(page.tab) == []


def until(page, expression: str, within_s: float = 20.0) -> None:
    """Playwright's own waiting evaluates a text in the page, which the page's policy forbids."""
    end_s = time.monotonic() + within_s
    while not page.tab.evaluate(expression):
        assert time.monotonic() < end_s, expression
        time.sleep(0.05)


def with_mistake(page, mistake: dict) -> None:
    """The page sees a model that took one clip for another action; all else is the studio's."""

    def changed(state: dict) -> dict:
        return state | {"model": state["model"] | {"mistakes": [mistake]}}

    def fetched(route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=changed(answer.json()))

    def pushed(socket) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda text: socket.send(json.dumps(changed(json.loads(text)))))

    page.tab.route("**/api/state", fetched)
    page.tab.route_web_socket("**/api/events", pushed)
    page.tab.reload()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_mistake_loops_beside_one_it_was_taken_for_and_is_relabelled(trained, visit, size):
    page = visit("train", size)
    clip, like = "wave/take-1.mp4", "jump/take-2.mp4"
    with_mistake(page, {"clip": clip, "was": "wave", "said": "jump", "score": 0.7, "like": like})
    page.tab.locator(".pair").scroll_into_view_if_needed()
    films = "[...document.querySelectorAll('.pair video')]"
    until(page, f"{films}.filter((film) => film.currentTime > 0).length === 2")
    page.shoot(f"train-mistake-{size['width']}")
    assert page.fits()
    assert serious_faults(page.tab) == []
    page.tab.click("text=Pause the clips")
    assert page.tab.locator(".pair video").count() == 0
    page.tab.select_option(".pair select", "jump")
    page.tab.wait_for_selector("text=Moved to jump. Train again to learn it.")
    page.tab.wait_for_selector(".pair", state="detached")
    page.tab.click(".toast button:has-text('Undo')")
    trained.studio.wait(lambda state: clip in [one["id"] for one in state["clips"]])


def shown_labels(page, seconds: float) -> list[str]:
    """The label ten times a second."""
    end_s, found = time.monotonic() + seconds, []
    while time.monotonic() < end_s:
        found.append(page.tab.get_attribute("#live-label", "data-label"))
        time.sleep(0.1)
    return found


def test_the_camera_s_action_is_named_steadily(trained, visit):
    page = visit("try", permissions=["camera"])
    page.tab.click("#try-camera")
    page.tab.wait_for_selector("#live-label[data-label=wave]", timeout=30_000)
    labels = shown_labels(page, 5.0)
    page.shoot("try-live")
    assert labels.count("wave") >= 0.9 * len(labels), labels
    assert page.tab.locator(".events li").count() >= 1


def test_an_action_without_a_clip_is_said_to_be_left_out(trained, visit):
    page = visit("train")
    empty = trained.place.folder / "clips" / "not yet"
    empty.mkdir()
    page.tab.wait_for_selector("#train-stock:has-text('Left out, without a clip: not yet')")
    begun = len({clip["action"] for clip in trained.studio.state()["clips"]})
    assert f"of {begun} actions" in page.tab.inner_text("#train-stock")
    empty.rmdir()
    page.tab.wait_for_selector("#train-stock:not(:has-text('not yet'))")


def test_a_correction_is_saved_into_its_action_and_offers_to_train(trained, visit):
    page = visit("try", permissions=["camera"])
    page.tab.click("#try-camera")
    page.tab.wait_for_selector("#live-label[data-label=wave]", timeout=30_000)
    page.tab.wait_for_timeout(1500)
    actions = trained.studio.state()["actions"]
    names = [action["name"] for action in sorted(actions, key=lambda one: one["background"])]
    page.tab.keyboard.press(str(names.index("wave") + 1))
    page.tab.wait_for_selector("text=Saved into wave; train again to learn it.")
    page.shoot("try-corrected")
    state = trained.studio.wait(lambda state: state["training"]["clips_new"] == 1)
    assert len([clip for clip in state["clips"] if clip["action"] == "wave"]) == CLIPS_EACH + 1
    assert page.tab.is_visible("button:has-text('Train again')")


def test_a_video_is_read_its_strip_seeks_and_sliders_ask_nobody(trained, visit):
    page = visit("try")
    page.tab.click("[data-mode=file]")
    film = trained.place.root / "long.mp4"
    with VideoWriter(film, (320, 240), FPS) as writer:
        images = [*draw_clip("wave", 5, fps=FPS), *draw_clip("jump", 6, fps=FPS)]
        for index, image in enumerate(images):
            writer.write(image, index / FPS)
    page.tab.set_input_files("#try-file", film)
    strip = "[role=slider].strip"
    page.tab.wait_for_selector(strip, timeout=60_000)
    until(page, "document.querySelector('video.try-video').readyState >= 2")
    page.tab.focus(strip)
    page.tab.keyboard.press("ArrowRight")
    page.tab.keyboard.press("ArrowRight")
    assert page.tab.get_attribute(strip, "aria-valuetext").startswith("0:01.0")
    assert page.tab.evaluate("document.querySelector('video.try-video').currentTime") == 1.0
    page.shoot("try-file")
    asked = []
    page.tab.on("request", lambda request: asked.append(request.url))
    page.tab.focus("#slider-sensitivity")
    page.tab.keyboard.press("Home")
    least = page.tab.locator(".events li").count()
    page.tab.keyboard.press("End")
    assert page.tab.locator(".events li").count() >= max(1, least)
    assert asked == []


def test_why_shows_moments_of_the_video(trained, visit):
    page = visit("try")
    page.tab.click("[data-mode=file]")
    clip = trained.place.folder / "clips" / "wave" / "take-0.mp4"
    page.tab.set_input_files("#try-file", clip)
    page.tab.wait_for_selector("#why", timeout=60_000)
    page.tab.keyboard.press("w")
    page.tab.wait_for_selector(".moment img, [aria-label=Why] p:not(.row)", timeout=120_000)
    page.shoot("try-why")
    assert page.tab.locator("[aria-label=Why] .notice.error").count() == 0


def test_use_gives_a_model_that_works_alone_and_says_how_to_call_it(trained, visit, tmp_path):
    page = visit("use")
    with page.tab.expect_download() as coming:
        page.tab.click("#download")
    coming.value.save_as(tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", framework="np") as file:
        assert len(list(file.keys())) > 0
    titles = page.tab.locator(".snippet h3").all_inner_texts()
    assert titles == ["Python", "Shell", "HTTP"]
    assert str(trained.place.folder / "runs") in page.tab.inner_text(".path")


def test_a_model_is_renamed_and_deleted_in_the_list(trained, visit):
    page = visit("train")
    page.tab.click(".version button:has-text('Rename')")
    page.tab.fill(".version form input", "first try")
    page.tab.keyboard.press("Enter")
    trained.studio.wait(lambda state: state["versions"][0]["name"] == "first-try")
    page.tab.wait_for_selector(".version strong:has-text('first-try')")
    page.tab.click(".version button:has-text('Delete')")
    page.tab.click("dialog button:has-text('Keep it')")
    assert page.tab.locator(".version").count() == 1
