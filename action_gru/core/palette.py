"""One colour per class, the same in every chart, video and page."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito 2008: told apart with every common colour blindness. Grey in place of their black,
# which would vanish on a dark panel.
OKABE_ITO = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#8C8C8C",
)  # fmt: skip
UNKNOWN = "#BBBBBB"  # what is no class of the model
WHITE, NIGHT = "#FFFFFF", "#0B0F19"  # what charts stand on, in light and dark
LINE_CONTRAST = 3.0  # the least that a line needs (WCAG 2.1, 1.4.11)
LEVELS = 17  # of red, green and blue, of which further colours are chosen
LEAST_CHROMA = 0.06  # less is grey


def class_colour(index: int) -> str:
    """The colour of the class at a place in the model's list, as #RRGGBB.

    The first eight are Okabe and Ito's. Each later one is the colour that lies farthest from all
    before it, of those that are seen on white and on black; after some hundreds they come again.
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
    """Black or white, whichever is read better on a colour: 4.5 to 1 at least."""
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
    cones = _linear(colours) @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.asarray(
        np.cbrt(cones)
        @ np.array(
            [
                [0.2104542553, 1.9779984951, 0.0259040371],
                [0.7936177850, -2.4285922050, 0.7827717662],
                [-0.0040720468, 0.4505937099, -0.8086757660],
            ]
        )
    )
