"""Loads YOLO weights without running their code.

A `.pt` is a pickle: a list of functions to call. Only those that Ultralytics' safe loading knows
are called; errors name the others. A file that weighs less than what it unpacks to is refused.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import logging
import os
import pickletools
import re
import warnings
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# Set before ultralytics is imported: no look-ups or analytics at import, no installing of what a
# checkpoint names, no banner on stdout, and no pickle beyond its list of known classes.
os.environ["YOLO_OFFLINE"] = "1"
os.environ["YOLO_AUTOINSTALL"] = "false"
os.environ["ULTRALYTICS_SAFE_LOAD"] = "1"
os.environ.setdefault("YOLO_VERBOSE", "false")

import torch
from torch import Tensor, nn

from action_gru.backbone.weight_files import find_weights, home_folder
from action_gru.core.errors import BackboneError
from action_gru.core.files import file_sha256, write_or_raise
from action_gru.core.paths import file_kind
from action_gru.core.progress import log

NAMES_SHOWN = 6
MOST_SCANNED_BYTES = 64 << 20
MOST_PICKLES = 8  # torch.save wrote five in a row before it wrote zips
_ARCHITECTURE = re.compile(r"yolo[\w.-]*-cls[\w.-]*\.yaml")
_SIDE = re.compile(r"[1-9]\d{1,3}")
_USUAL = re.compile(r"(torch|ultralytics|collections)\.")  # every pickle of a network names these


@dataclass(frozen=True)
class LoadedNetwork:
    """An ultralytics network in eval mode, fp32, and what is known of its weights."""

    module: Any
    task: str
    weights_sha256: str
    image_size: int


def load_network(
    weights: str, download: bool = True, key: str = "features.weights", sha256: str | None = None
) -> LoadedNetwork:
    """Load `builtin`, a file, or an official name. key: what errors call the setting.

    sha256: what the file must have. Raises BackboneError when it is missing, is no YOLO
    checkpoint, or would run code.
    """
    import_ultralytics()
    path = find_weights(weights, download, key, sha256)
    if path.suffix == ".safetensors":
        return _load_tensors(path)
    digest = file_sha256(path)
    if (known := _load_kept(digest)) is not None:
        return replace(known, weights_sha256=digest)
    checkpoint = _load_safely(path)
    module = checkpoint.get("ema") or checkpoint.get("model")
    if not isinstance(module, nn.Module):
        raise BackboneError(
            f"{path}: holds no network (keys: {', '.join(map(str, list(checkpoint)[:6]))}); "
            "give a .pt saved by Ultralytics"
        )
    from ultralytics.nn.tasks import guess_model_task

    try:
        _check_tensors(module)
        module = module.float().eval()
        task = str(getattr(module, "task", "") or guess_model_task(module))
    except Exception as error:  # a module of anyone's making: its parts may be of any kind
        raise _refusal(path, _first_line(error)) from error
    if task == "classify":
        _keep_tensors(digest, module)
    return LoadedNetwork(module, task, digest, 224 if task == "classify" else 640)


def import_ultralytics() -> None:
    """Import it now, before a process group: there its first import waits for all processes."""
    # It sets OMP_NUM_THREADS to 1 where it is not set. We, and every process started later, would
    # take that for the user's wish: an extraction would use one core.
    wish = os.environ.get("OMP_NUM_THREADS")
    importlib.import_module("ultralytics.utils")
    if not wish:
        os.environ.pop("OMP_NUM_THREADS", None)


def _load_safely(path: Path) -> dict[str, Any]:
    """The content of a .pt; nothing but known classes of torch and ultralytics is called."""
    from ultralytics.nn.tasks import torch_safe_load

    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        # ultralytics drops to plain unpickling there without a word.
        raise BackboneError(
            f"{path}: cannot be loaded safely with torch {torch.__version__}; "
            "install torch 2.6 or newer"
        )
    try:
        _check_container(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of pickle protocols: the error says enough
            checkpoint, _ = torch_safe_load(str(path), safe_only=True)
    except Exception as error:
        names = [] if isinstance(error, _ContainerError) else _unsafe_names(path)
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        shown = ", ".join(name[:80] for name in names[:NAMES_SHOWN]) + more
        found = f"it would run {shown}" if names else _first_line(error)
        raise _refusal(path, found) from error
    return dict(checkpoint)


class _ContainerError(ValueError):
    """A file that is of another kind, or unpacks to more than itself."""


def _check_container(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        if (kind := file_kind(path)) and "pickle" not in kind:
            raise _ContainerError(f"it is {kind}")
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    packed = [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed:  # torch.save compresses nothing
        raise _ContainerError(f"its {packed[0]} is compressed")
    unpacked, size = sum(entry.file_size for entry in entries), path.stat().st_size
    if unpacked > size:
        raise _ContainerError(f"it would unpack from {size} to {unpacked} bytes")


def _unsafe_names(path: Path) -> list[str]:
    """The functions and classes that a refused file names and that safe loading does not know."""
    try:
        # Those that Ultralytics knows were registered when it tried to load the file.
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
    except Exception:  # no zip: an older torch.save, or a bare pickle
        return sorted(name for name in _pickled_names(path) if not _USUAL.match(name))


def _pickled_names(path: Path) -> set[str]:
    """What a bare pickle imports, as far as it can be read; nothing of it is run."""
    names: set[str] = set()
    with path.open("rb") as file:
        stream = io.BytesIO(file.read(MOST_SCANNED_BYTES))
    texts: list[str] = []
    try:
        for _ in range(MOST_PICKLES):
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in ("GLOBAL", "INST"):
                    names.add(str(argument).replace(" ", "."))
                elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
                    names.add(".".join(texts[-2:]))
                elif isinstance(argument, str):
                    texts = [*texts[-1:], argument]
    except Exception:  # damaged, no pickle, or at its end: the names found so far are kept
        return names
    return names


def _check_tensors(module: nn.Module) -> None:
    """Raise ValueError for a tensor that claims more values than it holds, NaN or infinity."""
    for name, tensor in module.state_dict().items():
        held = tensor.untyped_storage().nbytes() // max(1, tensor.element_size())
        if tensor.numel() > held:
            raise ValueError(f"{name} claims {tensor.numel()} values and holds {held}")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinity")


def _refusal(path: Path, found: str) -> BackboneError:
    return BackboneError(
        f"{path}: refused as YOLO weights: {found}; "
        "give a .pt saved by Ultralytics or a .safetensors of this program, whose source you trust"
    )


def save_network(path: Path, module: nn.Module, image_size: int, **notes: str) -> None:
    """Write a safetensors file that `features.weights` takes: all but the last linear layer.

    module: an Ultralytics ClassificationModel of a shipped architecture, fused or not; its dtype is
    kept. image_size: side of the pictures it was trained on, pixels. notes: more metadata. Raises
    BackboneError where the file could not be loaded again, or cannot be written.
    """
    metadata, tensors = _parts(module, image_size, **notes)
    _build(path, metadata, tensors)
    _write(path, metadata, tensors)


def _parts(
    module: nn.Module, image_size: int, **notes: str
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of such a file."""
    yaml: Any = module.yaml
    architecture = Path(yaml["yaml_file"]).name
    tensors = {
        name: value.detach().cpu().contiguous()
        for name, value in module.state_dict().items()
        if ".linear." not in name
    }
    return {"architecture": architecture, "image_size": str(image_size), **notes}, tensors


