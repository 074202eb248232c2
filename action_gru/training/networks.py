"""The networks inside a checkpoint that works alone: what its metadata say, and the files again.

A network travels as the bytes of its file, with their hash: features are those that the model was
trained on, to the bit. What is unpacked is kept by that hash, as an official network that was
fetched is (`home_folder`). Read without torch; a file may come from anyone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open

from action_gru.backbone.weight_files import home_folder
from action_gru.core.errors import CheckpointError
from action_gru.core.files import file_sha256, write_or_raise

TENSORS = "network"  # begins the name of a tensor that holds a file: (bytes,) uint8
SUFFIXES = (".pt", ".safetensors")
NetworkKey = Annotated[str, Field(pattern=r"^(features|detection|pose)\.weights$")]


class PackedNetwork(BaseModel):
    """The file of one network: its name, without a folder, and the hash of its bytes."""

    model_config = ConfigDict(strict=True, frozen=True)
    file: Annotated[str, Field(pattern=r"^\w[\w.+-]{0,149}\.(pt|safetensors)$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @classmethod
    def of(cls, file: Path) -> PackedNetwork:
        """That of a file on this machine, under a name that any machine takes."""
        name = re.sub(r"[^\w.+-]", "_", file.stem)[-150:].lstrip(".+-") or "network"
        return cls(file=f"{name}{file.suffix}", sha256=file_sha256(file))


def with_networks(
    path: Path, networks: Mapping[str, PackedNetwork], config: dict[str, Any]
) -> dict[str, Any]:
    """The config of a checkpoint, naming the networks that it brings, which are files from now on.

    networks: by their key of the config. Raises ValueError for bytes that are not what the metadata
    say, CheckpointError where they cannot be written.
    """
    changed = dict(config)
    for key, network in networks.items():
        section = key.partition(".")[0]
        place = _unpacked(path, key, network)
        changed[section] = {**changed.get(section, {}), "weights": str(place)}
    return changed


def _unpacked(path: Path, key: str, network: PackedNetwork) -> Path:
    place = home_folder() / "weights" / "packed" / network.sha256 / network.file
    if place.is_file() and file_sha256(place) == network.sha256:
        return place
    with safe_open(path, framework="np") as file:
        values = file.get_tensor(f"{TENSORS}.{key}")
    data = values.tobytes()
    if (found := hashlib.sha256(data).hexdigest()) != network.sha256:
        raise ValueError(f"its network {network.file} has the SHA-256 {found}, not as it states")
    mend = "free space, or set ACTION_GRU_HOME to a folder you may write"
    write_or_raise(place, data, CheckpointError, "the packed network cannot be written", mend)
    return place
