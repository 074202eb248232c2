"""Predictions of single clips, and the worst mistakes as a table and a contact sheet.

Knows nothing of models and opens no video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from action_gru.report.markdown import escape, percent, table
from action_gru.report.plots import GREY, cut_middle, new_figure
from action_gru.timeline import Prediction

TOP_K = 5
FRAMES_SHOWN = 6
TITLE_LENGTH = 96
ROW_IN, WIDTH_IN = 1.45, 10.0

Image = npt.NDArray[np.uint8]
Frames = tuple[tuple[float, Image], ...]  # (time_s, (H, W, 3) RGB) each


@dataclass(frozen=True)
class ClipPrediction:
    """The true label of one clip and the model's prediction."""

    path: str
    group: str
    label: str  # the truth
    prediction: Prediction
    start_s: float | None = None  # None: from the start
    end_s: float | None = None  # None: to the end

    @property
    def correct(self) -> bool:
        return self.prediction.label == self.label

    @property
    def name(self) -> str:
        """The path, and which stretch of it if it is not all."""
        if self.start_s is None and self.end_s is None:
            return self.path
        end = "end" if self.end_s is None else f"{self.end_s:.1f} s"
        return f"{self.path} ({self.start_s or 0:.1f} s to {end})"

    def to_json(self) -> dict[str, object]:
        """Return JSON-serialisable values."""
        best = self.prediction.top(TOP_K)
        return {
            "path": self.path,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "group": self.group,
            "true_label": self.label,
            "predicted_label": self.prediction.label,
            "score": self.prediction.score,
            "top": [{"label": label, "score": score} for label, score in best],
        }


@dataclass(frozen=True)
class Mistake:
    """A wrong answer with frames along its clip; problem: why there are none."""

    clip: ClipPrediction
    frames: Frames = ()
    problem: str = ""


def worst_mistakes(predictions: Sequence[ClipPrediction], count: int) -> list[ClipPrediction]:
    """Return the wrong answers with the highest scores, highest first."""
    wrong = [clip for clip in predictions if not clip.correct]
    return sorted(wrong, key=lambda clip: -clip.prediction.score)[:count]


def plot_mistakes(mistakes: Sequence[Mistake]) -> Figure:
    """A row a mistake: what it is, what it was taken for, and frames along time."""
    figure = new_figure(WIDTH_IN, ROW_IN * len(mistakes))
    rows = figure.subfigures(len(mistakes), 1, squeeze=False)[:, 0]
    for row, mistake in zip(rows, mistakes, strict=True):
        row.suptitle(_title(mistake.clip), x=0.01, ha="left", fontsize=9, parse_math=False)
        for place, axes in enumerate(row.subplots(1, FRAMES_SHOWN)):
            axes.set_axis_off()
            if place < len(mistake.frames):
                time_s, image = mistake.frames[place]
                axes.imshow(image)
                axes.set_title(f"{time_s:.2f} s", fontsize=7, color=GREY, pad=2)
        if not mistake.frames:
            text = _one_line(f"no frames: {mistake.problem}", 120)
            row.text(0.01, 0.4, text, fontsize=8, color=GREY, parse_math=False)
    return figure


def _title(clip: ClipPrediction) -> str:
    told = f"{clip.label}, taken for {clip.prediction.label} ({percent(clip.prediction.score)}): "
    return _one_line(told + clip.name, TITLE_LENGTH)


def _one_line(text: str, length: int) -> str:
    """On one line, printable, cut in its middle."""
    line = "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))
    return cut_middle(line, length)


def mistakes_markdown(mistakes: Sequence[Mistake], wrong: int) -> str:
    """Return the section on mistakes: a table and the contact sheet."""
    if not mistakes:
        return "None: every clip is right."
    rows = [
        [one.clip.name, one.clip.label, one.clip.prediction.label,
         percent(one.clip.prediction.score)]
        for one in mistakes
    ]  # fmt: skip
    parts = [
        f"The {len(rows)} surest of {wrong} wrong answers.",
        table(["clip", "true", "predicted", "score"], rows, align="lllr"),
    ]
    parts += [
        f"No frames of {escape(one.clip.name)}: {escape(one.problem)}."
        for one in mistakes
        if one.problem
    ]
    if any(one.frames for one in mistakes):
        parts.append("![mistakes](mistakes.png)")
    return "\n\n".join(parts)
