"""A content-addressed store of feature sequences on disk. Knows nothing of video or networks.

An entry's key is a hash of all that its values depend on, so an entry is never stale. Each file is
written beside its place and renamed, and carries a checksum: what `get` returns is whole.

Layout: ROOT/ab/abcdef....safetensors with `values` (T, D) float16, `times_s` (T,) float64, and the
metadata `action_gru`: JSON with `sha256`, `format`, `frames_decoded` and `provenance`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from action_gru.errors import CacheError
from action_gru.files import write_atomically

FORMAT = "action_gru.features.1"
METADATA = "action_gru"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ClipFeatures:
    """values (T, D) float16, times_s (T,) seconds, growing. T >= 1."""

    values: NDArray[np.float16]
    times_s: NDArray[np.float64]
    frames_decoded: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) == 0 or self.values.dtype != np.float16:
            raise CacheError(
                f"features are (T, D) float16 with T >= 1, got {self.values.shape} "
                f"{self.values.dtype}"
            )
        if self.times_s.shape != (len(self.values),):
            raise CacheError(
                f"{len(self.values)} feature rows need as many times, got {self.times_s.shape}"
            )
        if not np.isfinite(self.values).all():
            raise CacheError("features hold NaN or infinity; the backbone or its input is damaged")


def cache_key(parts: dict[str, Any]) -> str:
    """Hash of everything a feature sequence depends on, in hex. parts: JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class FeatureCache:
    """Feature sequences by key, safe under several processes.

    `damaged` counts the entries that `get` met, found damaged and removed.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.damaged: list[str] = []

    def path_of(self, key: str) -> Path:
        return self.root / key[:2] / (key + SUFFIX)

    def get(self, key: str) -> ClipFeatures | None:
        """The entry, or None if there is none. A damaged one is removed and noted, never given."""
        path = self.path_of(key)
        try:
            return read_entry(path)
        except FileNotFoundError:
            return None
        except CacheError as error:
            self.damaged.append(str(error))
            _remove(path)
            return None

    def put(self, key: str, clip: ClipFeatures) -> None:
        """Keep an entry. Raises CacheError when the disk is full or the folder is not writable."""
        path = self.path_of(key)
        try:
            write_atomically(path, _to_bytes(clip))
        except OSError as error:
            raise CacheError(
                f"{self.root}: a feature entry cannot be written ({error.strerror or error}); "
                "free space or set features.cache_dir to a folder you may write"
            ) from error

    def entries(self) -> Iterator[Path]:
        """Paths of all entries, whole or not."""
        if self.root.is_dir():
            yield from sorted(self.root.glob(f"??/*{SUFFIX}"))

    def leftovers(self) -> Iterator[Path]:
        """Half-written files of processes that were killed."""
        if self.root.is_dir():
            yield from sorted(self.root.glob("??/.*.part"))

    def stats(self) -> dict[str, int]:
        """Counts of entries, bytes and leftovers."""
        sizes = [path.stat().st_size for path in self.entries()]
        return {
            "entries": len(sizes),
            "bytes": sum(sizes),
            "leftovers": len(list(self.leftovers())),
        }

    def verify(self) -> list[str]:
        """Read every entry whole; what is wrong with the damaged ones, in words."""
        problems = []
        for path in self.entries():
            try:
                read_entry(path)
            except (CacheError, FileNotFoundError) as error:
                problems.append(str(error))
        return problems

    def prune(self, older_than_s: float | None = None) -> dict[str, int]:
        """Remove damaged entries, stale leftovers, and entries unused for older_than_s seconds."""
        now, removed = time.time(), {"damaged": 0, "old": 0, "leftovers": 0}
        for path in self.leftovers():
            if now - path.stat().st_mtime > 3600:  # a younger one may belong to a running process
                _remove(path)
                removed["leftovers"] += 1
        for path in self.entries():
            status = path.stat()
            if (
                older_than_s is not None
                and now - max(status.st_atime, status.st_mtime) > older_than_s
            ):
                _remove(path)
                removed["old"] += 1
            elif not _is_whole(path):
                _remove(path)
                removed["damaged"] += 1
        return removed


class MemoryCache:
    """The same two verbs for one process: what `classify` fills and forgets."""

    def __init__(self) -> None:
        self.damaged: list[str] = []
        self._clips: dict[str, ClipFeatures] = {}

    def get(self, key: str) -> ClipFeatures | None:
        return self._clips.get(key)

    def put(self, key: str, clip: ClipFeatures) -> None:
        self._clips[key] = clip


def read_entry(path: Path) -> ClipFeatures:
    """One file of the store, checked. Raises CacheError if damaged, FileNotFoundError if absent."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CacheError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        tensors = load_tensors(data)
        header_length = int.from_bytes(data[:8], "little")
        metadata = json.loads(json.loads(data[8 : 8 + header_length])["__metadata__"][METADATA])
        values, times_s = tensors["values"], tensors["times_s"]
        if metadata["format"] != FORMAT:
            raise CacheError(f"{path}: has format {metadata['format']!r}, expected {FORMAT!r}")
        clip = ClipFeatures(values, times_s, metadata["frames_decoded"], metadata["provenance"])
        if metadata["sha256"] != _checksum(clip):
            raise CacheError(f"{path}: its checksum does not match its content")
    except CacheError:
        raise
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CacheError(f"{path}: not a feature entry ({error})") from error
    return clip


def _to_bytes(clip: ClipFeatures) -> bytes:
    metadata = {
        "format": FORMAT,
        "sha256": _checksum(clip),
        "frames_decoded": clip.frames_decoded,
        "provenance": clip.provenance,
    }
    # One key: safetensors writes several in no fixed order, and the same clip must give one file.
    document = {METADATA: json.dumps(metadata, sort_keys=True)}
    return bytes(save_tensors({"values": clip.values, "times_s": clip.times_s}, document))


def _checksum(clip: ClipFeatures) -> str:
    digest = hashlib.sha256(repr((clip.values.shape, clip.frames_decoded)).encode())
    digest.update(json.dumps(clip.provenance, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(clip.values).tobytes())
    digest.update(np.ascontiguousarray(clip.times_s).tobytes())
    return digest.hexdigest()


def _is_whole(path: Path) -> bool:
    try:
        read_entry(path)
    except CacheError:
        return False
    except FileNotFoundError:  # another process removed it meanwhile
        return True
    return True


def _remove(path: Path) -> None:
    """Remove a file if it is there; a read-only cache keeps it, which harms nothing."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
