"""python onnx_live.py EXPORT_DIR VIDEO: an exported run without this package and without PyTorch.

Needs onnxruntime, numpy, opencv and av. Reads runs with fit squash and views rgb, motion, focus.
See docs/export.md.
"""

import json
import sys

import av
import cv2
import numpy as np
import onnxruntime

paths = [f"{sys.argv[1]}/{name}.onnx" for name in ("features", "step")]
features, step = (onnxruntime.InferenceSession(path) for path in paths)
spec = json.loads(step.get_modelmeta().custom_metadata_map["action_gru"])
look, fps, count = spec["pictures"], spec["sampling"]["fps"], spec["stream"]["states"]
window_s = spec["stream"]["window_s"] or float("inf")  # 0: one state that never restarts
if look["fit"] != "squash":
    sys.exit(f"fit {look['fit']}: this example squashes; see action_gru/views/pictures.py")
if others := [view for view in spec["views"] if view not in ("rgb", "motion", "focus")]:
    sys.exit(f"view {', '.join(others)}: not made here; see action_gru/views/pictures.py")
side, gain, rest = look["size_px"], look["motion_gain"], look["motion_rest"]


def shrink(image):  # (H, W, 3) -> (side, side, 3); large frames in cheap steps
    large = max(image.shape[:2]) >= 2 * side
    how = cv2.INTER_AREA if max(image.shape[:2]) > side and not large else cv2.INTER_LINEAR
    while min(image.shape[:2]) >= 2 * side:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
    if large:
        image = cv2.blur(image, [max(1, round(length / side)) for length in image.shape[1::-1]])
    return cv2.resize(image, (side, side), interpolation=how)


def views(picture, grey, past, now_s):  # each view's (pixels, what weighs their area)
    near = [min(past, key=lambda p: abs(p[0] - now_s + lag))[1] for lag in look["motion_lags_s"]]
    motion = cv2.merge([cv2.addWeighted(grey, gain, old, -gain, rest) for old in near])
    change = cv2.absdiff(motion, np.full_like(motion, rest))
    moved = cv2.transform(change, np.full((1, 3), 2 / 3, np.float32))
    even = np.full((side, side), 255, np.uint8)
    made = {"rgb": (picture, even), "motion": (motion, even), "focus": (picture, moved)}
    return [made[view] for view in spec["views"]]


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


state = {}
for tensor in spec["state"]:  # one row for each of the staggered states of the stream
    shape = np.insert(tensor["shape"], tensor["batch_axis"], count)
    state[tensor["name"]] = np.full(shape, float(tensor["start"]), np.float32)
past, taken, stage, origin_s = [], 0, -1, None
try:
    video = av.open(sys.argv[2])
except OSError as error:
    sys.exit(f"{sys.argv[2]}: no video that PyAV can open ({error})")
for frame in video.decode(video=0):
    now_s = float(frame.time)
    origin_s = now_s if origin_s is None else origin_s
    image = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    picture = shrink(np.ascontiguousarray(image))
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (5, 5), 0)
    past = [old for old in past if old[0] >= now_s - look["motion_history_s"]]
    since_s = now_s - origin_s + spec["sampling"]["tolerance_s"]
    if since_s >= taken / fps:
        taken = int(since_s * fps + 1e-9) + 1
        pairs = views(picture, grey, past or [(now_s, grey)], now_s)
        inputs = {
            "pixels": np.stack([p for p, _ in pairs]),
            "weight": np.stack([w for _, w in pairs]),
        }
        row = features.run(None, inputs)[0].astype(np.float16).astype(np.float32).reshape(1, -1)
        # Each state restarts once in window_s, one after another; the oldest one answers.
        last, stage = stage, int((now_s - origin_s) * count / window_s + 1e-6)
        due = [begun % count for begun in range(max(last + 1, stage - count + 1), stage + 1)]
        for tensor in spec["state"]:
            rows = np.moveaxis(state[tensor["name"]], tensor["batch_axis"], 0)
            rows[due] = float(tensor["start"])
        logits, *carried = step.run(None, state | {"feature": row.repeat(count, 0)})
        state = dict(zip(state, carried, strict=True))
        label, score = answer(logits[max(0, stage - count + 1) % count])
        print(f"{now_s:.2f} {label} {score:.4f}")
    past.append((now_s, grey))
