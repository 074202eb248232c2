"""Colours and fonts of every chart, video and page: one colour a class, a font for any script.

DejaVu Sans comes with matplotlib and draws what it can; other letters are drawn with the first font
of this machine that has them. Where none has, a warning names once what to install.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito 2008: distinct with every common colour blindness. Grey in place of their black,
# which would vanish on a dark panel.
OKABE_ITO = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#8C8C8C",
)  # fmt: skip
UNKNOWN = "#BBBBBB"  # what is no class of the model
WHITE, NIGHT = "#FFFFFF", "#0B0F19"  # backgrounds of charts, light and dark
LINE_CONTRAST = 3.0  # the least that a line needs (WCAG 2.1, 1.4.11)
LEVELS = 17  # of red, green and blue, of which further colours are chosen
LEAST_CHROMA = 0.06  # less is grey
# Linear sRGB -> cone responses -> Oklab (Ottosson 2020).
_CONES = np.array([
    [0.4122214708, 0.2119034982, 0.0883024619],
    [0.5363325363, 0.6806995451, 0.2817188376],
    [0.0514459929, 0.1073969566, 0.6299787005],
])  # fmt: skip
_LAB = np.array([
    [0.2104542553, 1.9779984951, 0.0259040371],
    [0.7936177850, -2.4285922050, 0.7827717662],
    [-0.0040720468, 0.4505937099, -0.8086757660],
])  # fmt: skip

NOT_SHOWN = frozenset("\u034f\ufe0e\ufe0f")  # they change their neighbours
# Scripts by the first word of their letters' Unicode names -> the Debian package of a font.
PACKAGES = dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "HANGUL"), "fonts-noto-cjk")
OTHER_PACKAGE = "fonts-noto-core"
SYMBOLS_PACKAGE = "fonts-symbola"  # emoji in outlines; fonts of coloured pictures cannot be used
_warned: set[str] = set()  # packages that were named: one line for all labels of a script


def class_colour(index: int) -> str:
    """The colour of the class at a place in the model's list, as #RRGGBB.

    The first eight are Okabe and Ito's. Each later one is the colour farthest from all
    before it, of those that are seen on white and on black; after some hundreds they repeat.
    """
    if index < len(OKABE_ITO):
        return OKABE_ITO[index]
    further = _further_colours()
    return further[(index - len(OKABE_ITO)) % len(further)]


def class_colours(classes: Iterable[str]) -> dict[str, str]:
    """The colour of each class, in the model's order."""
    return {label: class_colour(index) for index, label in enumerate(classes)}


def rgb(colour: str) -> tuple[int, int, int]:
    """#RRGGBB -> red, green, blue from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.1)."""
    low, high = sorted(_luminance(np.array([rgb(one), rgb(other)])))
    return float((high + 0.05) / (low + 0.05))


def ink_on(colour: str) -> str:
    """Black or white, the one of higher contrast on a colour: 4.5 to 1 at least."""
    return max(("#000000", WHITE), key=lambda ink: contrast(ink, colour))


def distance(one: str, other: str) -> float:
    """How far apart two colours look: in Oklab (Ottosson 2020), where black to white is 1."""
    first, second = _oklab(np.array([rgb(one), rgb(other)]))
    return float(np.linalg.norm(first - second))


@lru_cache(maxsize=1)
def _further_colours() -> tuple[str, ...]:
    """Each the farthest from Okabe and Ito's and from those before it."""
    steps = np.linspace(0, 255, LEVELS).round().astype(int)
    every = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    lights, places = _luminance(every), _oklab(every)
    night = _luminance(np.array([rgb(NIGHT)]))[0]
    on_white, on_black = 1.05 / (lights + 0.05), (lights + 0.05) / (night + 0.05)
    chroma = np.linalg.norm(places[:, 1:], axis=1)
    usable = (on_white >= LINE_CONTRAST) & (on_black >= LINE_CONTRAST) & (chroma >= LEAST_CHROMA)
    every, places = every[usable], places[usable]
    known = _oklab(np.array([rgb(colour) for colour in OKABE_ITO]))
    nearest = np.linalg.norm(places[:, None] - known, axis=-1).min(1)
    chosen = []
    for _ in range(len(every)):
        best = int(nearest.argmax())
        chosen.append("#{:02X}{:02X}{:02X}".format(*every[best]))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[best], axis=1))
        nearest[best] = -1.0
    return tuple(chosen)


