"""Fonts for any script: finds the font file that draws each part of a text.

DejaVu Sans comes with matplotlib and draws what it can; other letters are drawn with the first font
of this machine that has them. Where none has, that is said once, with what to install.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager, ft2font

from action_gru.core.progress import Reporter

DEJAVU = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
NOT_SHOWN = frozenset("\u034f\ufe0e\ufe0f")  # they change their neighbours
# Scripts by the first word of their letters' Unicode names -> the Debian package of a font.
PACKAGES = {
    "CJK": "fonts-noto-cjk", "HIRAGANA": "fonts-noto-cjk", "KATAKANA": "fonts-noto-cjk",
    "HANGUL": "fonts-noto-cjk",
}  # fmt: skip
OTHER_PACKAGE = "fonts-noto-core"
SYMBOLS_PACKAGE = "fonts-symbola"  # emoji in outlines; fonts of coloured pictures cannot be used

_told: set[str] = set()  # packages that were named: one line for all labels of a script


def font_file(bold: bool = False) -> Path:
    """DejaVu Sans, which draws whatever it can."""
    return DEJAVU / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


@lru_cache(maxsize=1024)
def runs(text: str, bold: bool = False) -> tuple[tuple[Path, str], ...]:
    """The text in parts of one font file each. Warns once of letters that no font has."""
    _warn_of_lacking(text)
    own = font_file(bold)
    parts = groupby(text, key=lambda letter: _other_font(letter) or own)
    return tuple((path, "".join(letters)) for path, letters in parts)


def families(text: str) -> list[str]:
    """The font families that matplotlib needs for a text, DejaVu Sans first."""
    files = dict.fromkeys(path for path, _ in runs(text) if path != font_file())
    return ["DejaVu Sans", *map(_family, files)]


def set_fonts(figure: Any) -> None:
    """Give every text of a matplotlib figure the fonts of its letters. Call it before a layout."""
    for text in figure.findobj(matplotlib.text.Text):
        if not text.get_text().isascii():
            text.set_fontfamily(families(text.get_text()))


@contextmanager
def no_raw_warnings() -> Iterator[None]:
    """Around matplotlib's drawing: its lines on missing glyphs are said by `runs`, in words."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        yield


def _warn_of_lacking(text: str) -> None:
    lacking = [letter for letter in dict.fromkeys(text) if not _is_drawable(letter)]
    packages = dict.fromkeys(map(_package, lacking))
    if _told.issuperset(packages):
        return
    _told.update(packages)
    Reporter(quiet=True).warn(
        f"'{text}': no font here has {' '.join(lacking[:12])}{' ...' if lacking[12:] else ''}, and "
        f"pictures and videos show boxes instead; install a font that has them (Debian: "
        f"{', '.join(packages)})"
    )


def _is_drawable(letter: str) -> bool:
    return _has(font_file(), letter) or _other_font(letter) is not None or not _is_shown(letter)


def _is_shown(letter: str) -> bool:
    """Controls, and what joins letters, are not drawn."""
    return letter not in NOT_SHOWN and unicodedata.category(letter) not in ("Cc", "Cf", "Zs")


def _package(letter: str) -> str:
    if unicodedata.category(letter) == "So":
        return SYMBOLS_PACKAGE
    return PACKAGES.get(unicodedata.name(letter, "").partition(" ")[0], OTHER_PACKAGE)


@lru_cache(maxsize=4096)
def _other_font(letter: str) -> Path | None:
    """The first font of this machine that has a letter which DejaVu Sans lacks."""
    if _has(font_file(), letter) or not _is_shown(letter):
        return None
    return next((path for path in system_fonts() if _has(path, letter)), None)


@lru_cache(maxsize=1)
def system_fonts() -> tuple[Path, ...]:
    """The font files of this machine, upright ones first, then by name."""
    # Not matplotlib's own list: it is kept on disk, and knows nothing of what came later.
    found = [Path(path) for path in font_manager.findSystemFonts()]

    def rank(path: Path) -> tuple[bool, bool, str]:
        return "italic" in path.name.lower(), "regular" not in path.name.lower(), path.name

    return tuple(sorted(found, key=rank))


@lru_cache(maxsize=1024)
def _letters_of(path: Path) -> frozenset[int]:
    """The code points that a font file draws as outlines; none where it cannot be read."""
    try:
        font = ft2font.FT2Font(str(path))
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):  # a broken file, or a format of its own
        return frozenset()


def _has(path: Path, letter: str) -> bool:
    return ord(letter) in _letters_of(path)


@lru_cache(maxsize=64)
def _family(path: Path) -> str:
    """The family's name of a font file, made known to matplotlib."""
    font_manager.fontManager.addfont(str(path))
    return str(ft2font.FT2Font(str(path)).family_name)
