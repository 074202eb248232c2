"""The explanation of one answer: its values, as JSON and as text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from action_gru.backbone import FRAME_VIEWS
from action_gru.evaluation.curves import STATES, LayerCurves, Memory, StreamCurves
from action_gru.model.cells import CELLS
from action_gru.report.metrics import FloatArray
from action_gru.timeline import Prediction
from action_gru.video import Image


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
    unsure: bool = False
    warnings: tuple[str, ...] = ()
    thresholds: tuple[float, ...] | None = None  # of classes that may be shown at once

    @property
    def score(self) -> float:
        """The probability of the label."""
        return float(self.probabilities[self.classes.index(self.label)])

    @property
    def answer(self) -> Prediction:
        """What the model answers to the whole clip, which need not be the label."""
        found = Prediction.from_probabilities(
            self.classes, self.probabilities, thresholds=self.thresholds
        )
        return replace(found, unsure=self.unsure)

    @property
    def headline(self) -> str:
        """The label with its score, and the answer where that is another or unsure."""
        answer = self.answer
        if answer.active is not None:
            return f"{self.label} {self.score:.2f} (the answer is {answer.display_label})"
        if self.label == answer.label:
            return f"{answer.display_label} {self.score:.2f}"
        label = f"{self.label} {self.score:.2f}"
        return f"{label} (the answer is {answer.display_label} {answer.score:.2f})"

    @property
    def views(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(view for stream in self.streams for view in stream.views))

    @property
    def picture_views(self) -> tuple[str, ...]:
        """Those that are pictures, so that places in them can be hidden."""
        return tuple(view for view in self.views if view not in FRAME_VIEWS)

    @property
    def shown_gates(self) -> tuple[str, ...]:
        """The gates of the cell that plot and text show; the JSON has every gate."""
        return CELLS[self.cell].shown if self.cell in CELLS else ()

    @property
    def hidden_s(self) -> float:
        return self.hidden_frames / self.fps

    def last_layers(self, stream: StreamCurves) -> list[LayerCurves]:
        """Both directions of the layer that is pooled."""
        return [layer for layer in stream.layers if layer.layer == self.num_layers - 1]

    def fall_at(self, frame: int) -> float:
        """The fall of the label's log-odds with all views hidden around one of the middles."""
        return float(self.falls[self.middles.index(frame), 0])

    def memory_words(self, memory: Memory | None) -> str:
        """The effective memory of a layer: 'memory 1.20 s (6.0 frames)'."""
        if memory is None:
            return "no gate that keeps"
        if memory.frames is not None:
            return f"memory {memory.frames / self.fps:.2f} s ({memory.frames:.1f} frames)"
        half = max(high - low for low, high in self.windows) // 2
        if half == 0:
            return "too short to tell its memory"
        return f"memory over {half / self.fps:.2f} s ({half} frames)"

    def to_json(self) -> dict[str, Any]:
        """Return JSON-serialisable values rounded to 5 decimals, without pictures."""
        document = {
            "video": self.video,
            "label": self.label,
            "score": self.score,
            "answer": self.answer.label,
            **({} if self.answer.active is None else {"answer_labels": self.answer.active}),
            "unsure": self.unsure,
            "warnings": self.warnings,
            "probabilities": self._by_class(self.probabilities),
            "times_s": self.times_s,
            "windows": self.windows,
            "cell": self.cell,
            "streams": [
                {
                    "views": stream.views,
                    "share": stream.share,
                    "probabilities": self._by_class(stream.probabilities),
                    "attention": stream.attention,
                    "layers": [self._layer_json(layer) for layer in stream.layers],
                }
                for stream in self.streams
            ],
            "closed_form": self.linear
            and {"share": self.linear[0], "probabilities": self._by_class(self.linear[1])},
            "running_scores": None if self.scores is None else self._by_class(self.scores.T),
            "time_occlusion": {
                "hidden_s": self.hidden_s,
                "times_s": self.times_s[list(self.middles)],
                **dict(zip(("all", *self.views), self.falls.T, strict=True)),
            },
            "most_important": [
                {"time_s": self.times_s[frame], "log_odds_fall": self.fall_at(frame)}
                for frame in self.best
            ],
            "places": [
                {"time_s": self.times_s[one.frame], "view": one.view, "log_odds_fall": one.heat}
                for one in self.heats
            ],
        }
        plain: dict[str, Any] = _plain(document)
        return plain

    def _by_class(self, values: FloatArray) -> dict[str, FloatArray]:
        """values (C, ...) by the name of the class."""
        return dict(zip(self.classes, values, strict=True))

    def _layer_json(self, layer: LayerCurves) -> dict[str, Any]:
        memory = layer.memory
        return {
            "layer": layer.layer,
            "backwards": layer.backwards,
            "mean_gates": layer.curves,
            "memory_s": memory and memory.frames and memory.frames / self.fps,
            "reach_s": memory and np.array(memory.reach_frames) / self.fps,
            "reach_cut_by_the_start": memory and [not faded for faded in memory.faded],
        }


def _plain(value: Any) -> Any:
    """Arrays and tuples as lists, numbers of any kind as rounded floats."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    return round(float(value), 5) if isinstance(value, float) else value


def gate_name(name: str) -> str:
    """Return the display name of a curve: 'update gate', '|hidden|'."""
    return f"|{name}|" if name in STATES else f"{name} gate"


def describe(explanation: Explanation) -> str:
    """Return the explanation as text: the answer, each stream's gates and memory, key moments."""
    count = len(explanation.times_s)
    length_s = count / explanation.fps
    lines = [f"{explanation.headline}: {count} frame{'s' * (count > 1)}, {length_s:.1f} s"]
    for stream in explanation.streams:
        layers = [_layer_words(explanation, one) for one in explanation.last_layers(stream)]
        inside = "; ".join(layers) or "no cell, so no gates"
        lines.append(f"{stream.name}: {_alone(explanation, stream.probabilities)}; {inside}")
    if explanation.linear is not None:
        share, probabilities = explanation.linear
        alone = _alone(explanation, probabilities)
        lines.append(f"closed form: share {share:.2f} of the log probabilities; {alone}")
    if explanation.scores is None:
        lines.append("reads backwards too: no running scores before the end of the clip")
    lines.append(_moments(explanation))
    vectors = [view for view in explanation.views if view not in explanation.picture_views]
    if vectors:
        names = " and ".join(vectors)
        lines.append(
            f"places are shown for views that are pictures; {names}: numbers of whole frames"
        )
    return "\n".join(lines)


def _alone(explanation: Explanation, probabilities: FloatArray) -> str:
    """Return the answer of one part of the model alone. probabilities (C,)."""
    best = int(probabilities.argmax())
    return f"alone {explanation.classes[best]} {probabilities[best]:.2f}"


def _layer_words(explanation: Explanation, layer: LayerCurves) -> str:
    """Mean gates and the effective memory of one layer in one direction."""
    gates = [f"{gate_name(n)} {layer.curves[n].mean():.2f}" for n in explanation.shown_gates]
    return layer.direction + ", ".join([*gates, explanation.memory_words(layer.memory)])


def _moments(explanation: Explanation) -> str:
    if not explanation.best:
        return "no moment mattered by itself: hiding any stretch costs the answer nothing"
    moments = ", ".join(
        f"{explanation.times_s[frame]:.2f} s ({-explanation.fall_at(frame):+.2f})"
        for frame in explanation.best
    )
    return (
        "what mattered most, by the change of the log-odds when "
        f"{explanation.hidden_s:.2f} s around it are hidden: {moments}"
    )