def _write(path: Path, metadata: dict[str, str], tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save

    mend = "free space, or name a folder you may write"
    data = save(tensors, {"format_version": "1"} | metadata)
    write_or_raise(path, data, BackboneError, "the network cannot be written", mend)


def _kept_place(sha256: str) -> Path:
    """Where the tensors of a .pt of this hash are kept, as this Ultralytics builds their network.

    Reading the .pt itself imports torchvision and torch's compiler: a third of `classify`.
    """
    version = importlib.import_module("ultralytics").__version__
    return home_folder() / "weights" / "tensors" / f"{sha256}-{version}.safetensors"


def _keep_tensors(sha256: str, module: nn.Module) -> None:
    """Keep them if a network built of them gives the same, bit by bit."""
    place = _kept_place(sha256)
    try:
        metadata, tensors = _parts(module, 224)
        made = _embed_noise(_build(place, metadata, tensors))
        if torch.equal(made, _embed_noise(module)):
            _write(place, metadata | {"tensors_sha256": _tensors_sha256(tensors)}, tensors)
    except Exception as error:  # of anyone's making; and a home that is full, or may not be written
        log(logging.DEBUG, f"{place}: not kept ({_first_line(error)})")


def _load_kept(sha256: str) -> LoadedNetwork | None:
    """The network of what was kept. None where nothing was, or it is damaged; it is kept anew."""
    place = _kept_place(sha256)
    try:
        metadata, tensors = _read_tensors(place)
        if metadata.get("tensors_sha256") == _tensors_sha256(tensors):
            return _of_tensors(place, metadata, tensors)
    except BackboneError as error:
        log(logging.DEBUG, f"{place}: not used ({_first_line(error)})")
    return None


def _tensors_sha256(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _embed_noise(module: Any) -> Tensor:
    """What the last linear layer of a classification network reads of one picture (1, C, h, w)."""
    maps = torch.rand((1, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for layer in [*module.model[:-1], module.model[-1].conv]:
            maps = layer(maps)
    return maps


def _load_tensors(path: Path) -> LoadedNetwork:
    """A file of `save_network`."""
    return _of_tensors(path, *_read_tensors(path))


def _read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _refusal(path, _first_line(error)) from error


def _of_tensors(path: Path, metadata: dict[str, str], tensors: dict[str, Tensor]) -> LoadedNetwork:
    module = _build(path, metadata, tensors)
    return LoadedNetwork(module, "classify", file_sha256(path), int(metadata["image_size"]))


def _build(path: Path, metadata: dict[str, str], tensors: dict[str, Tensor]) -> Any:
    """The network of these tensors, in eval mode, fp32. Raises BackboneError that names path."""
    from ultralytics.nn.tasks import ClassificationModel

    class Silent(ClassificationModel):  # type: ignore[misc]
        """Without the summary that its making ends in, which runs a copy to count operations."""

        def info(self, *_: object, **__: object) -> None:
            pass

    architecture, side = metadata.get("architecture", ""), metadata.get("image_size", "")
    # A name alone: ultralytics would fetch an address.
    if not (_ARCHITECTURE.fullmatch(architecture) and _SIDE.fullmatch(side)):
        raise _refusal(
            path, f"its metadata name the architecture '{architecture}' and image_size '{side}'"
        )
    try:
        module = Silent(architecture, nc=1, verbose=False)
        module.__class__ = ClassificationModel
        if not any(".bn." in name for name in tensors):
            module.fuse(verbose=False)
        lacking = module.load_state_dict(tensors, strict=False)
        missing = [name for name in lacking.missing_keys if ".linear." not in name]
        if differing := [*missing, *lacking.unexpected_keys]:
            raise ValueError(f"first difference: {differing[0]}")
        _check_tensors(module)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]  # torch names what differs on later lines
        raise _refusal(path, f"does not fit ultralytics' {architecture} ({reason})") from error
    return module.float().eval()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
