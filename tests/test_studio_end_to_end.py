"""A user's five minutes in a real browser: name, record, train, try, correct. The slow lane."""

import json
from collections import Counter
from pathlib import Path

import pytest
from helpers.studio_browser import (
    DESK,
    StudioProcess,
    Visit,
    chromium,
    running_studio,
    serious_faults,
    write_film,
)

pytestmark = pytest.mark.slow
NOTHING = "nothing in particular"
# What the camera shows for each action of the studio; the drawn people know these.
SHOWN = {"wave": "wave", "clap": "clap", "box": "punch", NOTHING: "idle"}
PERSON = 77
RECORDED, TRIED = (10, 20, 30), (410, 420, 430)  # other places and moments
WINDOWS = 10


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> dict[tuple[str, bool], Path]:
    """(action, is it for trying) -> a camera's film."""
    folder = tmp_path_factory.mktemp("films")
    return {
        (name, tried): write_film(
            folder / f"{SHOWN[name]}-{tried}.mjpeg", SHOWN[name], seeds, PERSON, 12.0
        )
        for name in SHOWN
        for tried, seeds in ((False, RECORDED), (True, TRIED))
    }


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    root = tmp_path_factory.mktemp("studio")
    with running_studio(root / "moves", home=root / "home") as studio:
        yield studio


def counts(studio: StudioProcess) -> Counter:
    return Counter(clip["action"] for clip in studio.state()["clips"])


def check_clean(visit: Visit) -> None:
    assert visit.faults == []
    assert visit.elsewhere == []


def test_three_actions_are_named_recorded_trained_tried_and_corrected(studio, films):
    with chromium() as browser:
        visit = Visit(browser, studio.address, DESK)
        for name in SHOWN:
            if name != NOTHING:  # made for the user
                visit.tab.fill("#new-action", name)
                visit.tab.press("#new-action", "Enter")
        visit.tab.wait_for_selector('[data-action="box"]')
        visit.shoot("actions")
        assert serious_faults(visit.tab) == []
        check_clean(visit)
    for name in SHOWN:
        record_burst(studio, films[name, False], name)
    assert counts(studio) == dict.fromkeys(SHOWN, 10)
    studio.wait(lambda state: all(clip["features"] == "ready" for clip in state["clips"]), 90)
    train(studio)
    assert studio.state()["model"]["verdict"]["text"]
    right, seen = {}, {}
    for name in SHOWN:
        labels = live_labels(studio, films[name, True], name)
        right[name], seen[name] = labels.count(name), labels
    assert sum(right.values()) >= 0.9 * WINDOWS * len(SHOWN), seen


def record_burst(studio: StudioProcess, film: Path, name: str) -> None:
    with chromium(film) as browser:
        visit = Visit(browser, studio.address, DESK, permissions=["camera"])
        visit.go("record")
        visit.tab.click(f'.picker [data-action="{name}"]')
        visit.tab.click("#burst")
        visit.tab.wait_for_timeout(12_000)
        visit.shoot(f"record-{SHOWN[name]}")
        studio.wait(lambda state: sum(c["action"] == name for c in state["clips"]) >= 10, 60)
        check_clean(visit)
        if name == "wave":
            visit.shoot("record-thumbs")
            assert serious_faults(visit.tab) == []


def train(studio: StudioProcess) -> None:
    with chromium() as browser:
        visit = Visit(browser, studio.address, DESK)
        visit.go("train")
        visit.tab.click("#train")
        studio.wait(lambda state: state["training"]["state"] == "running", 10)
        visit.tab.wait_for_timeout(3000)
        visit.shoot("training")
        studio.wait(lambda state: state["training"]["state"] != "running", 120)
        state = studio.state()
        assert state["training"]["error"] is None, json.dumps(state["training"])
        visit.tab.wait_for_timeout(500)
        visit.shoot("trained")
        assert serious_faults(visit.tab) == []
        check_clean(visit)


def live_labels(studio: StudioProcess, film: Path, name: str) -> list[str]:
    """What the page says a second apart, from three seconds on."""
    with chromium(film) as browser:
        visit = Visit(browser, studio.address, DESK, permissions=["camera"])
        visit.go("try")
        visit.tab.get_by_role("button", name="Turn on").first.click()
        visit.tab.wait_for_selector("#live-label[data-label]:not([data-label=''])", timeout=30_000)
        visit.tab.wait_for_timeout(3000)
        labels = []
        for _ in range(WINDOWS):
            labels.append(visit.tab.get_attribute("#live-label", "data-label"))
            visit.tab.wait_for_timeout(1000)
        visit.shoot(f"try-{SHOWN[name]}")
        assert serious_faults(visit.tab) == []
        check_clean(visit)
    return labels
