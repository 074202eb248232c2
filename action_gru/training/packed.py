"""One file that works alone on another machine: a checkpoint with its networks inside.

Which files those are; how they travel is in `networks`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from action_gru.backbone import FRAME_VIEWS
from action_gru.backbone.weight_files import BUILTIN, find_weights, hub_of, runtime_of
from action_gru.config import Config, build_config
from action_gru.core.errors import CheckpointError
from action_gru.core.files import write_or_raise
from action_gru.dataset.channels import ChannelSpec
from action_gru.training.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from action_gru.training.networks import SUFFIXES
from action_gru.views.pictures import VIEWS


def write_packed(run: Path, out: Path) -> Path:
    """Write a run's model with its networks to out, a .safetensors; returns out.

    Raises CheckpointError where there is no model, for a target that cannot be written and for a
    network of several files; BackboneError for a network that is not there.
    """
    if out.suffix != ".safetensors":
        raise CheckpointError(f"{out}: a packed model is one file; name it NAME.safetensors")
    if not out.parent.is_dir():
        raise CheckpointError(f"{out}: there is no folder {out.parent.absolute()}; make it first")
    checkpoint = replace(load_checkpoint(run), progress={}, extra={})
    data = checkpoint_bytes(checkpoint, network_files(checkpoint))
    mend = "free space, or name a folder you may write"
    write_or_raise(out, data, CheckpointError, "the packed model cannot be written", mend)
    return out


def network_files(checkpoint: Checkpoint) -> dict[str, Path]:
    """The files that its features come from, by their key of the config; none for the built-in.

    Raises CheckpointError for a network that cannot travel, BackboneError for one that is missing.
    """
    if any(isinstance(spec, ChannelSpec) for spec in checkpoint.features):
        return {}
    config = build_config(checkpoint.config)
    return {
        f"{name}.weights": _file(name, section, config.features.download)
        for name, section in _sections(config).items()
        if section.weights != BUILTIN
    }


def _sections(config: Config) -> dict[str, Any]:
    """The sections of the config that name a network which its views are made with."""
    views = config.features.views
    names = ["features"] if any(view in VIEWS for view in views) else []
    names += [FRAME_VIEWS[view].sections[-1] for view in views if view in FRAME_VIEWS]
    return {name: getattr(config, name) for name in names}


def _file(name: str, section: Any, download: bool) -> Path:
    weights, key = section.weights, f"{name}.weights"
    path = None
    if not (hub_of(weights) or runtime_of(weights)):
        path = find_weights(weights, download, key, section.weights_sha256)
    if path is None or not path.is_file() or path.suffix not in SUFFIXES:
        raise CheckpointError(
            f"{key}: {weights} cannot be packed: only one file of Ultralytics (.pt) or of this "
            "program (.safetensors) can; hand on the run's folder and the network beside it"
        )
    return path
