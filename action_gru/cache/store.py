"""The store: entries by key, safe under several processes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from action_gru.cache.entry import ClipFeatures, check_entry, entry_pieces, read_entry
from action_gru.cache.rows import RowFile
from action_gru.errors import CacheError
from action_gru.files import write_atomically

SUFFIX = ".safetensors"


def cache_key(parts: dict[str, Any]) -> str:
    """Hash of everything a feature sequence depends on, in hex. parts: JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class FeatureCache:
    """Feature sequences by key, in files ROOT/ab/abcdef....safetensors.

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

    def has(self, key: str) -> bool:
        """Is there a whole entry? A damaged one is removed and noted. Flat in memory."""
        path = self.path_of(key)
        try:
            check_entry(path)
        except FileNotFoundError:
            return False
        except CacheError as error:
            self.damaged.append(str(error))
            _remove(path)
            return False
        return True

    def put(self, key: str, clip: ClipFeatures) -> None:
        """Keep an entry. Raises CacheError when the disk is full or the folder is not writable."""
        self._write(
            key, entry_pieces(clip.values, clip.times_s, clip.frames_decoded, clip.provenance)
        )

    def put_rows(
        self, key: str, rows: RowFile, times_s: NDArray[np.float64], frames: int, provenance: Any
    ) -> None:
        """Keep an entry whose rows, all finite, are in a file: flat in memory."""
        self._write(key, entry_pieces(rows, times_s, frames, provenance))

    def _write(self, key: str, pieces: Iterable[bytes | memoryview]) -> None:
        path = self.path_of(key)
        try:
            write_atomically(path, pieces)
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
                check_entry(path)
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

    def has(self, key: str) -> bool:
        return key in self._clips

    def put(self, key: str, clip: ClipFeatures) -> None:
        self._clips[key] = clip

    def put_rows(
        self, key: str, rows: RowFile, times_s: NDArray[np.float64], frames: int, provenance: Any
    ) -> None:
        self._clips[key] = ClipFeatures(
            np.concatenate(list(rows.chunks())), times_s, frames, provenance
        )


def _is_whole(path: Path) -> bool:
    try:
        check_entry(path)
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
