"""Finds YOLO weights, fetches a missing official one, and loads them without running their code."""

from __future__ import annotations

import hashlib
import importlib
import os
import urllib.error
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Set before ultralytics is imported: no look-ups or analytics at import, no installing of what a
# checkpoint names, no banner on stdout, and no pickle beyond its list of known classes.
os.environ["YOLO_OFFLINE"] = "1"
os.environ["YOLO_AUTOINSTALL"] = "false"
os.environ["ULTRALYTICS_SAFE_LOAD"] = "1"
os.environ.setdefault("YOLO_VERBOSE", "false")

from torch import nn

from action_gru.backbone.finding import BUILTIN, local_weights, no_such_weights
from action_gru.backbone.weight_safety import (
    check_container,
    check_tensors,
    format_names,
    unsafe_names,
)
from action_gru.core.errors import BackboneError

BUILTIN_PATH = Path(__file__).parents[1] / "weights" / "builtin.safetensors"
OFFICIAL_URL = "https://github.com/ultralytics/assets/releases/download/v8.4.0"


@dataclass(frozen=True)
class LoadedNetwork:
    """An ultralytics network in eval mode, fp32, and what is known of its weights."""

    module: Any
    task: str
    weights_sha256: str
    image_size: int


def load_network(
    weights: str,
    download: bool = True,
    key: str = "features.weights",
    sha256: str | None = None,
) -> LoadedNetwork:
    """Load `builtin`, a path to a .pt, or an official name. key: what errors call the setting.

    sha256: what the file must have. Raises BackboneError when it is missing, is no YOLO
    checkpoint, or would run code.
    """
    _import_ultralytics()
    if weights == BUILTIN:
        return _load_builtin()
    path = find_weights(weights, download, key, sha256)
    _check_safe_loading(path)
    checkpoint = _safely_loaded(path)
    module = checkpoint.get("ema") or checkpoint.get("model")
    if not isinstance(module, nn.Module):
        raise BackboneError(
            f"{path}: holds no network (keys: {', '.join(map(str, list(checkpoint)[:6]))}); "
            "give a .pt saved by Ultralytics"
        )
    try:
        check_tensors(module)
        module = module.float().eval()
        task = str(getattr(module, "task", "") or _task_of(module))
    except Exception as error:  # a module of anyone's making: its parts may be of any kind
        raise _refusal(path, _first_line(error)) from error
    return LoadedNetwork(module, task, file_sha256(path), 224 if task == "classify" else 640)


def _import_ultralytics() -> None:
    """Its import sets OMP_NUM_THREADS to 1 where it is not set. That would be taken for the user's
    wish, by us and by every process that is started later: an extraction would use one core.
    """
    wish = os.environ.get("OMP_NUM_THREADS")
    importlib.import_module("ultralytics")
    if not wish:
        os.environ.pop("OMP_NUM_THREADS", None)


def _safely_loaded(path: Path) -> dict[str, Any]:
    """The content of a .pt; nothing but known classes of torch and ultralytics is called."""
    from ultralytics.nn.tasks import torch_safe_load

    try:
        check_container(path)
    except Exception as error:
        raise _refusal(path, _first_line(error)) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of pickle protocols: the error tells enough
            checkpoint, _ = torch_safe_load(str(path), safe_only=True)
    except Exception as error:
        names = unsafe_names(path)
        found = f"it would run {format_names(names)}" if names else _first_line(error)
        raise _refusal(path, found) from error
    return dict(checkpoint)


def _refusal(path: Path, found: str) -> BackboneError:
    return BackboneError(
        f"{path}: refused as YOLO weights: {found}; "
        "give a .pt saved by Ultralytics, from a source you trust"
    )


def _check_safe_loading(path: Path) -> None:
    """Below torch 2.6 ultralytics drops to plain unpickling without a word: refuse instead."""
    import torch

    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise BackboneError(
            f"{path}: cannot be loaded safely with torch {torch.__version__}; "
            "install torch 2.6 or newer"
        )


def find_weights(
    weights: str, download: bool, key: str = "features.weights", sha256: str | None = None
) -> Path:
    """The local file of a path or an official name, fetched once if it is missing.

    Raises BackboneError where its hash is not sha256, if one is given.
    """
    path = _kept_weights(weights, download, key, sha256)
    _check_hash(path, path, key, sha256)
    return path


def _kept_weights(weights: str, download: bool, key: str, sha256: str | None) -> Path:
    path = local_weights(weights, download, key)
    if path.is_file():
        return path
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    if path.name not in GITHUB_ASSETS_NAMES:
        raise no_such_weights(weights, key)
    return _download(path.name, path, key, sha256)


def _check_hash(path: Path, named: Path, key: str, sha256: str | None) -> None:
    found = file_sha256(path) if sha256 else None
    if found != sha256:
        raise BackboneError(
            f"{named}: has the SHA-256 {found}, and {key}_sha256 asks for {sha256}; it is another "
            "file than was pinned: fetch it from its publisher, or pin the new one"
        )


def _download(name: str, target: Path, key: str, sha256: str | None) -> Path:
    """Fetch an official weight; the file appears only when it is whole and as pinned."""
    import torch

    url = f"{os.environ.get('ACTION_GRU_WEIGHTS_URL', OFFICIAL_URL)}/{name}"
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(part), progress=False)
        _check_hash(part, target, key, sha256)
        part.replace(target)
    except (urllib.error.URLError, OSError) as error:
        raise BackboneError(
            f"{key}: '{name}' is not on this machine and could not be fetched from "
            f"{url} ({error}); download it elsewhere and put it at {target}, "
            f"or set {key} to a local .pt"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _load_builtin() -> LoadedNetwork:
    from safetensors import SafetensorError, safe_open
    from ultralytics.nn.tasks import ClassificationModel

    try:
        with safe_open(BUILTIN_PATH, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BackboneError(
            f"{BUILTIN_PATH}: the package's own backbone cannot be read ({error}); "
            "install the package again"
        ) from error
    module = ClassificationModel(metadata["architecture"], nc=1, verbose=False)
    lacking = module.load_state_dict(tensors, strict=False)
    missing = [name for name in lacking.missing_keys if ".linear." not in name]
    if missing or lacking.unexpected_keys:
        raise BackboneError(
            f"{BUILTIN_PATH} does not fit this ultralytics' {metadata['architecture']} (first "
            f"difference: {[*missing, *lacking.unexpected_keys][0]}); install ultralytics 8.4"
        )
    return LoadedNetwork(
        module.eval(), "classify", file_sha256(BUILTIN_PATH), int(metadata["image_size"])
    )


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _task_of(module: Any) -> str:
    from ultralytics.nn.tasks import guess_model_task

    return str(guess_model_task(module))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def import_ultralytics() -> None:
    """Import it now. Its first import inside a process group waits for all processes to do the
    same, and only one of them extracts.
    """
    importlib.import_module("ultralytics.utils")
