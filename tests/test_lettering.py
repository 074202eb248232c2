"""Letters that the bundled font lacks. STIX stands in for a font of the machine."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from action_gru.apps import overlay
from action_gru.apps.overlay import letters as letters_of
from action_gru.core import graphics as lettering
from action_gru.report.plots import plot_confusion, save_figure

STIX = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "STIXGeneral.ttf"
RARE = "\u20e4\u1d8d"  # in STIX, not in DejaVu Sans
CHINESE = "走路"


@pytest.fixture(autouse=True)
def fonts(monkeypatch):
    """The fonts of a machine: none, until a test says which."""

    def has(*paths) -> None:
        monkeypatch.setattr(lettering, "system_fonts", lambda: paths)

    def forget() -> None:
        lettering._warned.clear()
        lettering.runs.cache_clear()
        lettering._other_font.cache_clear()

    forget()
    has()
    yield has
    forget()


def test_a_text_is_split_by_who_has_its_letters(fonts):
    fonts(STIX)
    assert lettering.runs("run") == ((lettering.font_file(), "run"),)
    assert lettering.runs(f"a {RARE[1]} b") == (
        (lettering.font_file(), "a "),
        (STIX, RARE[1]),
        (lettering.font_file(), " b"),
    )
    assert lettering.families(RARE) == ["DejaVu Sans", "STIXGeneral"]


def test_what_no_font_has_is_said_once_with_what_to_install(capfd):
    for text in (CHINESE, f"{CHINESE} 0:01.2", "跑步"):
        lettering.runs(text)
    said = capfd.readouterr().err
    assert said.count("warning") == 1
    assert "'走路': no font here has 走 路" in said
    assert "(Debian: fonts-noto-cjk)" in said


@pytest.mark.parametrize(
    ("text", "package"),
    [("한국", "fonts-noto-cjk"), ("चलना", "fonts-noto-core"), ("🤸", "fonts-symbola")],
)
def test_the_package_is_the_scripts(text, package, capfd):
    lettering.runs(text)
    assert f"(Debian: {package})" in capfd.readouterr().err


def test_letters_that_the_bundled_font_has_need_no_word(capfd):
    for text in ("идти", "مشي", "a\u200db", "e\u0301", "tab\there"):
        assert {path for path, _ in lettering.runs(text)} <= {lettering.font_file()}
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("error")
def test_a_report_picture_says_it_once_and_nothing_raw(tmp_path, capfd):
    picture = plot_confusion(np.eye(2, dtype=int), [CHINESE, "跑步"])
    save_figure(picture, tmp_path / "confusion.png")
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "Glyph" not in said


def test_a_report_picture_is_drawn_with_the_font_that_has_the_letters(tmp_path, capfd, fonts):
    fonts(STIX)
    picture = plot_confusion(np.eye(2, dtype=int), [RARE, "run"])
    save_figure(picture, tmp_path / "confusion.png")
    label = next(text for text in picture.axes[0].get_yticklabels() if text.get_text() == RARE)
    assert label.get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]
    assert capfd.readouterr().err == ""


def test_a_video_is_drawn_with_the_font_that_has_the_letters(capfd, fonts):
    boxes = letters_of(RARE, 20, False)
    lettering.runs.cache_clear()
    lettering._other_font.cache_clear()
    capfd.readouterr()
    fonts(STIX)
    overlay.letters.cache_clear()
    letters = letters_of(RARE, 20, False)
    assert letters.max() == 256
    assert not np.array_equal(letters, boxes)
    assert capfd.readouterr().err == ""
