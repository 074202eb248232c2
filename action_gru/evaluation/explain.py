"""Explains one answer: from a model, its backbone and a video to an Explanation.

Occlusion (Zeiler and Fergus 2014, section 4.1): how the answer changes when a part is hidden. In
time, the features of a stretch are replaced by the clip's mean, which holds no order. In place,
patches of a picture are hidden before the backbone: unlike a map of gradients this needs only the
backbone's answers, so it holds for every runtime. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from action_gru.backbone import FRAME_VIEWS, Backbone
from action_gru.evaluation.curves import linear_answer, stream_curves
from action_gru.evaluation.explanation import Explanation, FrameHeat
from action_gru.report.metrics import FloatArray
from action_gru.timeline import Prediction
from action_gru.training import Checkpoint
from action_gru.training.scoring import BATCH, ClipScores
from action_gru.video import DecodeLimits, Image, VideoFile
from action_gru.views import VIEWS, ViewMaker
from action_gru.views.sampler import sample_video

THUMBNAILS = 10
MOST_PX = (480, 480)  # height and width of a kept frame
TOLERANCE_S = 1e-3  # another decoder may round the same instant otherwise
STRETCH_SHARE = 0.1  # of the clip, or of a window of a long one
LEAST_FALL = 1e-5  # of the log-odds: less is rounding, which differs by processor and batch
MOST_PLACES = 128
GRID = 8  # places along a side of a picture
PATCH = 2  # how many of them a patch covers, along a side


def explain_clip(
    backbone: Backbone,
    checkpoint: Checkpoint,
    video: Path,
    times_s: FloatArray,
    scores: ClipScores,
    label: str | None = None,
    frames: int = 3,
    limits: DecodeLimits | None = None,
    frame_rate: float | None = None,
    start_s: float | None = None,
) -> Explanation:
    """Explain the model's answer to one video.

    times_s (T,): the sampled instants. label: the class to explain; by default the answer. frames:
    in how many of the frames that matter most to look for the places that matter, in the views that
    are pictures. limits and frame_rate: for reading the frames again. start_s: of the stretch that
    was sampled, None for a whole file.
    """
    probabilities, running = scores.probabilities, scores.running
    answer = Prediction.from_probabilities(
        checkpoint.classes, probabilities.numpy(), thresholds=checkpoint.thresholds
    )
    number = checkpoint.classes.index(label or answer.label)
    views, dims = [spec.view for spec in checkpoint.features], scores.model.view_dims
    occlusion = Occlusion(scores, number, dict(zip(views, dims, strict=True)))
    middles, falls = occlusion.over_time()
    best = best_frames(middles, falls[:, 0], occlusion.stretch, frames)
    fps = float(checkpoint.sampling["fps"])
    shown = range(0, len(times_s), -(-len(times_s) // THUMBNAILS))
    file = VideoFile(video, limits=limits, frame_rate=frame_rate)
    images = frames_at(file, times_s[[*shown, *best]], MOST_PX)
    best_images = {frame: images[times_s[frame]] for frame in best}
    return Explanation(
        video=str(video),
        classes=checkpoint.classes,
        label=checkpoint.classes[number],
        cell=str(checkpoint.model["cell"]),
        num_layers=int(checkpoint.model["num_layers"]),
        pooling=str(checkpoint.model["pooling"]),
        fps=fps,
        probabilities=probabilities.numpy(),
        times_s=times_s,
        windows=tuple(scores.windows),
        streams=stream_curves(scores, views),
        linear=linear_answer(scores),
        scores=None if running is None else running.numpy(),
        hidden_frames=occlusion.stretch,
        middles=tuple(middles),
        falls=falls.numpy(),
        best=tuple(best),
        heats=tuple(_heats(backbone, occlusion, file, times_s, fps, best_images, start_s)),
        thumbnails=tuple((times_s[i], images[times_s[i]]) for i in shown),
        thresholds=checkpoint.thresholds,
    )


def frames_at(
    file: VideoFile, times_s: npt.ArrayLike, most_px: tuple[int, int]
) -> dict[float, Image]:
    """Return the frames (H, W, 3) uint8 RGB at the instants (T,); missing ones are left out.

    most_px: height and width that no frame exceeds.
    """
    wanted = np.unique(times_s)
    with file as video:
        frames = video.frames(
            lambda time_s: bool(np.abs(wanted - time_s).min() < TOLERANCE_S),
            float(wanted[-1]) + TOLERANCE_S,
        )
        return {
            float(wanted[np.abs(wanted - frame.time_s).argmin()]): _shrunk(frame.image, *most_px)
            for frame in frames
        }


def _shrunk(image: Image, most_high: int, most_wide: int) -> Image:
    height, width = image.shape[:2]
    ratio = min(most_high / height, most_wide / width)
    if ratio >= 1:
        return np.array(image)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def log_odds(probabilities: Tensor, number: int) -> Tensor:
    """ln(p / (1 - p)) of one class: (..., C) -> (...)."""
    return torch.logit(probabilities[..., number].double(), eps=1e-12)


class Occlusion:
    """Measures how much the log-odds of class `number` fall when a part of the clip is hidden.

    dims: the columns of each view, in order. What is hidden is hidden in the mirrored copy too.
    Falls are negative where hiding helps the class.
    """

    def __init__(self, scores: ClipScores, number: int, dims: Mapping[str, int]) -> None:
        self.scores, self.number = scores, number
        ends = np.cumsum(list(dims.values())).tolist()
        self.columns = dict(zip(dims, map(slice, [0, *ends], ends), strict=True))
        longest = max(high - low for low, high in scores.windows)
        self.stretch = max(1, round(STRETCH_SHARE * longest))  # frames hidden at once

    def over_time(self) -> tuple[list[int], Tensor]:
        """Hide stretches: the frames at their middles, M of them, and the falls (M, 1 + V).

        All views are hidden, then each alone.
        """
        scores, width = self.scores, self.stretch
        base, mean = log_odds(scores.probabilities, self.number), scores.copies.mean(1)  # (P, D)
        stride = -(-len(scores.features) // MOST_PLACES)
        middles: list[int] = []
        rows: list[Tensor] = []
        for window, (low, high) in enumerate(scores.windows):
            inside = range(low + (stride - 1) // 2, high, stride) or [(low + high) // 2]
            found = []
            for part in (slice(None), *self.columns.values()):
                altered = scores.copies[:, low:high].repeat(len(inside), 1, 1, 1)
                for row, middle in enumerate(inside):
                    first = middle - width // 2 - low
                    altered[row, :, max(0, first) : first + width, part] = mean[:, None, part]
                found.append(base - log_odds(scores.with_window(window, altered), self.number))
            middles += inside
            rows.append(torch.stack(found, 1))
        return middles, torch.cat(rows)

    def over_places(self, backbone: Backbone, frame: int, view: str, picture: Image) -> FloatArray:
        """Hide each patch of a view's picture at one frame: the falls (N,), row by row."""
        scores, pictures = self.scores, [picture, *hidden_pictures(picture, view)]
        window = scores.window_at(frame)
        low, high = scores.windows[window]
        altered = scores.copies[:, low:high].repeat(len(pictures), 1, 1, 1)
        for copy in range(len(scores.copies)):
            shown = [np.ascontiguousarray(one[:, ::-1]) for one in pictures] if copy else pictures
            batches = [shown[start : start + BATCH] for start in range(0, len(shown), BATCH)]
            features = torch.cat([backbone(one) for one in batches])
            altered[:, copy, frame - low, self.columns[view]] = features
        odds = log_odds(scores.with_window(window, altered), self.number)
        return np.asarray((odds[0] - odds[1:]).numpy())


