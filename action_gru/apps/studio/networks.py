"""The networks of one worker process, each loaded once. Only worker modules import it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from action_gru.backbone import Backbone
from action_gru.config import Config, build_config
from action_gru.features.source import build_backbone
from action_gru.recognizer import ActionRecognizer
from action_gru.training import load_checkpoint
from action_gru.training.document import find_checkpoint

BACKBONES_KEPT = 2  # the one for new clips, and that of an older run with another
NOT_OF_NETWORKS = {"cache_dir", "memory_gb", "workers", "flip"}  # keys of `features`

overrides: list[str] = []  # of a command line, for every run; the studio has none

_lock = threading.RLock()
_backbones: dict[str, Backbone] = {}
_current: tuple[tuple[Path, float], ActionRecognizer] | None = None


def backbone_of(config: Config) -> Backbone:
    """The backbone of a config's features, shared by all that ask for the same one.

    Raises BackboneError.
    """
    tree = config.model_dump(mode="json")
    features = {key: tree["features"][key] for key in tree["features"].keys() - NOT_OF_NETWORKS}
    parts = features, tree["detection"], tree["pose"], tree["sampling"]["fps"]
    name = json.dumps(parts, sort_keys=True)
    with _lock:
        found = _backbones.pop(name, None) or build_backbone(config)
        _backbones[name] = found  # as the newest
        while len(_backbones) > BACKBONES_KEPT:
            del _backbones[next(iter(_backbones))]
    return found


def recognizer_of(run: Path) -> ActionRecognizer:
    """The model of a run, kept until another is asked for. Raises CheckpointError."""
    global _current
    file = find_checkpoint(run)
    key = file, file.stat().st_mtime
    with _lock:
        if _current is None or _current[0] != key:
            checkpoint = load_checkpoint(file)
            config = build_config(checkpoint.config, overrides)
            made = ActionRecognizer(checkpoint, config, backbone=backbone_of(config))
            _current = key, made
        return _current[1]
