"""The cache: entries by key, safe under several processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from action_gru.core.errors import CacheError
from action_gru.features.entry import (
    SUFFIX,
    ClipFeatures,
    DamagedEntryError,
    UnreadableEntryError,
    entry_pieces,
    key_of,
    name_of,
    naming_refusals,
    parse_entry,
    read_entry,
)
from action_gru.features.packs import INDEX, LOCK, PackedEntry, Packs
from action_gru.features.storage import Folder, open_storage


class FeatureCache:
    """Feature sequences by key, in files ROOT/ab/abcdef....safetensors, or packed into shards.

    root: a folder, or a URL (see `open_storage`). `damaged` names the entries that were read, found
    damaged and removed. An entry that cannot be read is left alone, and UnreadableEntryError says
    why. Where a store does not answer, or has vanished, every method raises CacheError.
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
        return self._find(key, keep=True)[1]

    def has(self, key: str) -> bool:
        """Is there a whole entry? A damaged one is removed and noted."""
        return self._find(key, keep=False)[0]

    def _find(self, key: str, keep: bool) -> tuple[bool, ClipFeatures | None]:
        """Is it there, and whole; the entry itself where it is packed, or if keep."""
        clip = self._get_packed(key, self.packs.find)
        if clip is None:  # a packed entry that was damaged has a file once it is extracted again
            is_whole, clip = self._whole(name_of(key), keep)
            if is_whole:
                return True, clip
            # Another process may have packed the file meanwhile.
            clip = self._get_packed(key, self.packs.find_again)
        return clip is not None, clip

    def _get_packed(
        self, key: str, find: Callable[[str], PackedEntry | None]
    ) -> ClipFeatures | None:
        try:
            with naming_refusals(self.storage.label(INDEX)):
                entry = find(key)
            if entry is None:
                return None
            label = self.packs.label(entry)
            with naming_refusals(label):
                return parse_entry(self.packs.read(entry), label)
        except DamagedEntryError as error:
            self.damaged.append(str(error))
            return None

    def put(self, key: str, clip: ClipFeatures) -> None:
        """Keep an entry. Raises CacheError when the disk is full or the folder is not writable."""
        self.storage.write(name_of(key), entry_pieces(clip))

    def exists(self) -> bool:
        """Is its folder there? An object store has none."""
        return not isinstance(self.storage, Folder) or self.storage.root.is_dir()

    def reading_order(self, keys: Sequence[str]) -> list[int]:
        """Which of the keys to read first: those in shards, each shard from its begin to its end;
        then those in files of their own, as given.
        """
        index = self.packs.index
        shards = {name: number for number, name in enumerate(index.names)}
        found = [index.find(key) for key in keys]
        places = [(shards[e.shard], e.offset) if e else (len(shards), 0) for e in found]
        return sorted(range(len(keys)), key=places.__getitem__)

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
            if status := self.storage.status(name):
                size += status.size
                key = key_of(name)
                entries += key is None or index.find(key) is None
        leftovers = sum(1 for _ in self.storage.leftovers())
        return {"entries": entries, "bytes": size, "leftovers": leftovers, "packed": len(index)}

    def verify(self) -> list[str]:
        """Read every entry whole; what is wrong with those that are damaged or cannot be read."""
        problems: list[str] = []
        packs = Packs(self.storage)
        try:
            packed = packs.entries(problems) if packs.index.names else iter(())
        except CacheError as error:
            problems.append(str(error))
            packed = iter(())
        for name in self.names():
            try:
                self._read_file(name, keep=False)
            except FileNotFoundError:  # another process removed it meanwhile
                continue
            except (DamagedEntryError, UnreadableEntryError) as error:
                problems.append(str(error))
        for entry, data in packed:
            try:
                parse_entry(packs.checked(entry, data), packs.label(entry))
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
        before = len(self.damaged)
        for name in self.storage.leftovers(only_abandoned=True):
            self.storage.remove(name)
            removed["leftovers"] += 1
        removed["leftovers"] += self._prune_shards()
        for name in self.names():
            if older_than_s is not None and self._is_older(name, older_than_s):
                self.storage.remove(name)
                removed["old"] += 1
                continue
            try:
                self._whole(name, keep=False)
            except UnreadableEntryError:
                removed["unreadable"] += 1
        removed["damaged"] = len(self.damaged) - before
        del self.damaged[before:]
        return removed

    def _prune_shards(self) -> int:
        """Remove shards that no index names, unless a process packs now."""
        removed = 0
        if not any(self.packs.unnamed()):
            return removed
        try:
            with self.storage.locked(LOCK):
                self.packs.load()
                for name in self.packs.unnamed():
                    if self._is_older(name, self.storage.young_s):
                        self.storage.remove(name)
                        removed += 1
        except (CacheError, OSError):  # another process packs, or nothing may be written here
            return removed
        return removed

    def _is_older(self, name: str, age_s: float) -> bool:
        status = self.storage.status(name)
        return status is not None and time.time() - status.used_s > age_s

    def _read_file(self, name: str, keep: bool) -> ClipFeatures | None:
        label = self.storage.label(name)
        with naming_refusals(label), self.storage.open(name) as file:
            return read_entry(file, label, keep)

    def _whole(self, name: str, keep: bool) -> tuple[bool, ClipFeatures | None]:
        """Is the file there, and whole; its entry if keep. A damaged one is removed and noted.

        It is read twice: another process may just have replaced it by a whole one, and what is
        removed must be what was found damaged. Raises UnreadableEntryError: that file stays.
        """
        try:
            try:
                return True, self._read_file(name, keep)
            except DamagedEntryError:
                before = self.storage.status(name)
                return True, self._read_file(name, keep)
        except FileNotFoundError:
            self.storage.check_there()
        except DamagedEntryError as error:
            self.damaged.append(str(error))
            after = self.storage.status(name)
            if before and after and before.version == after.version:
                self.storage.remove(name)
        return False, None


class MemoryCache:
    """The same for one process: what `classify` fills and forgets."""

    def __init__(self) -> None:
        self.damaged: list[str] = []
        self._clips: dict[str, ClipFeatures] = {}

    def get(self, key: str) -> ClipFeatures | None:
        return self._clips.get(key)

    def has(self, key: str) -> bool:
        return key in self._clips

    def put(self, key: str, clip: ClipFeatures) -> None:
        self._clips[key] = clip
