"""The store: entries by key, safe under several processes."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import CacheError
from action_gru.core.files import YOUNG_S
from action_gru.features.entry import (
    ClipFeatures,
    DamagedEntryError,
    RowFile,
    UnreadableEntryError,
    check_open_entry,
    entry_pieces,
    parse_entry,
    telling_why,
)
from action_gru.features.object_store import open_storage
from action_gru.features.packs import FOLDER, INDEX, PackedEntry, Packs
from action_gru.features.storage import Folder, Status

SUFFIX = ".safetensors"
LOCK = f"{FOLDER}/.lock"  # held by whoever packs
UNLOCKED_YOUNG_S = 86_400.0  # without locks: a packing that goes on is hoped to be younger

KEY = re.compile(r"[0-9a-f]{64}\Z")

Looked = TypeVar("Looked")


def cache_key(parts: dict[str, Any]) -> str:
    """Hash of everything a feature sequence depends on, in hex. parts: JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def name_of(key: str) -> str:
    return f"{key[:2]}/{key}{SUFFIX}"


def key_of(name: str) -> str | None:
    """None for a name that this program gives to no entry."""
    key = name.rpartition("/")[2].removesuffix(SUFFIX)
    return key if KEY.match(key) and name == name_of(key) else None


class FeatureCache:
    """Feature sequences by key, in files ROOT/ab/abcdef....safetensors, or packed into shards.

    root: a folder, or a URL (see `open_storage`). `damaged` names the entries that were read, found
    damaged and removed. What is there and cannot be read is left alone, and UnreadableEntryError
    says why. Where a store does not answer, or has vanished, every verb raises CacheError.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = root
        self.storage = open_storage(root)
        self.packs = Packs(self.storage)
        self.damaged: list[str] = []

    def path_of(self, key: str) -> Path:
        """The file of an entry in a folder."""
        assert isinstance(self.storage, Folder), f"{self.root} is no folder"
        return self.storage.root / name_of(key)

    def get(self, key: str) -> ClipFeatures | None:
        """The entry, or None if there is none. A damaged one is removed and noted, never given."""
        packed = self._find_packed(key)
        clip = self._get_packed(packed) if packed else None
        if clip is None:  # a packed entry that was damaged has a file once it is extracted again
            clip = self._get_file(name_of(key))
        if clip is None and (later := self._find_packed(key, again=True)):
            clip = self._get_packed(later)  # another process has packed the file meanwhile
        return clip

    def has(self, key: str) -> bool:
        """Is there a whole entry? A damaged one is removed and noted."""
        packed = self._find_packed(key)
        if packed and self._get_packed(packed) is not None:
            return True
        if self._has_file(name_of(key)):
            return True
        later = self._find_packed(key, again=True)
        return later is not None and self._get_packed(later) is not None

    def _find_packed(self, key: str, again: bool = False) -> PackedEntry | None:
        with telling_why(self.storage.label(INDEX)):
            return self.packs.find_again(key) if again else self.packs.find(key)

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
        self.storage.write(name_of(key), pieces)

    def exists(self) -> bool:
        """Is its folder there? An object store has none."""
        return not isinstance(self.storage, Folder) or self.storage.root.is_dir()

    def reading_order(self, keys: Sequence[str]) -> list[int]:
        """Which of the keys to read first: those in shards, each shard from its begin to its end;
        then those in files of their own, as given.
        """
        index = self.packs.index
        places = [index.place_of(key) for key in keys]
        return sorted(range(len(keys)), key=lambda number: places[number] or (len(index.names), 0))

    def names(self) -> Iterator[str]:
        """The names of all entries in files of their own, whole or not."""
        return (name for name in self.storage.names(SUFFIX) if name.index("/") == 2)

    def stats(self) -> dict[str, int]:
        """Counts of entries, bytes and leftovers; packed: how many of the entries are in shards.

        One that is in a shard and has a file is one entry; the bytes are those of both.
        """
        index = self.packs.index
        entries, size = len(index), int(index.columns["sizes"].sum())
        for name in self.names():
            if status := self._status(name):
                size += status.size
                key = key_of(name)
                entries += key is None or index.find(key) is None
        return {
            "entries": entries,
            "bytes": size,
            "leftovers": sum(1 for _ in self.storage.leftovers()),
            "packed": len(index),
        }

    def verify(self) -> list[str]:
        """Read every entry whole; what is wrong with those that are damaged or cannot be read, in
        words.
        """
        index_problems = self.packs.problems()
        problems = list(index_problems)
        for name in self.names():
            try:
                self._check_file(name)
            except FileNotFoundError:  # another process removed it meanwhile
                continue
            except (DamagedEntryError, UnreadableEntryError) as error:
                problems.append(str(error))
        for entry, data in [] if index_problems else self.packs.entries(problems):
            try:
                parse_entry(self.packs.checked(entry, data), self.packs.label(entry))
            except DamagedEntryError as error:
                problems.append(str(error))
        return problems

    def prune(self, older_than_s: float | None = None) -> dict[str, int]:
        """Remove damaged entries, leftovers, and entries unused for older_than_s seconds.

        Counts of what was removed; unreadable: what the machine did not give, and which stays. A
        leftover is a half-written file that no running process holds, and a shard that no index
        names. Packed entries stay: a shard is never changed.
        """
        removed = {"damaged": 0, "old": 0, "leftovers": 0, "unreadable": 0}
        for name in self.storage.leftovers():
            if self.storage.is_abandoned(name):
                self.storage.remove(name)
                removed["leftovers"] += 1
        removed["leftovers"] += self._prune_shards()
        for name in self.names():
            kind = "old" if self._is_older(name, older_than_s) else self._remove_damaged(name)
            if kind == "old":
                self.storage.remove(name)
            if kind:
                removed[kind] += 1
        return removed

    def _prune_shards(self) -> int:
        """Remove shards that no index names, unless a process packs now."""
        removed = 0
        young_s = YOUNG_S if self.storage.has_locks else UNLOCKED_YOUNG_S
        if not any(self.packs.unnamed()):
            return removed
        try:
            with self.storage.locked(LOCK):
                self.packs.latest()
                for name in self.packs.unnamed():
                    if self._is_older(name, young_s):  # of another machine, whose lock is not seen
                        self.storage.remove(name)
                        removed += 1
        except (CacheError, OSError):  # somebody packs, or nothing may be written here
            return removed
        return removed

    def _is_older(self, name: str, age_s: float | None) -> bool:
        status = self._status(name)
        return age_s is not None and status is not None and time.time() - status.used_s > age_s

    def _status(self, name: str) -> Status | None:
        """None where another process removed the file meanwhile."""
        try:
            return self.storage.status(name)
        except FileNotFoundError:
            return None

    def _get_packed(self, entry: PackedEntry) -> ClipFeatures | None:
        label = self.packs.label(entry)
        try:
            with telling_why(label):
                return parse_entry(self.packs.read(entry), label)
        except DamagedEntryError as error:
            self.damaged.append(str(error))
            return None

    def _get_file(self, name: str) -> ClipFeatures | None:
        return self._whole(name, self._read_file)

    def _has_file(self, name: str) -> bool:
        return self._whole(name, self._check_file) is True

    def _read_file(self, name: str) -> ClipFeatures:
        label = self.storage.label(name)
        with telling_why(label):
            return parse_entry(self.storage.read(name), label)

    def _check_file(self, name: str) -> bool:
        label = self.storage.label(name)
        with telling_why(label), self.storage.open(name) as file:
            check_open_entry(file, label)
        return True

    def _whole(self, name: str, look: Callable[[str], Looked]) -> Looked | None:
        """What look gives of a whole entry. A damaged one is removed, noted, and as if absent.

        It is looked at twice: another process may just have replaced it by a whole one, and what is
        removed must be what was found damaged. Raises UnreadableEntryError: that file stays.
        """
        try:
            try:
                return look(name)
            except DamagedEntryError:
                version = self.storage.version(name)
                return look(name)
        except FileNotFoundError:
            self.storage.check_there()
        except DamagedEntryError as error:
            self.damaged.append(str(error))
            self.storage.remove(name, version)
        return None

    def _remove_damaged(self, name: str) -> str:
        """`damaged`, `unreadable`, or '' for one that is whole or gone."""
        before = len(self.damaged)
        try:
            self._has_file(name)
        except UnreadableEntryError:
            return "unreadable"
        found = len(self.damaged) > before
        del self.damaged[before:]
        return "damaged" if found else ""


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
