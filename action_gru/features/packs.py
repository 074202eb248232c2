"""Entries packed into shards, and the index that finds them.

ROOT/shards/ID.shard           entries as they are, back to back
ROOT/shards/index.safetensors  one row an entry, sorted by key: keys (N, 32) uint8,
                               shards, offsets, sizes, checks (N,) int64; the metadata
                               `action_gru` is JSON with `format`, `shards` (their names, by
                               number) and the `sha256` of the columns

A shard is never changed. The index is replaced as a whole, after the shards it names: a reader sees
the old one or the new one. Look-ups are a binary search in the mapped file, so that memory does not
grow with the entries. Knows nothing of single files.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from action_gru.core.errors import CacheError
from action_gru.features.entry import (
    DamagedEntryError,
    UnreadableEntryError,
    naming_refusals,
)
from action_gru.features.storage import Storage

FORMAT = "action_gru.packs.2"
FOLDER = "shards"
INDEX = f"{FOLDER}/index.safetensors"
LOCK = f"{FOLDER}/.lock"  # held by the process that packs
COLUMNS = ("shards", "offsets", "sizes", "checks")
KEY_BYTES = 32
SHARD_NAME = re.compile(r"[0-9a-f]{32}\.shard\Z")


class PackedEntry(NamedTuple):
    """The place of an entry: shard is a file's name, offset and size are bytes.

    check: the first 8 bytes of the SHA-256 of its bytes. An entry does not hold its own key: only
    this detects another whole entry in its place.
    """

    key: str
    shard: str
    offset: int
    size: int
    check: int


class Index:
    """The rows of an index, mapped or in memory.

    keys (N, 32) uint8 sorted; columns: shards, offsets, sizes, checks, each (N,) int64.
    """

    def __init__(
        self, keys: NDArray[np.uint8], columns: dict[str, NDArray[np.int64]], names: Sequence[str]
    ) -> None:
        self.keys, self.columns, self.names = keys, columns, list(names)
        self._flat = keys.reshape(-1)

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, key: str) -> PackedEntry | None:
        """The place of a key's entry, or None."""
        wanted = bytes.fromhex(key)
        row = bisect_left(range(len(self)), wanted, key=self._key_at)
        return self.row(row) if row < len(self) and self._key_at(row) == wanted else None

    def row(self, row: int) -> PackedEntry:
        shard, offset, size, check = (int(self.columns[name][row]) for name in COLUMNS)
        return PackedEntry(self._key_at(row).hex(), self.names[shard], offset, size, check)

    def _key_at(self, row: int) -> bytes:
        return self._flat[row * KEY_BYTES : (row + 1) * KEY_BYTES].tobytes()

    def checksum(self) -> str:
        digest = hashlib.sha256(json.dumps(self.names).encode())
        for part in (self.keys, *(self.columns[name] for name in COLUMNS)):
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        metadata = {"format": FORMAT, "shards": self.names, "sha256": self.checksum()}
        tensors = {"keys": self.keys, **self.columns}
        return bytes(save(tensors, {"action_gru": json.dumps(metadata)}))


EMPTY = Index(
    np.zeros((0, KEY_BYTES), np.uint8), {name: np.zeros(0, np.int64) for name in COLUMNS}, []
)


