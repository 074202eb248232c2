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

from action_gru.cache.entry import (
    ClipFeatures,
    DamagedEntryError,
    check_open_entry,
    entry_pieces,
    parse_entry,
)
from action_gru.cache.packs import PackedEntry, Packs
from action_gru.cache.places import Folder, open_place
from action_gru.cache.rows import RowFile

SUFFIX = ".safetensors"
YOUNG_S = 3600.0  # what is younger may belong to a running process


def cache_key(parts: dict[str, Any]) -> str:
    """Hash of everything a feature sequence depends on, in hex. parts: JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def name_of(key: str) -> str:
    return f"{key[:2]}/{key}{SUFFIX}"


class FeatureCache:
    """Feature sequences by key, in files ROOT/ab/abcdef....safetensors, or packed into shards.

    root: a folder, or a URL (see `open_place`). `damaged` counts the entries that `get` met, found
    damaged and removed. Where an object store does not answer, every verb raises CacheError.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = root
        self.place = open_place(root)
        self.packs = Packs(self.place)
        self.damaged: list[str] = []

    def path_of(self, key: str) -> Path:
        """The file of an entry in a folder."""
        assert isinstance(self.place, Folder), f"{self.root} is no folder"
        return self.place.root / name_of(key)

    def get(self, key: str) -> ClipFeatures | None:
        """The entry, or None if there is none. A damaged one is removed and noted, never given."""
        packed = self.packs.find(key)
        clip = self._get_packed(packed) if packed else None
        if clip is None:  # a packed entry that was damaged has a file once it is extracted again
            clip = self._get_file(name_of(key))
        if clip is None and (later := self.packs.find_again(key)):
            clip = self._get_packed(later)  # another process has packed the file meanwhile
        return clip

    def has(self, key: str) -> bool:
        """Is there a whole entry? A damaged one is removed and noted."""
        packed = self.packs.find(key)
        if packed and self._get_packed(packed) is not None:
            return True
        if self._has_file(name_of(key)):
            return True
        later = self.packs.find_again(key)
        return later is not None and self._get_packed(later) is not None

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
        self.place.write(name_of(key), pieces)

    def names(self) -> Iterator[str]:
        """The names of all entries in files of their own, whole or not."""
        return (name for name in self.place.names(SUFFIX) if name.index("/") == 2)

    def stats(self) -> dict[str, int]:
        """Counts of entries, bytes and leftovers; packed: how many of the entries are in shards."""
        index = self.packs.index
        sizes = [self.place.status(name).size for name in self.names()]
        return {
            "entries": len(sizes) + len(index),
            "bytes": sum(sizes) + int(index.columns["sizes"].sum()),
            "leftovers": sum(1 for _ in self.place.leftovers()),
            "packed": len(index),
        }

    def verify(self) -> list[str]:
        """Read every entry whole; what is wrong with the damaged ones, in words."""
        index_problems = self.packs.problems()
        problems = list(index_problems)
        for name in self.names():
            try:
                self._check_file(name)
            except (DamagedEntryError, OSError) as error:
                problems.append(str(error))
        for entry, data in [] if index_problems else self.packs.entries():
            try:
                parse_entry(data, self.packs.label(entry))
            except DamagedEntryError as error:
                problems.append(str(error))
        return problems

    def prune(self, older_than_s: float | None = None) -> dict[str, int]:
        """Remove damaged entries, stale leftovers, and entries unused for older_than_s seconds.

        Shards that no index names are leftovers. Packed entries stay: a shard is never changed.
        """
        now, removed = time.time(), {"damaged": 0, "old": 0, "leftovers": 0}
        for name in [*self.place.leftovers(), *self.packs.unnamed()]:
            if now - self.place.status(name).used_s > YOUNG_S:
                self.place.remove(name)
                removed["leftovers"] += 1
        for name in self.names():
            if older_than_s is not None and now - self.place.status(name).used_s > older_than_s:
                self.place.remove(name)
                removed["old"] += 1
            elif not self._is_whole_file(name):
                self.place.remove(name)
                removed["damaged"] += 1
        return removed

    def _get_packed(self, entry: PackedEntry) -> ClipFeatures | None:
        try:
            return parse_entry(self.packs.read(entry), self.packs.label(entry))
        except DamagedEntryError as error:
            self.damaged.append(str(error))
            return None

    def _get_file(self, name: str) -> ClipFeatures | None:
        try:
            return parse_entry(self.place.read(name), self.place.label(name))
        except FileNotFoundError:
            return None
        except (DamagedEntryError, OSError) as error:
            self._drop(name, error)
            return None

    def _has_file(self, name: str) -> bool:
        try:
            self._check_file(name)
        except FileNotFoundError:
            return False
        except (DamagedEntryError, OSError) as error:
            self._drop(name, error)
            return False
        return True

    def _check_file(self, name: str) -> None:
        with self.place.open(name) as file:
            check_open_entry(file, self.place.label(name))

    def _is_whole_file(self, name: str) -> bool:
        try:
            self._check_file(name)
        except FileNotFoundError:  # another process removed it meanwhile
            return True
        except (DamagedEntryError, OSError):
            return False
        return True

    def _drop(self, name: str, error: Exception) -> None:
        self.damaged.append(str(error))
        self.place.remove(name)


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
