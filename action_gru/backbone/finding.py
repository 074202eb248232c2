"""Where weights lie on this machine, and what runs exported networks. Imports neither."""

from __future__ import annotations

import os
import re
from pathlib import Path

from action_gru.core.errors import BackboneError

BUILTIN = "builtin"
EXAMPLES = {"detection.weights": "yolo26n.pt", "pose.weights": "yolo26n-pose.pt"}
# By runtime, the package that it is; each needs the exporters too.
RUNTIME_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino", "tensorrt": "tensorrt"}
EXPORTERS = ("onnx", "onnxscript")
_LIKE_OFFICIAL = re.compile(r"(yolo|rtdetr|sam|mobile|fast)[\w.-]*\.(pt|pth)", re.IGNORECASE)


def local_weights(weights: str, download: bool, key: str = "features.weights") -> Path:
    """The file of a path or of an official name, where it is or where it would be kept.

    Raises BackboneError where there is none and none can be fetched, as far as the name tells.
    """
    path = Path(weights)
    if path.is_file():
        return path
    if len(path.parts) > 1:
        raise BackboneError(f"{key}: no file at {path} (looked up as {path.absolute()})")
    kept = weights_folder() / path.name
    if kept.is_file():
        return kept
    if not _LIKE_OFFICIAL.fullmatch(weights):
        raise no_such_weights(weights, key)
    if not download:
        raise BackboneError(
            f"{key}: '{weights}' is not on this machine (looked up as "
            f"{path.absolute()} and {kept}) and features.download is false; put the file there, "
            "or set features.download=true"
        )
    return kept


def no_such_weights(weights: str, key: str) -> BackboneError:
    """The error for a name that nobody knows."""
    return BackboneError(
        f"{key}: '{weights}' is neither a file (looked up as {Path(weights).absolute()}) "
        f"nor an official Ultralytics name such as {EXAMPLES.get(key, 'yolo26n-cls.pt')}"
    )


def home_folder() -> Path:
    """What is made or fetched once and kept: ACTION_GRU_HOME, or a part of the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("ACTION_GRU_HOME") or cache / "action_gru")


def weights_folder() -> Path:
    """Where downloaded weights are kept."""
    return home_folder() / "weights"