def read_index(data: memoryview, label: str) -> Index:
    """The index in the bytes of its file, which are not copied. Raises CacheError: a wrong row
    would give the features of another clip.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(bytes(data[8 : 8 + length]))
        metadata = json.loads(header.pop("__metadata__")["action_gru"])
        if metadata["format"] != FORMAT:
            raise ValueError(f"format {metadata['format']!r}, expected {FORMAT!r}")

        def column(name: str, kind: type) -> NDArray[Any]:
            first, end = header[name]["data_offsets"]
            part = data[8 + length + first : 8 + length + end]
            if len(part) != end - first:
                raise ValueError("the file is cut")
            found: NDArray[Any] = np.frombuffer(part, kind).reshape(header[name]["shape"])
            return found

        columns = {name: column(name, np.int64) for name in COLUMNS}
        index = Index(column("keys", np.uint8), columns, metadata["shards"])
        # Where a look-up would step out of the index.
        if index.keys.ndim != 2 or index.keys.shape[1] != KEY_BYTES:
            raise ValueError(f"keys of shape {index.keys.shape}")
        if any(values.shape != (len(index),) for values in columns.values()):
            raise ValueError("its columns differ in length")
        if not all(isinstance(name, str) and SHARD_NAME.match(name) for name in index.names):
            raise ValueError("it names what is no shard")
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CacheError(
            f"{label}: not an index of packed entries ({error}); remove it and the shards beside "
            "it, and extract again"
        ) from error
    if index.checksum() != str(metadata.get("sha256")):
        raise CacheError(
            f"{label}: its checksum does not match its content; bring it back from a copy, or "
            "remove it and the shards beside it, and extract again"
        )
    return index


class Packs:
    """The packed entries of a cache; none until something is packed."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._index: Index | None = None
        self._version: tuple[object, ...] | None = None

    @property
    def index(self) -> Index:
        """The index as it was at the last `load`; read at the first use."""
        if self._index is None:
            self.load()
        assert self._index is not None
        return self._index

    def load(self) -> bool:
        """Read the index if it has changed; has it?"""
        status = self.storage.status(INDEX)
        version = status.version if status else None
        if self._index is not None and version == self._version:
            return False
        view, label = self.storage.view, self.storage.label(INDEX)
        self._index = read_index(view(INDEX), label) if status else EMPTY
        self._version = version
        return True

    def find(self, key: str) -> PackedEntry | None:
        return self.index.find(key)

    def find_again(self, key: str) -> PackedEntry | None:
        """Like `find`, when the index was replaced meanwhile."""
        return self.index.find(key) if self.load() else None

    def read(self, entry: PackedEntry) -> bytes:
        """The bytes of an entry. Raises DamagedEntryError where they are not what was packed."""
        try:
            data = self.storage.read_part(f"{FOLDER}/{entry.shard}", entry.offset, entry.size)
        except FileNotFoundError:
            if later := self.find_again(entry.key):  # packed anew, and the old shard was pruned
                return self.read(later)
            data = b""
        return self.checked(entry, data)

    def checked(self, entry: PackedEntry, data: bytes) -> bytes:
        """The data. Raises DamagedEntryError where it is not what was packed as this entry."""
        if len(data) != entry.size or check_of(data) != entry.check:
            raise DamagedEntryError(f"{self.label(entry)}: not what was packed there")
        return data

    def label(self, entry: PackedEntry) -> str:
        """The place of an entry in words."""
        shard = self.storage.label(f"{FOLDER}/{entry.shard}")
        return f"{shard} at byte {entry.offset} (entry {entry.key})"

    def entries(self, problems: list[str]) -> Iterator[tuple[PackedEntry, bytes]]:
        """Every packed entry with its bytes; each shard is read once.

        problems: takes, in words, which shards are there and cannot be read.
        """
        index = self.index
        order = np.lexsort((index.columns["offsets"], index.columns["shards"]))
        numbers = index.columns["shards"][order]
        for number, shard in enumerate(index.names):
            low, high = np.searchsorted(numbers, [number, number + 1])
            entries, name = [index.row(int(row)) for row in order[low:high]], f"{FOLDER}/{shard}"
            try:
                with naming_refusals(self.storage.label(name)), self.storage.open(name) as file:
                    for entry in entries:
                        file.seek(entry.offset)
                        yield entry, file.read(entry.size)
            except FileNotFoundError:
                yield from ((entry, b"") for entry in entries)
            except UnreadableEntryError as error:
                problems.append(str(error))

    def unnamed(self) -> Iterator[str]:
        """Shards that the index does not name: of a packing that was cut, or replaced entries."""
        named = {f"{FOLDER}/{name}" for name in self.index.names}
        return (name for name in self.storage.names(".shard") if name not in named)


def check_of(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "little", signed=True)
