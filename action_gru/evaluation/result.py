"""What was found out about one answer: values to draw, to print and to keep. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from action_gru.backbone.spec import FRAME_VIEWS
from action_gru.evaluation.memory import Memory
from action_gru.timeline import Prediction

FloatArray = NDArray[np.float64]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class LayerCurves:
    """One layer of one stream in one direction.

    curves: by gate, the mean over the units, (T,); of states and candidates the mean size |x|.
    spread: by gate, what the lowest and the highest tenth of the units stay outside of, (2, T).
    memory: None for a plain RNN, which has no gate that keeps.
    """

    layer: int
    backwards: bool
    curves: dict[str, FloatArray]
    spread: dict[str, FloatArray]
    memory: Memory | None


@dataclass(frozen=True)
class StreamCurves:
    """One trained stream of the model.

    share: its weight among the trained streams. probabilities (C,): its answer alone. attention
    (T,): each frame's weight in the pooling, summing to 1 over each window; None for other
    poolings. layers: none for a model without a cell.
    """

    views: tuple[str, ...]
    share: float
    probabilities: FloatArray
    layers: tuple[LayerCurves, ...]
    attention: FloatArray | None

    @property
    def name(self) -> str:
        return " + ".join(self.views)


@dataclass(frozen=True)
class FrameHeat:
    """Where in one frame one view saw the class.

    heat (G, G): the fall of its log-odds when a place is hidden. laid (H, W): the same over `image`
    (H, W, 3) uint8 RGB.
    """

    frame: int
    view: str
    heat: FloatArray
    laid: FloatArray
    image: Image


@dataclass(frozen=True)
class Explanation:
    """Why a model answered as it did, for the class `label` of one video.

    probabilities (C,): the answer; unsure: whether it is only a guess; warnings: what to know
    before believing it. scores (T, C): the answer as it stood after each frame; None for a model
    that reads backwards too. middles (M,) frames and falls (M, 1 + V): how much the log-odds of the
    label fall when the stretch of `hidden_frames` around a frame is hidden, in all views and in
    each alone. linear: share and probabilities (C,) of the closed-form classifier, if there is
    one. windows: (first, last + 1) of the stretches read alone. heats: of views that are pictures.
    """

    video: str
    classes: tuple[str, ...]
    label: str
    cell: str
    num_layers: int
    pooling: str
    fps: float
    probabilities: FloatArray
    unsure: bool
    warnings: tuple[str, ...]
    times_s: FloatArray
    windows: tuple[tuple[int, int], ...]
    streams: tuple[StreamCurves, ...]
    linear: tuple[float, FloatArray] | None
    scores: FloatArray | None
    hidden_frames: int
    middles: tuple[int, ...]
    falls: FloatArray
    best: tuple[int, ...]
    heats: tuple[FrameHeat, ...]
    thumbnails: tuple[tuple[float, Image], ...]

    @property
    def score(self) -> float:
        """The probability of the label."""
        return float(self.probabilities[self.classes.index(self.label)])

    @property
    def answer(self) -> Prediction:
        """What the model answers to the whole clip, which need not be the label."""
        found = Prediction.from_probabilities(self.classes, self.probabilities)
        return replace(found, unsure=self.unsure)

    @property
    def told(self) -> str:
        """The label with its score, and the answer where that is another or unsure."""
        answer = self.answer
        if self.label == answer.label:
            return f"{answer.told} {self.score:.2f}"
        return f"{self.label} {self.score:.2f} (the answer is {answer.told} {answer.score:.2f})"

    @property
    def views(self) -> tuple[str, ...]:
        return tuple(view for stream in self.streams for view in stream.views)

    @property
    def picture_views(self) -> tuple[str, ...]:
        """Those that are pictures, so that places in them can be hidden."""
        return tuple(view for view in self.views if view not in FRAME_VIEWS)

    def fall_at(self, frame: int) -> float:
        """The fall of the label's log-odds with all views hidden around one of the middles."""
        return float(self.falls[self.middles.index(frame), 0])

    def to_json(self) -> dict[str, Any]:
        """Plain values for json.dumps; pictures are left out."""
        return {
            "video": self.video,
            "label": self.label,
            "score": _number(self.score),
            "answer": self.answer.label,
            "unsure": self.unsure,
            "warnings": list(self.warnings),
            "probabilities": _by_name(self.classes, self.probabilities),
            "times_s": _numbers(self.times_s),
            "windows": [list(window) for window in self.windows],
            "cell": self.cell,
            "streams": [self._stream_json(stream) for stream in self.streams],
            "closed_form": self._linear_json(),
            "running_scores": self._scores_json(),
            "time_occlusion": self._falls_json(),
            "most_important": [
                {"time_s": _number(self.times_s[i]), "log_odds_fall": _number(self.fall_at(i))}
                for i in self.best
            ],
            "places": [
                {
                    "time_s": _number(self.times_s[heat.frame]),
                    "view": heat.view,
                    "log_odds_fall": [_numbers(row) for row in heat.heat],
                }
                for heat in self.heats
            ],
        }

    def _stream_json(self, stream: StreamCurves) -> dict[str, Any]:
        return {
            "views": list(stream.views),
            "share": _number(stream.share),
            "probabilities": _by_name(self.classes, stream.probabilities),
            "attention": None if stream.attention is None else _numbers(stream.attention),
            "layers": [self._layer_json(layer) for layer in stream.layers],
        }

    def _layer_json(self, layer: LayerCurves) -> dict[str, Any]:
        memory = layer.memory
        return {
            "layer": layer.layer,
            "backwards": layer.backwards,
            "mean_gates": {name: _numbers(curve) for name, curve in layer.curves.items()},
            "memory_s": None if memory is None else self.seconds(memory.frames),
            "reach_s": None if memory is None else [self.seconds(r) for r in memory.reach_frames],
            "reach_cut_by_the_start": None if memory is None else [not f for f in memory.faded],
        }

    def seconds(self, frames: float | None) -> float | None:
        """Frames at the sampling rate, in seconds."""
        return None if frames is None else _number(frames / self.fps)

    def _linear_json(self) -> dict[str, Any] | None:
        if self.linear is None:
            return None
        share, probabilities = self.linear
        return {
            "share": _number(share),
            "probabilities": _by_name(self.classes, probabilities),
        }

    def _scores_json(self) -> dict[str, list[float]] | None:
        if self.scores is None:
            return None
        return {name: _numbers(self.scores[:, i]) for i, name in enumerate(self.classes)}

    def _falls_json(self) -> dict[str, Any]:
        return {
            "hidden_s": _number(self.hidden_frames / self.fps),
            "times_s": _numbers(self.times_s[list(self.middles)]),
            "all": _numbers(self.falls[:, 0]),
            **{view: _numbers(self.falls[:, 1 + i]) for i, view in enumerate(self.views)},
        }


def _number(value: float) -> float:
    return round(float(value), 5)


def _numbers(values: Sequence[float] | FloatArray) -> list[float]:
    return [_number(value) for value in values]


def _by_name(classes: Sequence[str], values: FloatArray) -> dict[str, float]:
    return {name: _number(value) for name, value in zip(classes, values, strict=True)}
