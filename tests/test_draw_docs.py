"""Every picture of the docs has a script, and the script draws."""

import re
import shutil
import sys

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

IMAGES = ROOT / "docs" / "images"
LISTED = re.compile(r"^\| (`[^|]+`) \|", re.MULTILINE)
WEB = {"web_camera.png", "web_video.png"}


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    import draw_docs

    return draw_docs


def test_every_picture_is_listed_with_its_script_and_shown_on_a_page():
    rows = LISTED.findall((IMAGES / "README.md").read_text(encoding="utf-8"))
    listed = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    there = [path.name for path in IMAGES.iterdir() if path.suffix != ".md"]
    assert sorted(listed) == sorted(there)
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages if page.parent != IMAGES)
    assert [name for name in there if f"images/{name}" not in text] == []
    assert sum(path.stat().st_size > 2_000_000 for path in IMAGES.iterdir()) == 0


@pytest.mark.slow
def test_what_commands_print_goes_into_the_block_below_its_comment(script):
    page = "a\n<!-- said: one -->\n```text\nold\n```\n<!-- said: two | ## B -->\n```text\n```\nz\n"
    said = {"one": "new\n", "two": "# A\nx\n## B\ny\n## C\n"}
    assert script.with_said(page, said) == (
        "a\n<!-- said: one -->\n```text\nnew\n```\n"
        "<!-- said: two | ## B -->\n```text\n## B\ny\n```\nz\n"
    )


@pytest.mark.slow
def test_the_tutorial_shows_what_was_printed(script):
    """No block of it is empty or written by hand."""
    page = script.TUTORIAL.read_text(encoding="utf-8")
    blocks = script.SAID.findall(page)
    assert len(blocks) == page.count("<!-- said:") >= 10
    assert "```text\n```" not in page


@pytest.mark.slow
def test_the_drawn_pictures_are_drawn(script, tmp_path):
    drawn = set(script.docs_drawn.Drawn(tmp_path, tmp_path).pictures())
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        drawn -= WEB  # .ci/run installs it
    options = ["--clips", "3", "--epochs", "1", "--out", tmp_path, "--work", tmp_path / "work"]
    script.main([*sorted(drawn), *map(str, options)])
    for name in drawn:
        picture = np.asarray(Image.open(tmp_path / name).convert("RGB"))
        assert min(picture.shape[:2]) >= 200, name
        assert picture.std() > 10, name
        committed = Image.open(IMAGES / name)
        assert picture.shape[1] == committed.width, name
