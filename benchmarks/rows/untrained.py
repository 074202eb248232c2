"""A model of the default size with random weights: its answers cost the same."""

from __future__ import annotations

from pathlib import Path

from action_gru.config import build_config, to_yaml
from action_gru.features.source import build_backbone
from action_gru.model import ActionClassifier
from action_gru.training import Checkpoint, save_checkpoint

CLASSES = tuple(f"class {number}" for number in range(13))


def untrained_checkpoint(weights: str, fps: float = 12.0) -> Checkpoint:
    config = build_config(
        {"sampling": {"fps": fps}, "features": {"weights": weights, "views": ["rgb", "motion"]}}
    )
    backbone = build_backbone(config)
    specs = tuple(backbone.spec(view) for view in config.features.views)
    arguments = {
        "view_dims": [spec.dim for spec in specs],
        "num_classes": len(CLASSES),
        **config.model.model_dump(),
        "closed_form": True,  # as for up to 5,000 training clips
    }
    return Checkpoint(
        weights=ActionClassifier(**arguments).state_dict(),
        model=arguments,
        classes=CLASSES,
        features=specs,
        sampling={"fps": fps, "max_frames": 64, "usual_frames": 20},
        flip=False,
        data={"allow_leakage": False},
        config=config.to_tree(),
    )


def untrained_run(folder: Path, weights: str, fps: float = 12.0) -> Path:
    """A run folder with such a model."""
    checkpoint = untrained_checkpoint(weights, fps)
    save_checkpoint(checkpoint, folder / "best.safetensors")
    (folder / "config.yaml").write_text(to_yaml(build_config(checkpoint.config)), encoding="utf-8")
    return folder
