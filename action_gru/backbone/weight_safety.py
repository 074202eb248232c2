"""What a weights file from elsewhere would make of this process, found out without running it.

A `.pt` is a pickle: a list of functions to call. Only those that Ultralytics' safe loading knows
are ever called; this module names the others, and refuses what weighs more than its file.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from action_gru.core.paths import file_kind

NAMES_SHOWN = 6
MOST_SCANNED_BYTES = 64 << 20
MOST_PICKLES = 8  # torch.save wrote five in a row before it wrote zips
# What every pickle of a network names.
_USUAL = re.compile(r"(torch|ultralytics|collections)\.")


def check_container(path: Path) -> None:
    """Raise ValueError for a file that unpacks to more than itself, as torch.save's never do."""
    if not zipfile.is_zipfile(path):
        if (kind := file_kind(path)) and "pickle" not in kind:
            raise ValueError(f"it is {kind}")
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    packed = [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise ValueError(f"its {packed[0]} is compressed")
    unpacked, size = sum(entry.file_size for entry in entries), path.stat().st_size
    if unpacked > size:
        raise ValueError(f"it would unpack from {size} to {unpacked} bytes")


def unsafe_names(path: Path) -> list[str]:
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
    try:
        for _ in range(MOST_PICKLES):
            _add_names(stream, names)
    except Exception:  # damaged, no pickle, or at its end: what was found up to there is told
        return names
    return names


def _add_names(stream: io.BytesIO, names: set[str]) -> None:
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in ("GLOBAL", "INST"):
            names.add(str(argument).replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
            names.add(".".join(texts[-2:]))
        elif isinstance(argument, str):
            texts = [*texts[-1:], argument]


def format_names(names: list[str]) -> str:
    """The names as an error has room for them."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(name[:80] for name in names[:NAMES_SHOWN]) + more


def check_tensors(module: Any) -> None:
    """Raise ValueError for a tensor that claims more values than it holds, NaN or infinity."""
    if not isinstance(module, nn.Module):
        raise ValueError(f"holds a {type(module).__name__} in place of a network")
    for name, tensor in module.state_dict().items():
        held = tensor.untyped_storage().nbytes() // max(1, tensor.element_size())
        if tensor.numel() > held:
            raise ValueError(f"{name} claims {tensor.numel()} values and holds {held}")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinity")
