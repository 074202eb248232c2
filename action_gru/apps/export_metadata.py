"""What an exported run says of itself: all that stands between its input and its networks, as JSON.

Writes nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from action_gru.backbone import FeatureSpec
from action_gru.backbone.views import (
    MOTION_GAIN,
    MOTION_HISTORY_S,
    MOTION_LAGS_S,
    MOTION_REST,
)
from action_gru.checkpoint import Checkpoint
from action_gru.config import Config
from action_gru.model import FlatStep
from action_gru.sampling import TOLERANCE_S
from action_gru.series.recognizer import warns_from
from action_gru.streams import window_of

FORMAT = "action_gru.export.1"


def describe_pictures(checkpoint: Checkpoint, config: Config, model: FlatStep) -> dict[str, Any]:
    """Between a video and the two networks."""
    spec = checkpoint.features[0]
    assert isinstance(spec, FeatureSpec)
    return {
        "format": FORMAT,
        "classes": checkpoint.classes,
        "views": [spec.view for spec in checkpoint.features],
        "sampling": {"fps": checkpoint.sampling["fps"], "tolerance_s": TOLERANCE_S},
        "pictures": {
            "size_px": spec.image_size,
            "fit": spec.fit,
            "channels": "RGB",
            "motion_lags_s": MOTION_LAGS_S,
            "motion_gain": MOTION_GAIN,
            "motion_rest": MOTION_REST,
            "motion_history_s": MOTION_HISTORY_S,
            "preprocessing": spec.preprocessing,
        },
        "features_rounded_to": "float16",
        "feature_size": sum(spec.dim for spec in checkpoint.features),
        "state": [tensor.to_json() for tensor in model.state],
        "stream": {
            "window_s": window_of(checkpoint, config),
            "states": config.stream.states,
            "max_gap_s": config.stream.max_gap_s,
        },
        "max_frames": checkpoint.sampling["max_frames"],
        "trained_on": [asdict(spec) for spec in checkpoint.features],
        "licence": "AGPL-3.0-or-later",
    }


def describe_rows(checkpoint: Checkpoint, config: Config, model: FlatStep) -> dict[str, Any]:
    """Between the rows of a table and the network of one step."""
    series = config.series
    return {
        "format": FORMAT,
        "classes": checkpoint.classes,
        "channels": checkpoint.channels,
        "columns": {"id": series.id, "time": series.time},
        "rows": {
            "points": series.points,
            "averages": series.averages,
            "elapsed": series.elapsed,
            "velocity": series.velocity,
        },
        "feature_size": sum(model.model.view_dims),
        "state": [tensor.to_json() for tensor in model.state],
        "stream": {
            "window": series.window,
            "states": config.stream.states if series.window else 1,
        },
        "warns_from": warns_from(checkpoint.classes, config),
    }
