"""Whether a model can do what a command asks of it, told from its metadata. Knows no torch.

features: one spec a view, as a `Document` and a `Checkpoint` have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from action_gru.backbone.spec import FRAME_VIEWS, FeatureSpec
from action_gru.channels import ChannelSpec
from action_gru.config import Config
from action_gru.config.inputs import SOON
from action_gru.errors import CheckpointError, ConfigError, DataError

Specs = Sequence[FeatureSpec] | Sequence[ChannelSpec]


def check_reads_video(features: Specs) -> None:
    """Raise CheckpointError for a model of measured channels."""
    if any(isinstance(spec, ChannelSpec) for spec in features):
        raise CheckpointError(
            "the model reads measured channels, no video: use SequenceRecognizer, or "
            "'action-gru watch'"
        )


def check_reads_rows(features: Specs) -> None:
    """Raise CheckpointError for a model of video."""
    if not all(isinstance(spec, ChannelSpec) for spec in features):
        raise CheckpointError(
            "the model was trained on video, not on measured channels; "
            "use ActionRecognizer, 'action-gru classify' or 'action-gru webcam'"
        )


def check_runs_live(is_bidirectional: bool) -> None:
    """Raise CheckpointError for a model that reads backwards too."""
    if is_bidirectional:
        raise CheckpointError(
            "the model is bidirectional: it needs the end of a clip and cannot run live; "
            "train one with model.bidirectional=false"
        )


def check_exportable(features: Specs, run: Path) -> None:
    """Raise CheckpointError for a model that reads detections or poses."""
    beside = [spec.view for spec in features if spec.view in FRAME_VIEWS]
    if beside:
        raise CheckpointError(
            f"{run}: reads {beside[0]}, and export writes models of pictures and of measured "
            "channels; stay with this package ('action-gru timeline', 'webcam'), or train on rgb, "
            "focus, motion or accel"
        )


def check_label(label: str | None, classes: Sequence[str]) -> None:
    """Raise DataError for a class that the model does not know."""
    if label is not None and label not in classes:
        raise DataError(f"label '{label}': the model knows {', '.join(classes)}; name one of them")


def check_background(config: Config, classes: Sequence[str]) -> None:
    """Raise DataError where events.background names no class."""
    unknown = [name for name in config.events.background if name not in classes]
    if unknown:
        raise DataError(
            f"events.background: the model has no class {', '.join(unknown)}; "
            f"its classes are {', '.join(classes)}"
        )


def alarm_class(asked: str | None, classes: Sequence[str], has_horizon: bool) -> str:
    """The class to warn of: the one asked for, or `soon`. Raises ConfigError without one."""
    name = asked or (SOON if SOON in classes and has_horizon else None)
    if name is None or name not in classes:
        raise ConfigError(
            f"--alarm names the class to warn of, one of {', '.join(classes)}; "
            f"got {name or 'nothing'}"
        )
    return name


def check_settings(features: Specs, fps: float, config: Config) -> None:
    """Raise CheckpointError where the settings alone tell that features would be others."""
    wanted, given = [spec.view for spec in features], list(config.features.views)
    differences = [] if wanted == given else [f"views: {wanted} against {given}"]
    size_px = config.features.image_size
    differences += [
        f"{spec.view} image_size: {spec.image_size} against {size_px}"
        for spec in features
        if isinstance(spec, FeatureSpec) and spec.view not in FRAME_VIEWS
        if size_px not in ("auto", spec.image_size)
    ]
    refuse_others([*differences, *fps_difference(fps, config.sampling.fps)])


def fps_difference(trained: float, given: float) -> list[str]:
    """In words; nothing where they are the same."""
    return [] if trained == given else [f"sampling.fps: {trained} against {given}"]


def refuse_others(differences: Sequence[str]) -> None:
    """Raise CheckpointError that names each part in which features differ from the trained."""
    if differences:
        raise CheckpointError(
            "the model was trained on other features: "
            + "; ".join(dict.fromkeys(differences))
            + " (trained against given); use the same settings, or train again"
        )
