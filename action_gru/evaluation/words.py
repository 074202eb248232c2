"""An explanation as a few lines of text. Draws nothing."""

from __future__ import annotations

from action_gru.evaluation.result import Explanation, LayerCurves, StreamCurves
from action_gru.model.cells import CELLS


def shown_gates(cell: str) -> tuple[str, ...]:
    """What the picture and the text show of a cell; the JSON has every gate."""
    return CELLS[cell].shown if cell in CELLS else ()


def describe(explanation: Explanation) -> str:
    """The answer, each stream with its gates and memory, the moments that mattered."""
    seconds = len(explanation.times_s) / explanation.fps
    lines = [f"{explanation.told}: {_frames(explanation)}, {seconds:.1f} s"]
    lines += [_stream_line(explanation, stream) for stream in explanation.streams]
    if explanation.linear is not None:
        share, probabilities = explanation.linear
        best = int(probabilities.argmax())
        lines.append(
            f"closed form: share {share:.2f} of the log probabilities; alone "
            f"{explanation.classes[best]} {probabilities[best]:.2f}"
        )
    if explanation.scores is None:
        lines.append("reads backwards too: no running scores before the end of the clip")
    lines.append(_moments(explanation))
    vectors = [view for view in explanation.views if view not in explanation.picture_views]
    if vectors:
        lines.append(
            f"places are shown for views that are pictures; {' and '.join(vectors)}: numbers of "
            "whole frames"
        )
    return "\n".join(lines)


def _frames(explanation: Explanation) -> str:
    count = len(explanation.times_s)
    return f"{count} frame{'s' * (count > 1)}"


def _stream_line(explanation: Explanation, stream: StreamCurves) -> str:
    best = int(stream.probabilities.argmax())
    answer = f"alone {explanation.classes[best]} {stream.probabilities[best]:.2f}"
    if not stream.layers:
        return f"{stream.name}: {answer}; no cell, so no gates"
    last = [layer for layer in stream.layers if layer.layer == explanation.num_layers - 1]
    layers = "; ".join(layer_words(explanation, layer) for layer in last)
    return f"{stream.name}: {answer}; {layers}"


def layer_words(explanation: Explanation, layer: LayerCurves) -> str:
    """Mean gates and the effective memory of one layer in one direction."""
    gates = ", ".join(
        f"{gate_name(name)} {layer.curves[name].mean():.2f}"
        for name in shown_gates(explanation.cell)
    )
    return f"{direction(layer)}{gates}, {memory_words(explanation, layer)}"


def direction(layer: LayerCurves) -> str:
    return "backwards " if layer.backwards else ""


def gate_name(name: str) -> str:
    """What a curve is called: 'update gate', '|hidden|'."""
    return f"|{name}|" if name in ("candidate", "cell", "hidden") else f"{name} gate"


def memory_words(explanation: Explanation, layer: LayerCurves) -> str:
    if layer.memory is None:
        return "no gate that keeps"
    if layer.memory.frames is None:
        half = max(high - low for low, high in explanation.windows) // 2
        if half == 0:
            return "too short to tell its memory"
        return f"memory over {half / explanation.fps:.2f} s ({half} frames)"
    frames = layer.memory.frames
    return f"memory {frames / explanation.fps:.2f} s ({frames:.1f} frames)"


def _moments(explanation: Explanation) -> str:
    if not explanation.best:
        return "no moment mattered by itself: hiding any stretch costs the answer nothing"
    moments = ", ".join(
        f"{explanation.times_s[frame]:.2f} s ({-explanation.fall_at(frame):+.2f})"
        for frame in explanation.best
    )
    hidden_s = explanation.hidden_frames / explanation.fps
    return (
        f"what mattered most, by the change of the log-odds when {hidden_s:.2f} s around it are "
        f"hidden: {moments}"
    )
