"""Finds weight files on this machine and fetches a missing official one. Loads none."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
from pathlib import Path

from action_gru.core.errors import BackboneError
from action_gru.core.files import file_sha256

BUILTIN = "builtin"
BUILTIN_PATH = Path(__file__).parents[1] / "weights" / "builtin.safetensors"
OFFICIAL_URL = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
HUBS = ("timm", "torchvision")  # `timm:NAME`: see hubs.py
EXAMPLES = {"detection.weights": "yolo26n.pt", "pose.weights": "yolo26n-pose.pt"}
# The package of each runtime of exported networks, and what else writes a network for it.
RUNTIME_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino", "tensorrt": "tensorrt"}
_EXPORTERS = {"onnx": ("onnx", "onnxscript"), "tensorrt": ("onnx", "onnxscript")}
# What `export` needs for the formats of phones and small boards; each has an extra of its name.
EDGE_PACKAGES = {
    "ncnn": ("pnnx", "ncnn"),
    "coreml": ("coremltools",),
    "tflite": ("litert_torch", "ai_edge_litert"),
}
# The runtime of a detector's file by its ending; OpenVINO's are folders.
_EXPORTED = {".onnx": "onnx", ".engine": "tensorrt"}
_LIKE_OFFICIAL = re.compile(r"(yolo|rtdetr|sam|mobile|fast)[\w.-]*\.(pt|pth)", re.IGNORECASE)


def home_folder() -> Path:
    """What is made or fetched once and kept: ACTION_GRU_HOME, or a part of the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("ACTION_GRU_HOME") or cache / "action_gru")


def hub_of(weights: str) -> tuple[str, str] | None:
    """The library and the name in it, of `timm:NAME` and the like."""
    library, _, name = weights.partition(":")
    return (library, name) if library in HUBS else None


def runtime_of(weights: str) -> str | None:
    """The runtime of a network that is an ONNX file, or an OpenVINO file or folder."""
    path = Path(weights)
    if path.suffix == ".onnx":
        return "onnx"
    return "openvino" if path.suffix == ".xml" or any(path.glob("*.xml")) else None


def needed_by(runtime: str) -> tuple[str, ...]:
    """The packages that a runtime needs, its own first."""
    return (RUNTIME_PACKAGES[runtime], *_EXPORTERS.get(runtime, ()))


def network_file(weights: str) -> Path:
    """Such a file itself, or the one of a folder. Raises BackboneError where there is none."""
    path = Path(weights)
    files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if len(files) != 1 or not files[0].is_file():
        raise BackboneError(
            f"features.weights: no one network at {path} (looked up as {path.absolute()}); give "
            "the file"
        )
    return files[0]


def local_weights(weights: str, download: bool, key: str = "features.weights") -> Path:
    """What a path or an official name stands for, where it is or where it would be kept.

    key: what errors call the setting. Raises BackboneError where there is no file and none can be
    fetched under that name.
    """
    path = BUILTIN_PATH if weights == BUILTIN else Path(weights)
    if path.is_dir() and key in EXAMPLES:  # a detector's
        openvino_files(path, key)
        return path
    if path.is_file():
        return path
    if len(path.parts) > 1:
        raise BackboneError(f"{key}: no file at {path} (looked up as {path.absolute()})")
    kept = home_folder() / "weights" / path.name
    if kept.is_file():
        return kept
    if not _LIKE_OFFICIAL.fullmatch(weights):
        raise _no_such_weights(weights, key)
    if not download:
        raise BackboneError(
            f"{key}: '{weights}' is not on this machine (looked up as "
            f"{path.absolute()} and {kept}) and features.download is false; put the file there, "
            "or set features.download=true"
        )
    return kept


def find_weights(
    weights: str, download: bool, key: str = "features.weights", sha256: str | None = None
) -> Path:
    """The local file of a path or an official name, fetched once if it is missing.

    Raises BackboneError where its hash is not sha256, if one is given.
    """
    path = local_weights(weights, download, key)
    if not path.exists():
        from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

        if path.name not in GITHUB_ASSETS_NAMES:
            raise _no_such_weights(weights, key)
        url = f"{os.environ.get('ACTION_GRU_WEIGHTS_URL', OFFICIAL_URL)}/{path.name}"
        fetch(url, path, key, sha256)
    if sha256:
        check_hash(weights_sha256(path), path, key, sha256)
    return path


def exported_for(weights: str) -> str | None:
    """The runtime that a detector's network was exported for; None for a .pt."""
    return "openvino" if Path(weights).is_dir() else _EXPORTED.get(Path(weights).suffix.lower())


def openvino_files(folder: Path, key: str = "weights") -> tuple[Path, Path, Path]:
    """The .xml, .bin and metadata.yaml of Ultralytics' OpenVINO export.

    Raises BackboneError for any other folder.
    """
    found = sorted(folder.glob("*.xml"))
    files = [path for xml in found[:1] for path in (xml, xml.with_suffix(".bin"))]
    files.append(folder / "metadata.yaml")
    if len(found) != 1 or not all(path.is_file() for path in files):
        raise BackboneError(
            f"{key}: {folder} is a folder, and not one that 'yolo export format=openvino' writes: "
            "one .xml, its .bin and metadata.yaml; export it again, or give a file"
        )
    return files[0], files[1], files[2]


def weights_sha256(path: Path) -> str:
    """Hash of a file; of an OpenVINO folder that of its .xml and .bin, one after another."""
    if not path.is_dir():
        return file_sha256(path)
    network, values, _ = openvino_files(path)
    return hashlib.sha256(network.read_bytes() + values.read_bytes()).hexdigest()


def _no_such_weights(weights: str, key: str) -> BackboneError:
    return BackboneError(
        f"{key}: '{weights}' is neither a file (looked up as {Path(weights).absolute()}) "
        f"nor an official Ultralytics name such as {EXAMPLES.get(key, 'yolo26n-cls.pt')}"
    )


def check_hash(found: str, named: Path, key: str, sha256: str | None) -> None:
    """Raise BackboneError where a file is not the one that was pinned, if one was."""
    if sha256 is not None and found != sha256:
        raise BackboneError(
            f"{named}: has the SHA-256 {found}, and {key}_sha256 asks for {sha256}; it is another "
            "file than was pinned: fetch it from its publisher, or pin the new one"
        )


def fetch(url: str, target: Path, key: str, sha256: str | None = None) -> None:
    """Fetch a file of weights; it appears only when it is whole and as pinned."""
    import torch

    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(part), progress=False)
        check_hash(file_sha256(part), target, key, sha256)
        part.replace(target)
    except (urllib.error.URLError, OSError) as error:
        raise BackboneError(
            f"{key}: '{target.name}' is not on this machine and could not be fetched from "
            f"{url} ({error}); download it elsewhere and put it at {target}, "
            f"or set {key} to a local .pt"
            + (
                " (--weights FILE), or to the small one that comes along (--weights builtin)"
                if key == "features.weights"
                else ""
            )
        ) from error
    finally:
        part.unlink(missing_ok=True)
