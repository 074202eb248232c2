"""python onnx_watch.py EXPORT_DIR ROWS.csv: an exported run of sensors without this package.

Needs onnxruntime and numpy. Prints `id time class score` after each row; the time of a model that
reads ahead is that of the row so many before, which its answer is about; its last rows get none.
See docs/export.md.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

step = onnxruntime.InferenceSession(f"{sys.argv[1]}/step.onnx")
spec = json.loads(step.get_modelmeta().custom_metadata_map["action_gru"])
made, count, window = spec["rows"], spec["stream"]["states"], spec["stream"]["window"]
keep = np.array([1 - 2 / (span + 1) for span in made["averages"]])[:, None]
# Over how many rows changes are read: true is the last row alone.
spans = [1] if made["velocity"] is True else made["velocity"] or []
if made["points"]:
    sys.exit("series.points: action_gru/series/recording.py makes them, this does not")


def answer(logits):
    """(what is shown, the score of the first): by softmax, of several labels by sigmoids."""
    if spec.get("labels") == "many":
        scores = 1 / (1 + np.exp(-logits))
        ranked = np.argsort(-scores)
        shown = [n for n in ranked if scores[n] >= spec["thresholds"][n]]
        names = " + ".join(spec["classes"][n] for n in shown)
        return names or "nothing", scores[(shown or ranked)[0]]
    scores = np.exp(logits - logits.max())
    return spec["classes"][scores.argmax()], scores.max() / scores.sum()


class Sequence:
    """What one id carries from row to row."""

    def __init__(self, start):
        self.start, self.before, self.stage, self.times = start, [], -1, []
        self.total = self.weight = np.zeros((len(keep), len(spec["channels"])))
        self.state = {}
        for tensor in spec["state"]:  # one row for each of the staggered states
            shape = np.insert(tensor["shape"], tensor["batch_axis"], count)
            self.state[tensor["name"]] = np.full(shape, float(tensor["start"]), np.float32)

    def push(self, values, time):
        self.times = [*self.times, time][-spec.get("lookahead", 0) - 1 :]
        known = np.isfinite(values)
        self.total = self.total * keep + np.where(known, values, 0)
        self.weight = self.weight * keep + known
        with np.errstate(invalid="ignore"):
            parts = [values, (self.total / self.weight).ravel()]
        if made["elapsed"]:
            parts.append([time - self.start])
        self.before = [*self.before, values][-max(spans, default=0) - 1 :]
        parts += [values - self.before[max(0, len(self.before) - 1 - span)] for span in spans]
        # Each state restarts once in a window, one after another; the oldest one answers.
        if window:
            last, self.stage = self.stage, int((time - self.start) * count / window + 1e-6)
            begun = range(max(last + 1, self.stage - count + 1), self.stage + 1)
            for tensor in spec["state"]:
                rows = np.moveaxis(self.state[tensor["name"]], tensor["batch_axis"], 0)
                rows[[stage % count for stage in begun]] = float(tensor["start"])
        feature = np.concatenate(parts).astype(np.float32)[None].repeat(count, 0)
        logits, *carried = step.run(None, self.state | {"feature": feature})
        self.state = dict(zip(self.state, carried, strict=True))
        return answer(logits[max(0, self.stage - count + 1) % count])


sequences = {}
with Path(sys.argv[2]).open(newline="") as file:
    for row in csv.DictReader(file):
        name, time = row[spec["columns"]["id"]], float(row[spec["columns"]["time"]])
        values = np.array([float(row[channel] or "nan") for channel in spec["channels"]])
        sequence = sequences.setdefault(name, Sequence(time))
        label, score = sequence.push(values.astype(np.float32), time)
        print(f"{name} {sequence.times[0]:g} {label} {score:.4f}")
