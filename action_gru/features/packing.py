"""Moves entries from files of their own into shards. Knows nothing of look-ups.

Entries of one clip are adjacent, so that reading clip by clip reads each shard once, from its
begin to its end. Clips are ordered by a hash of their names: any stretch of a shard is a sample of
them.

First the shards are written, then the index that names them, then the files are removed: whatever
cuts it short, every entry can still be read, and `prune` takes shards that no index names.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
import uuid
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
ROW = np.dtype([("keys", "u1", KEY_BYTES), *((name, "=i8") for name in COLUMNS)])
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
        packed = np.frombuffer(bytes(packing.rows), ROW)["keys"]
        keys = itertools.chain((key.tobytes().hex() for key in packed), packing.already)
        for key in () if keep else keys:
            cache.storage.remove(name_of(key))
    counts = {"packed": len(packed), "already": len(packing.already)}
    return counts | packing.left_out | {"shards": len(packing.names)}


class _Packing:
    """One run of it. rows: those of the index, 64 bytes each; their shards are numbered by names.

    already: keys whose entries are packed as they are; held: the shards that hold those.
    """

    def __init__(self, cache: FeatureCache, tell: Callable[[str], None]) -> None:
        self.cache, self.storage, self.tell = cache, cache.storage, tell
        self.left_out = {"damaged": 0, "unreadable": 0}
        self.rows, self.names = bytearray(), list[str]()
        self.already, self.held = list[str](), set[str]()

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
            except (DamagedEntryError, UnreadableEntryError) as error:
                is_damaged = isinstance(error, DamagedEntryError)
                self._leave_out("damaged" if is_damaged else "unreadable", str(error))
                continue
            entry = self.cache.packs.find(key)
            if entry and self._lies_there(entry, data):
                self.already.append(key)
                self.held.add(entry.shard)
            else:
                yield key, data

    def _leave_out(self, kind: str, problem: str) -> None:
        self.left_out[kind] += 1
        self.tell(problem)

    def _lies_there(self, entry: PackedEntry, data: bytes) -> bool:
        try:
            return self.cache.packs.read(entry) == data
        except (OSError, DamagedEntryError):  # absent, or not to be read: it is packed anew
            return False

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
        ordered = np.sort(np.frombuffer(bytes(rows), f"S{width}"))
        for row in ordered.view("u1").reshape(-1, width):
            yield row[CLIP_BYTES:].tobytes().hex()

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
            place = (len(self.names), offset, len(data), check_of(data))
            self.rows += struct.pack("=32s4q", bytes.fromhex(key), *place)
            offset += len(data)
            yield data
            if offset >= shard_bytes:
                return

    def merged(self, old: Index) -> Index:
        """Old and new rows by key; of two of one key the new one stays, which was read just now. A
        shard without a row is named no longer, so that `prune` finds it.
        """
        new = np.frombuffer(bytes(self.rows), ROW).copy()
        new["shards"] += len(old.names)
        rows = np.concatenate([new, np.empty(len(old), ROW)])
        for name, values in {"keys": old.keys, **old.columns}.items():
            rows[name][len(new) :] = values
        keys = np.ascontiguousarray(rows["keys"]).view(f"S{KEY_BYTES}")
        rows = rows[np.unique(keys, return_index=True)[1]]  # the first of equal keys: the new one
        columns = {name: np.ascontiguousarray(rows[name]) for name in ("keys", *COLUMNS)}
        used, shards = np.unique(columns["shards"], return_inverse=True)
        columns["shards"] = shards.astype(np.int64, copy=False)
        names = [*old.names, *self.names]
        return Index(columns.pop("keys"), columns, [names[number] for number in used])

    def check_there(self) -> None:
        """Raise CacheError unless the index names the shards of this packing and all are there.

        Without locks, or with one that another machine does not see, another process may have
        pruned or packed meanwhile.
        """
        ours, named = [*self.names, *sorted(self.held)], set(self.cache.packs.index.names)
        gone = [n for n in ours if n not in named or not self.storage.status(f"{FOLDER}/{n}")]
        if gone:
            raise CacheError(
                f"{self.cache.root}: {len(gone)} of {len(ours)} shards of what was packed are gone "
                "or not in the index: another process pruned or packed this cache meanwhile. The "
                "files were left and hold every entry; stop the other process and pack again"
            )
