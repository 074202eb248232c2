"""Moves entries from files of their own into shards. Knows nothing of how they are looked up.

Entries of one clip lie side by side, so that who reads clip by clip reads each shard once, from its
begin to its end. Clips follow each other by a hash of their names: any stretch of a shard is a
sample of them.

First the shards are written, then the index that names them, then the files go: whatever cuts it
short, every entry can still be read, and `prune` takes shards that no index names.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
from array import array
from collections.abc import Callable, Iterator

import numpy as np

from action_gru.core.errors import CacheError
from action_gru.features.entry import (
    BEGIN_BYTES,
    DamagedEntryError,
    UnreadableEntryError,
    begin_bytes,
    clip_of_begin,
    parse_entry,
    telling_why,
)
from action_gru.features.packs import (
    COLUMNS,
    FOLDER,
    INDEX,
    KEY_BYTES,
    Index,
    PackedEntry,
    check_of,
)
from action_gru.features.store import LOCK, FeatureCache, key_of, name_of

SHARD_BYTES = 1 << 30
CLIP_BYTES = 8  # of the hash of a clip's name


class _Table:
    """The rows of an index as they come, 64 bytes each; their shards are counted from 0.

    already: keys whose entries are packed as they are; held: the shards that hold those.
    """

    def __init__(self) -> None:
        self.already, self.held = bytearray(), set[str]()
        self.keys = bytearray()
        self.columns = {name: array("q") for name in COLUMNS}

    def add(self, key: str, *row: int) -> None:
        self.keys += bytes.fromhex(key)
        for name, value in zip(COLUMNS, row, strict=True):
            self.columns[name].append(value)


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
        table, names = _Table(), list[str]()
        counts = {"packed": 0, "already": 0, "damaged": 0, "unreadable": 0, "shards": 0}
        cache.packs.latest()
        files = _to_pack(cache, _whole_files(cache, counts, tell), table)
        for head in files:  # one shard a turn
            name = f"{uuid.uuid4().hex}.shard"
            pieces = _until_full(itertools.chain([head], files), shard_bytes, table, len(names))
            cache.storage.write(f"{FOLDER}/{name}", pieces)
            names.append(name)
        if names:
            index = _merged(cache.packs.latest(), table, names)
            cache.storage.write(INDEX, [index.to_bytes()])
        counts |= {"packed": len(table.columns["sizes"]), "shards": len(names)}
        counts["already"] = len(table.already) // KEY_BYTES
        cache.packs.latest()
        _check_there(cache, [*names, *sorted(table.held)])
        if not keep:
            _remove_files(cache, table.keys + table.already)
    return counts


def _whole_files(
    cache: FeatureCache, counts: dict[str, int], tell: Callable[[str], None]
) -> Iterator[tuple[str, bytes]]:
    """(key, bytes) of every whole entry in a file of its own."""
    for key in _by_clip(cache, counts, tell):
        name = name_of(key)
        label = cache.storage.label(name)
        try:
            with telling_why(label):
                data = cache.storage.read(name)
                parse_entry(data, label)
        except FileNotFoundError:  # another process removed it meanwhile
            continue
        except (DamagedEntryError, UnreadableEntryError) as error:
            counts["damaged" if isinstance(error, DamagedEntryError) else "unreadable"] += 1
            tell(str(error))
            continue
        yield key, data


def _to_pack(
    cache: FeatureCache, files: Iterator[tuple[str, bytes]], table: _Table
) -> Iterator[tuple[str, bytes]]:
    """Those that are not packed already, byte for byte; the table takes note of the others."""
    for key, data in files:
        entry = cache.packs.find(key)
        if entry and _lies_there(cache, entry, data):
            table.already += bytes.fromhex(key)
            table.held.add(entry.shard)
        else:
            yield key, data


def _lies_there(cache: FeatureCache, entry: PackedEntry, data: bytes) -> bool:
    if (entry.size, entry.check) != (len(data), check_of(data)):
        return False
    try:
        return cache.storage.read_part(f"{FOLDER}/{entry.shard}", entry.offset, entry.size) == data
    except OSError:  # gone, or not to be read: it is packed anew
        return False


def _by_clip(
    cache: FeatureCache, counts: dict[str, int], tell: Callable[[str], None]
) -> Iterator[str]:
    """The keys of all entries in files of their own, those of a clip side by side. 40 bytes each
    are held.
    """
    rows = bytearray()
    for name in cache.names():
        key = key_of(name)
        if key is None:
            counts["damaged"] += 1
            tell(f"{cache.storage.label(name)}: not the name of an entry")
            continue
        clip = _clip_of(cache, name).encode(errors="surrogatepass")  # of a path that is no text
        rows += hashlib.sha256(clip).digest()[:CLIP_BYTES] + bytes.fromhex(key)
    width = CLIP_BYTES + KEY_BYTES
    words = np.frombuffer(bytes(rows), ">u8").reshape(-1, width // 8)
    for row in np.lexsort(words.T[::-1]):  # the last key of lexsort counts first
        yield rows[row * width + CLIP_BYTES : (row + 1) * width].hex()


def _clip_of(cache: FeatureCache, name: str) -> str:
    try:
        begin = cache.storage.read_part(name, 0, BEGIN_BYTES)
        if (needed := begin_bytes(begin)) > len(begin):
            begin = cache.storage.read_part(name, 0, needed)
    except OSError:  # gone, or refused: reading it whole will tell
        return ""
    return clip_of_begin(begin)


def _until_full(
    files: Iterator[tuple[str, bytes]], shard_bytes: int, table: _Table, number: int
) -> Iterator[bytes]:
    offset = 0
    for key, data in files:
        table.add(key, number, offset, len(data), check_of(data))
        offset += len(data)
        yield data
        if offset >= shard_bytes:
            return


def _merged(old: Index, table: _Table, names: list[str]) -> Index:
    """Old and new rows by key; of two of one key the new one stays, which was read just now. A
    shard without a row is named no longer, so that `prune` finds it.
    """
    keys = np.frombuffer(bytes(table.keys), np.uint8).reshape(-1, KEY_BYTES)
    keys = np.concatenate([keys, old.keys])
    words = keys.view(">u8")
    # The last key counts first; lexsort is stable, so that the new row of a key precedes the old.
    order = np.lexsort(tuple(words[:, place] for place in (3, 2, 1, 0)))
    keys = keys[order]
    fresh = np.ones(len(keys), bool)
    fresh[1:] = (keys[1:] != keys[:-1]).any(1)
    added = {name: np.asarray(table.columns[name], np.int64) for name in COLUMNS}
    added["shards"] = added["shards"] + len(old.names)
    columns = {
        name: np.concatenate([added[name], old.columns[name]])[order][fresh] for name in COLUMNS
    }
    used, columns["shards"] = np.unique(columns["shards"], return_inverse=True)
    columns["shards"] = columns["shards"].astype(np.int64, copy=False)
    every = [*old.names, *names]
    return Index(np.ascontiguousarray(keys[fresh]), columns, [every[number] for number in used])


def _check_there(cache: FeatureCache, names: list[str]) -> None:
    """Raise CacheError unless the index names these shards and all of them are there.

    Without locks, or with one that another machine does not see, somebody may have pruned or packed
    meanwhile.
    """
    named = set(cache.packs.index.names)
    gone = [n for n in names if n not in named or not cache.storage.version(f"{FOLDER}/{n}")]
    if gone:
        raise CacheError(
            f"{cache.root}: {len(gone)} of {len(names)} shards of what was packed are gone or "
            "not in the index: another process pruned or packed this cache meanwhile. The files "
            "were left and hold every entry; stop the other process and pack again"
        )


def _remove_files(cache: FeatureCache, keys: bytearray) -> None:
    for first in range(0, len(keys), KEY_BYTES):
        key = keys[first : first + KEY_BYTES].hex()
        cache.storage.remove(name_of(key))
