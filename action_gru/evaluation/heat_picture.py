"""Draws where in the frames that mattered most a class was seen: heat over the true frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from action_gru.evaluation.result import Explanation, FrameHeat, Image
from action_gru.report.plots import GREY

FOR, AGAINST = "#D55E00", "#0072B2"  # vermilion and blue: Okabe and Ito 2008
STRONGEST = 0.75  # of the colour where the heat is largest
HEAD_IN, NAME_IN, GAP_IN, SIDE_IN = 0.5, 0.24, 0.1, 0.75
MOST_WIDE_IN, MOST_HIGH_IN = 3.2, 2.2


def heats_in(explanation: Explanation, width_in: float) -> float:
    """The height that the heat pictures need, inches; 0 when there are none."""
    if not explanation.heats:
        return 0.0
    row_in = _size(explanation, width_in)[1] + NAME_IN + GAP_IN
    return HEAD_IN + len(explanation.picture_views) * row_in


def draw_heats(figure: Figure, explanation: Explanation, height_in: float, whole_in: float) -> None:
    """A row a view, a column a frame in the order of time, in the lowest height_in of a figure."""
    if not explanation.heats:
        return
    width_in = float(figure.get_size_inches()[0])
    wide, high = _size(explanation, width_in)
    text = (
        "where in these frames: hiding an orange place makes the class less likely, a blue one "
        "more. Each has its own scale; in brackets the largest change of the log-odds"
    )
    figure.text(0.01, (height_in - 0.24) / whole_in, text, fontsize=9, color=GREY)
    frames = sorted(explanation.best)
    for heat in explanation.heats:
        row, column = explanation.picture_views.index(heat.view), frames.index(heat.frame)
        left = SIDE_IN + column * (wide + GAP_IN)
        bottom = height_in - HEAD_IN - (row + 1) * (high + NAME_IN + GAP_IN) + GAP_IN
        axes = figure.add_axes(
            (left / width_in, bottom / whole_in, wide / width_in, high / whole_in)
        )
        axes.imshow(blended(heat), aspect="auto")
        axes.set(xticks=[], yticks=[])
        axes.set_title(_name(explanation, heat), fontsize=8.5, loc="left", pad=3, parse_math=False)


def _size(explanation: Explanation, width_in: float) -> tuple[float, float]:
    """Width and height of one picture, inches."""
    height, width = explanation.heats[0].image.shape[:2]
    columns = max(3, len(explanation.best))
    wide = min(MOST_WIDE_IN, (width_in - SIDE_IN - 0.2) / columns - GAP_IN)
    shrink = min(1.0, MOST_HIGH_IN / (wide * height / width))
    return wide * shrink, wide * shrink * height / width


def _name(explanation: Explanation, heat: FrameHeat) -> str:
    rank = explanation.best.index(heat.frame) + 1
    largest = float(heat.heat.flat[np.abs(heat.heat).argmax()])
    change = f"{-largest:+.3f}" if abs(largest) >= 0.0005 else "no change"
    return f"{rank}: {explanation.times_s[heat.frame]:.2f} s, {heat.view} ({change})"


def blended(heat: FrameHeat) -> Image:
    """The frame in grey with the heat over it, (H, W, 3) uint8 RGB."""
    grey = heat.image.mean(-1, keepdims=True).repeat(3, -1)
    strength = heat.laid / max(float(np.abs(heat.laid).max()), 1e-12)
    colour = np.where(strength[..., None] > 0, _rgb(FOR), _rgb(AGAINST))
    opaque = STRONGEST * np.abs(strength)[..., None]
    return np.asarray(((1 - opaque) * grey + opaque * colour).round(), dtype=np.uint8)


def _rgb(colour: str) -> Any:
    return 255 * np.array(to_rgb(colour))
