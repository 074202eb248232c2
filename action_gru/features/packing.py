"""Moves entries from files of their own into shards. Knows nothing of look-ups.

Entries of one clip lie side by side, so that reading clip by clip reads each shard once, from its
begin to its end. Clips are ordered by a hash of their names: any stretch of a shard is a sample of
them.

First the shards are written, then the index that names them, then the files are removed: whatever
cuts it short, every entry can still be read, and `prune` takes shards that no index names.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
from array import array
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from action_gru.core.errors import CacheError
from action_gru.features.entry import (
    DAMAGE,
    MOST_HEADER_BYTES,
    DamagedEntryError,
    UnreadableEntryError,
    key_of,
    name_of,
    naming_refusals,
    parse_entry,
    parse_metadata,
)
from action_gru.features.packs import (
    COLUMNS,
    FOLDER,
    INDEX,
    KEY_BYTES,
    LOCK,
    Index,
    PackedEntry,
    check_of,
)
from action_gru.features.store import FeatureCache

SHARD_BYTES = 1 << 30
CLIP_BYTES = 8  # of the hash of a clip's name
# The header of nearly every entry. A path of 3000 characters that are not ASCII takes more: JSON in
# JSON writes each as 7 or 14 bytes.
BEGIN_BYTES = 1 << 13


def pack_entries(
    cache: FeatureCache,
    shard_bytes: int = SHARD_BYTES,
    keep: bool = False,
    tell: Callable[[str], None] = lambda problem: None,
) -> dict[str, int]:
    """Pack every entry that has a file of its own; counts of packed, already (packed as they
    are), damaged, unreadable, shards.

    shard_bytes: a shard ends after the entry that passes it. keep: leave the files. What is damaged
    or cannot be read is left where it is, and tell is called with what is wrong with it. Two may
    not pack one store at once: in a folder the second is refused, in an object store nobody can
    tell. Raises CacheError, and leaves the files, when a new shard has vanished meanwhile.
    """
    with cache.storage.locked(LOCK):
        cache.packs.load()
        packing = _Packing(cache, tell)
        entries = packing.to_pack()
        for head in entries:  # one shard a turn
            name = f"{uuid.uuid4().hex}.shard"
            pieces = packing.fill(itertools.chain([head], entries), shard_bytes)
            cache.storage.write(f"{FOLDER}/{name}", pieces)
            packing.names.append(name)
        if packing.names:
            cache.packs.load()
            cache.storage.write(INDEX, [packing.merged(cache.packs.index).to_bytes()])
        cache.packs.load()
        packing.check_there()
        packed = packing.keys + packing.already
        for first in range(0, 0 if keep else len(packed), KEY_BYTES):
            cache.storage.remove(name_of(packed[first : first + KEY_BYTES].hex()))
    return packing.counts | {
        "packed": len(packing.keys) // KEY_BYTES,
        "already": len(packing.already) // KEY_BYTES,
        "shards": len(packing.names),
    }


class _Packing:
    """One run of it: the rows of the index as they come, 64 bytes each.

    Their shards are counted from 0, by names. already: keys whose entries are packed as they are;
    held: the shards that hold those.
    """

    def __init__(self, cache: FeatureCache, tell: Callable[[str], None]) -> None:
        self.cache, self.storage, self.tell = cache, cache.storage, tell
        self.counts = dict.fromkeys(("packed", "already", "damaged", "unreadable", "shards"), 0)
        self.keys, self.columns = bytearray(), {name: array("q") for name in COLUMNS}
        self.names: list[str] = []
        self.already, self.held = bytearray(), set[str]()

    def to_pack(self) -> Iterator[tuple[str, bytes]]:
        """(key, bytes) of every whole entry that is not packed already, byte for byte."""
        for key in self._by_clip():
            label = self.storage.label(name_of(key))
            try:
                with naming_refusals(label):
                    data = self.storage.read(name_of(key))
                    parse_entry(data, label)
            except FileNotFoundError:  # another process removed it meanwhile
                continue
            except DamagedEntryError as error:
                self._leave_out("damaged", str(error))
                continue
            except UnreadableEntryError as error:
                self._leave_out("unreadable", str(error))
                continue
            entry = self.cache.packs.find(key)
            if entry and self._lies_there(entry, data):
                self.already += bytes.fromhex(key)
                self.held.add(entry.shard)
            else:
                yield key, data

    def _leave_out(self, kind: str, problem: str) -> None:
        self.counts[kind] += 1
        self.tell(problem)

    def _lies_there(self, entry: PackedEntry, data: bytes) -> bool:
        if (entry.size, entry.check) != (len(data), check_of(data)):
            return False
        try:
            found = self.storage.read_part(f"{FOLDER}/{entry.shard}", entry.offset, entry.size)
        except OSError:  # absent, or not to be read: it is packed anew
            return False
        return found == data

    def _by_clip(self) -> Iterator[str]:
        """The keys of all entries in files of their own, those of a clip side by side.

        40 bytes each are held.
        """
        rows = bytearray()
        for name in self.cache.names():
            key = key_of(name)
            if key is None:
                self._leave_out("damaged", f"{self.storage.label(name)}: not the name of an entry")
                continue
            clip = self._clip_of(name).encode(errors="surrogatepass")  # of a path that is no text
            rows += hashlib.sha256(clip).digest()[:CLIP_BYTES] + bytes.fromhex(key)
        width = CLIP_BYTES + KEY_BYTES
        words = np.frombuffer(bytes(rows), ">u8").reshape(-1, width // 8)
        for row in np.lexsort(words.T[::-1]):  # the last key of lexsort counts first
            yield rows[row * width + CLIP_BYTES : (row + 1) * width].hex()

    def _clip_of(self, name: str) -> str:
        """Which clip an entry is of, by its header; '' where that does not say. Unchecked."""
        try:
            begin = self.storage.read_part(name, 0, BEGIN_BYTES)
            length = int.from_bytes(begin[:8], "little")
            if len(begin) - 8 < length <= MOST_HEADER_BYTES:
                begin = self.storage.read_part(name, 0, 8 + length)
            return str(parse_metadata(begin[8 : 8 + length])["provenance"]["clip"])
        except (OSError, CacheError, *DAMAGE):  # reading it whole will say what is wrong
            return ""

    def fill(self, entries: Iterable[tuple[str, bytes]], shard_bytes: int) -> Iterator[bytes]:
        """The pieces of one shard; a row for each."""
        offset = 0
        for key, data in entries:
            self.keys += bytes.fromhex(key)
            row = (len(self.names), offset, len(data), check_of(data))
            for column, value in zip(self.columns.values(), row, strict=True):
                column.append(value)
            offset += len(data)
            yield data
            if offset >= shard_bytes:
                return

    def merged(self, old: Index) -> Index:
        """Old and new rows by key; of two of one key the new one stays, which was read just now. A
        shard without a row is named no longer, so that `prune` finds it.
        """
        keys = np.frombuffer(bytes(self.keys), np.uint8).reshape(-1, KEY_BYTES)
        keys = np.concatenate([keys, old.keys])
        # The last key counts first; lexsort is stable, so that a new row precedes an old one.
        order = np.lexsort(keys.view(">u8").T[::-1])
        keys = keys[order]
        fresh = np.ones(len(keys), bool)
        fresh[1:] = (keys[1:] != keys[:-1]).any(1)
        added = {name: np.asarray(self.columns[name], np.int64) for name in COLUMNS}
        added["shards"] = added["shards"] + len(old.names)
        columns = {
            name: np.concatenate([added[name], old.columns[name]])[order][fresh] for name in COLUMNS
        }
        used, columns["shards"] = np.unique(columns["shards"], return_inverse=True)
        columns["shards"] = columns["shards"].astype(np.int64, copy=False)
        names = [*old.names, *self.names]
        return Index(np.ascontiguousarray(keys[fresh]), columns, [names[n] for n in used])

    def check_there(self) -> None:
        """Raise CacheError unless the index names the shards of this packing and all are there.

        Without locks, or with one that another machine does not see, another process may have
        pruned or packed meanwhile.
        """
        ours, named = [*self.names, *sorted(self.held)], set(self.cache.packs.index.names)
        gone = [
            name
            for name in ours
            if name not in named or not self.storage.status(f"{FOLDER}/{name}")
        ]
        if gone:
            raise CacheError(
                f"{self.cache.root}: {len(gone)} of {len(ours)} shards of what was packed are gone "
                "or not in the index: another process pruned or packed this cache meanwhile. The "
                "files were left and hold every entry; stop the other process and pack again"
            )