def _linear(colours: NDArray[np.int_]) -> NDArray[np.float64]:
    """sRGB (N, 3) from 0 to 255 -> linear light (N, 3) from 0 to 1."""
    share = np.asarray(colours, dtype=np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _luminance(colours: NDArray[np.int_]) -> NDArray[np.float64]:
    """sRGB (N, 3) -> relative luminance (N,) (WCAG 2.1)."""
    return np.asarray(_linear(colours) @ np.array([0.2126, 0.7152, 0.0722]))


def _oklab(colours: NDArray[np.int_]) -> NDArray[np.float64]:
    """sRGB (N, 3) -> Oklab (N, 3): lightness, green to red, blue to yellow."""
    return np.asarray(np.cbrt(_linear(colours) @ _CONES) @ _LAB)


@lru_cache(maxsize=2)
def font_file(bold: bool = False) -> Path:
    """The file of DejaVu Sans."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name


@lru_cache(maxsize=1024)
def runs(text: str, bold: bool = False) -> tuple[tuple[Path, str], ...]:
    """The text in parts of one font file each. Warns once of letters that no font has."""
    _warn_of_lacking(text)
    parts = groupby(text, key=lambda letter: _other_font(letter) or font_file(bold))
    return tuple((path, "".join(letters)) for path, letters in parts)


def families(text: str) -> list[str]:
    """The font families that matplotlib needs for a text, DejaVu Sans first."""
    files = dict.fromkeys(path for path, _ in runs(text) if path != font_file())
    return ["DejaVu Sans", *map(_family, files)]


def set_fonts(figure: Any) -> None:
    """Give every text of a matplotlib figure the fonts of its letters. Call it before a layout."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if not text.get_text().isascii():
            text.set_fontfamily(families(text.get_text()))


@contextmanager
def no_raw_warnings() -> Iterator[None]:
    """Silences matplotlib's lines on missing glyphs while it draws; `runs` warns in their place."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        yield


def _warn_of_lacking(text: str) -> None:
    from action_gru.core.progress import Reporter

    lacking = [
        letter for letter in dict.fromkeys(text) if _is_lacking(letter) and not _other_font(letter)
    ]
    packages = dict.fromkeys(map(_package, lacking))
    if _warned.issuperset(packages):
        return
    _warned.update(packages)
    Reporter(quiet=True).warn(
        f"'{text}': no font here has {' '.join(lacking[:12])}{' ...' if lacking[12:] else ''}, and "
        f"pictures and videos show boxes instead; install a font that has them (Debian: "
        f"{', '.join(packages)})"
    )


def _is_lacking(letter: str) -> bool:
    """Has DejaVu Sans no outline of a letter that is drawn? Controls and joiners are not."""
    is_shown = letter not in NOT_SHOWN and unicodedata.category(letter) not in ("Cc", "Cf", "Zs")
    return is_shown and letter not in _letters_of(font_file())


def _package(letter: str) -> str:
    if unicodedata.category(letter) == "So":
        return SYMBOLS_PACKAGE
    return PACKAGES.get(unicodedata.name(letter, "").partition(" ")[0], OTHER_PACKAGE)


@lru_cache(maxsize=4096)
def _other_font(letter: str) -> Path | None:
    """The first font of this machine that has a letter which DejaVu Sans lacks."""
    if not _is_lacking(letter):
        return None
    return next((path for path in system_fonts() if letter in _letters_of(path)), None)


@lru_cache(maxsize=1)
def system_fonts() -> tuple[Path, ...]:
    """The font files of this machine, upright ones first, then by name."""
    from matplotlib import font_manager

    # Not matplotlib's own list: that is kept on disk, and lacks fonts installed later.
    found = [Path(path) for path in font_manager.findSystemFonts()]

    def rank(path: Path) -> tuple[bool, bool, str]:
        return "italic" in path.name.lower(), "regular" not in path.name.lower(), path.name

    return tuple(sorted(found, key=rank))


@lru_cache(maxsize=1024)
def _letters_of(path: Path) -> frozenset[str]:
    """The letters that a font file draws as outlines; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(str(path))
        return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):  # a broken file, or a format of its own
        return frozenset()


@lru_cache(maxsize=64)
def _family(path: Path) -> str:
    """The family's name of a font file, made known to matplotlib."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    font_manager.fontManager.addfont(str(path))
    return str(FT2Font(str(path)).family_name)
