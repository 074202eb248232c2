"""Explains one answer: from a model, its backbone and a video to an Explanation.

Knows no command line and no plots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from action_gru.backbone import FRAME_VIEWS, Backbone
from action_gru.evaluation.curves import linear_answer, stream_curves
from action_gru.evaluation.explanation import Explanation, FloatArray, FrameHeat
from action_gru.evaluation.frames import frames_at
from action_gru.evaluation.occlusion import (
    best_frames,
    heat_map,
    hidden_pictures,
    log_odds,
    spread_over,
    stretch_frames,
    time_importance,
)
from action_gru.training import Checkpoint
from action_gru.training.document import check_label
from action_gru.training.scoring import BATCH, ClipScores
from action_gru.video import DecodeLimits, Image, VideoFile
from action_gru.views import ViewMaker
from action_gru.views.maker import mirror
from action_gru.views.sampler import look

THUMBNAILS = 10
MOST_PX = (480, 480)  # height and width of a kept frame


@dataclass(frozen=True)
class Subject:
    """One video as the model read it: its sampled instants (T,) and the model's scores.

    unsure: whether the answer is only a guess. warnings: what to know before believing it. limits:
    for reading its frames again.
    """

    video: Path
    times_s: FloatArray
    scores: ClipScores
    unsure: bool = False
    warnings: tuple[str, ...] = ()
    limits: DecodeLimits | None = None


def explain_clip(
    backbone: Backbone,
    checkpoint: Checkpoint,
    subject: Subject,
    label: str | None = None,
    frames: int = 3,
) -> Explanation:
    """Explain the model's answer to one video.

    label: the class to explain; by default the answer. frames: in how many of the frames that
    matter most to look for the places that matter, in the views that are pictures. Raises
    DataError for an unknown label.
    """
    check_label(label, checkpoint.classes)
    scores, times_s = subject.scores, subject.times_s
    probabilities, running = scores.probabilities, scores.running
    number = checkpoint.classes.index(label) if label else int(probabilities.argmax())
    columns = _columns(checkpoint, scores)
    middles, falls = time_importance(scores, number, list(columns.values()))
    hidden_frames = stretch_frames(scores)
    best = best_frames(middles, falls[:, 0], hidden_frames, frames)
    shown = range(0, len(times_s), -(-len(times_s) // THUMBNAILS))
    images = frames_at(subject.video, times_s[[*shown, *best]], MOST_PX, subject.limits)
    return Explanation(
        video=str(subject.video),
        classes=checkpoint.classes,
        label=checkpoint.classes[number],
        cell=str(checkpoint.model["cell"]),
        num_layers=int(checkpoint.model["num_layers"]),
        pooling=str(checkpoint.model["pooling"]),
        fps=float(checkpoint.sampling["fps"]),
        probabilities=np.asarray(probabilities.numpy()),
        unsure=subject.unsure,
        warnings=subject.warnings,
        times_s=times_s,
        windows=tuple(scores.windows),
        streams=stream_curves(scores, list(columns)),
        linear=linear_answer(scores),
        scores=None if running is None else np.asarray(running.numpy()),
        hidden_frames=hidden_frames,
        middles=tuple(middles),
        falls=np.asarray(falls.numpy()),
        best=tuple(best),
        heats=_heats(backbone, checkpoint, number, subject, best, images),
        thumbnails=tuple((times_s[i], images[times_s[i]]) for i in shown),
    )


def _columns(checkpoint: Checkpoint, scores: ClipScores) -> dict[str, slice]:
    """The columns of each view, in order."""
    dims = scores.model.view_dims
    ends = np.cumsum(dims).tolist()
    slices = [slice(end - dim, end) for end, dim in zip(ends, dims, strict=True)]
    return dict(zip([spec.view for spec in checkpoint.features], slices, strict=True))


def _heats(
    backbone: Backbone,
    checkpoint: Checkpoint,
    number: int,
    subject: Subject,
    best: Sequence[int],
    images: dict[float, Image],
) -> tuple[FrameHeat, ...]:
    """Frame by frame in the order of time, and view by view; none of a view that is a vector."""
    columns = _columns(checkpoint, subject.scores)
    views = [view for view in columns if view not in FRAME_VIEWS]
    if not views or not best:
        return ()
    frame_at = {float(subject.times_s[frame]): frame for frame in best}
    maker = ViewMaker(views, backbone.image_size, backbone.fit)
    found = []
    with VideoFile(subject.video, limits=subject.limits) as video:
        for time_s, pictures in look(video, maker, float(checkpoint.sampling["fps"])):
            if time_s not in frame_at:
                continue
            frame, image = frame_at[time_s], images[time_s]
            for view in views:
                falls = place_falls(
                    backbone, subject.scores, number, frame, pictures[view], view, columns[view]
                )
                heat = heat_map(falls)
                laid = spread_over(heat, image.shape[0], image.shape[1], backbone.fit)
                found.append(FrameHeat(frame, view, heat, laid, image))
    return tuple(found)


def place_falls(
    backbone: Backbone,
    scores: ClipScores,
    number: int,
    frame: int,
    picture: Image,
    view: str,
    columns: slice,
) -> FloatArray:
    """The fall of the class's log-odds for each hidden patch of one view of one frame, (N,).

    A patch is hidden in the mirrored copy too, where there is one.
    """
    pictures = [picture, *hidden_pictures(picture, view)]
    window = scores.window_at(frame)
    low, high = scores.windows[window]
    altered = scores.copies[:, low:high].repeat(len(pictures), 1, 1, 1)
    for copy in range(len(scores.copies)):
        shown = [mirror(one) for one in pictures] if copy else pictures
        batches = [shown[start : start + BATCH] for start in range(0, len(shown), BATCH)]
        altered[:, copy, frame - low, columns] = torch.cat([backbone(one) for one in batches])
    odds = log_odds(scores.with_window(window, altered), number)
    return np.asarray((odds[0] - odds[1:]).numpy())
