"""The site of `make docs`: strict, complete, and alone: it asks no other host for anything."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.doc_blocks import PAGES
from helpers.studio_browser import CHROMIUM, DESK, PHONE, SWITCHES

import action_gru

SITE_PAGES = (
    "index.html", "how_to/find_events.html", "how_it_works.html", "config.html", "api.html",
    "data.html",
)  # fmt: skip


def test_the_api_page_has_every_public_name():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    names = {f"::: action_gru.{name}" for name in dir(action_gru) if not name.startswith("_")}
    assert {line for line in page.splitlines() if line.startswith(":::")} == names


def test_every_page_has_its_place_in_the_navigation():
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [str(page.relative_to(ROOT / "docs")) for page in PAGES if page.name != "README.md"]
    assert [page for page in pages if page not in settings] == []


def test_the_diagram_is_what_its_script_draws():
    script = runpy.run_path(str(ROOT / "scripts" / "draw_diagram.py"))
    committed = script["PICTURE"].read_text(encoding="utf-8")
    assert committed == script["picture"](), "run: python scripts/draw_diagram.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on this machine")
def test_opened_from_the_disk_it_asks_nobody_fits_every_screen_and_finds_words(site):
    from playwright.sync_api import sync_playwright

    asked, said, wide = [], [], []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        for viewport in (PHONE, DESK):
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport=viewport, color_scheme=scheme)
                page = context.new_page()
                page.on("request", lambda request: asked.append(request.url))
                page.on("console", lambda message: said.append(message.text))
                page.on("pageerror", lambda error: said.append(str(error)))
                for name in SITE_PAGES:
                    page.goto(f"file://{site / name}")
                    width = page.evaluate("document.documentElement.scrollWidth")
                    wide += [(name, width)] if width > viewport["width"] else []
                context.close()
        page = browser.new_page(viewport=DESK)
        page.goto(f"file://{site / SITE_PAGES[1]}")
        page.click(".md-search__input")
        page.keyboard.type("temperature")
        page.get_by_text("matching document").wait_for()
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert (said, wide) == ([], [])