def best_frames(middles: Sequence[int], fall: Tensor, apart: int, count: int) -> list[int]:
    """The frames with the largest falls (M,), at least `apart` frames from each other, best first.

    Only frames whose hiding costs the class something.
    """
    chosen: list[int] = []
    for index in fall.argsort(descending=True, stable=True).tolist():
        if len(chosen) == count or fall[index] <= LEAST_FALL:
            break
        if all(abs(middles[index] - other) >= apart for other in chosen):
            chosen.append(middles[index])
    return chosen


def _heats(
    backbone: Backbone,
    occlusion: Occlusion,
    file: VideoFile,
    times_s: FloatArray,
    fps: float,
    best: Mapping[int, Image],
    start_s: float | None,
) -> Iterator[FrameHeat]:
    """Frame by frame in the order of time, and view by view; none of a view that is a vector."""
    views = [view for view in occlusion.columns if view not in FRAME_VIEWS]
    if not views or not best:
        return
    frame_at = {float(times_s[frame]): frame for frame in best}
    maker = ViewMaker(views, backbone.image_size, backbone.fit)
    with file as video:
        for time_s, pictures in sample_video(video, maker, fps, start_s):
            if time_s > times_s[max(best)]:
                return
            if (frame := frame_at.get(time_s)) is None:
                continue
            height, width = best[frame].shape[:2]
            for view in views:
                heat = heat_map(occlusion.over_places(backbone, frame, view, pictures[view]))
                laid = spread_over(heat, height, width, backbone.fit)
                yield FrameHeat(frame, view, heat, laid, best[frame])


def hidden_pictures(image: Image, view: str) -> list[Image]:
    """A view's picture (S, S, 3 or 4) with one patch hidden, for each of the patches, row by row.

    Hidden is: no motion in a motion view; else the picture's mean colour, and for focus also
    nothing that moves there.
    """
    edges = np.linspace(0, len(image), GRID + 1).round().astype(int)
    fill = VIEWS[view].hidden_fill(image)
    hidden = []
    for top, left in np.ndindex(GRID - PATCH + 1, GRID - PATCH + 1):
        copy = image.copy()
        copy[edges[top] : edges[top + PATCH], edges[left] : edges[left + PATCH]] = fill
        hidden.append(copy)
    return hidden


def heat_map(falls: FloatArray) -> FloatArray:
    """Falls by patch, row by row -> (GRID, GRID): the mean of the patches that cover each place."""
    count, border = GRID - PATCH + 1, PATCH - 1
    padded = np.pad(falls.reshape(count, count), border, constant_values=np.nan)
    return np.asarray(np.nanmean(sliding_window_view(padded, (PATCH, PATCH)), axis=(2, 3)))


def spread_over(heat: FloatArray, height: int, width: int, how: str) -> FloatArray:
    """A map of the square picture (G, G) laid over the frame that `fit` made it from: (H, W).

    how: squash, letterbox or crop, as the frame was fitted. What the network was not shown is 0.
    """
    if how == "squash":
        return _resized(heat, height, width)
    side = min(height, width) if how == "crop" else max(height, width)
    square = _resized(heat, side, side)
    top, left = abs(height - side) // 2, abs(width - side) // 2
    if how == "letterbox":
        return square[top : top + height, left : left + width]
    return np.pad(square, ((top, height - side - top), (left, width - side - left)))


def _resized(heat: FloatArray, height: int, width: int) -> FloatArray:
    size = (width, height)
    return np.asarray(
        cv2.resize(heat.astype(np.float32), size, interpolation=cv2.INTER_LINEAR), np.float64
    )
