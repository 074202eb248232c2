"""One file of the cache: how it is written, read and checked.

A safetensors file with `times_s` (T,) float64, `values` (T, D) float16, and the metadata
`action_gru`: JSON with `sha256`, `format`, `frames_decoded` and `provenance`. It is written piece
by piece, so that a long clip need not be in memory; the bytes are those that safetensors writes.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from action_gru.backbone.spec import FRAME_VIEWS
from action_gru.core.errors import ActionGruError, CacheError, DataError

FORMAT = "action_gru.features.1"
METADATA = "action_gru"
SUFFIX = ".safetensors"
KEY = re.compile(r"[0-9a-f]{64}\Z")
CHUNK_ROWS = 2048
# At 1280 values: clips of under three minutes, at 12 frames a second, never touch the disk.
MOST_CLIP_BYTES = 5 << 20
MOST_READ_BYTES = 64 << 20  # half an hour; a longer clip is mapped from a temporary file
MOST_HEADER_BYTES = 1 << 20  # ours are under a thousand; JSON takes many times its size in memory
# What a file that another program made can raise while it is read.
DAMAGE = (AttributeError, LookupError, ValueError, TypeError, OverflowError, RecursionError)

Values = NDArray[np.float16]  # (T, D)


class DamagedEntryError(CacheError):
    """An entry that was read and is not whole; its file may be removed."""


class UnreadableEntryError(CacheError):
    """An entry that exists and cannot be read: its file stays."""

    def __init__(self, label: str, error: OSError | MemoryError) -> None:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        super().__init__(
            f"{label}: a feature entry is there and cannot be read ({reason or 'no memory left'}); "
            "it was left as it is. Mend the permission, the disk or the limit that this names, "
            "and run again"
        )


@contextmanager
def naming_refusals(label: str) -> Iterator[None]:
    """What the machine refuses becomes UnreadableEntryError; an absent file FileNotFoundError."""
    try:
        yield
    except NotADirectoryError as error:
        raise FileNotFoundError(*error.args) from error
    except FileNotFoundError:
        raise
    except (OSError, MemoryError) as error:
        raise UnreadableEntryError(label, error) from error


@dataclass(frozen=True)
class ViewKey:
    """One sequence of a clip: a view, plain or mirrored."""

    view: str
    flipped: bool = False


@dataclass(frozen=True)
class ClipFeatures:
    """values (T, D) float16, times_s (T,) seconds, growing. T >= 1."""

    values: Values
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
        for chunk in _chunks(self.values):
            _check_finite(chunk, self.provenance)


def _chunks(values: Values) -> Iterator[Values]:
    return (values[row : row + CHUNK_ROWS] for row in range(0, len(values), CHUNK_ROWS))


def _check_finite(values: Values, provenance: dict[str, Any]) -> None:
    """In views that are vectors NaN is what was not seen; a network's embedding holds none."""
    may_lack = provenance.get("view") in FRAME_VIEWS
    if np.isinf(values).any() or (not may_lack and np.isnan(values).any()):
        raise CacheError("features hold NaN or infinity; the backbone or its input is damaged")


def cache_key(parts: dict[str, Any]) -> str:
    """Hash of everything a feature sequence depends on, in hex. parts: JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def name_of(key: str) -> str:
    return f"{key[:2]}/{key}{SUFFIX}"


def key_of(name: str) -> str | None:
    """None for a name that this program gives to no entry."""
    key = name.rpartition("/")[2].removesuffix(SUFFIX)
    return key if KEY.match(key) and name == name_of(key) else None


def entry_pieces(clip: ClipFeatures) -> Iterator[bytes | memoryview]:
    """The bytes of an entry, a piece at a time."""
    shape = (int(clip.values.shape[0]), int(clip.values.shape[1]))
    times = np.ascontiguousarray(clip.times_s, dtype=np.float64)
    head = {"frames_decoded": clip.frames_decoded, "provenance": clip.provenance}
    checksum = _checksum(shape, head, _chunks(clip.values), times)
    metadata = {"format": FORMAT, "sha256": checksum, **head}
    yield _header(shape, json.dumps(metadata, sort_keys=True))
    yield times.data.cast("B")
    for chunk in _chunks(clip.values):
        yield np.ascontiguousarray(chunk).data.cast("B")


def parse_entry(data: bytes, label: str) -> ClipFeatures:
    """The bytes of an entry, checked. Raises DamagedEntryError that names the label if damaged."""
    clip = read_entry(io.BytesIO(data), label, keep=True)
    assert clip is not None
    return clip


def read_entry(file: Any, label: str, keep: bool) -> ClipFeatures | None:
    """Like `parse_entry` of an open file; where not keep, only checks it, in little memory."""
    try:
        (count, dim), head = _read_header(file)
        times_s = np.frombuffer(file.read(count * 8), np.float64).copy()
        mend = "free space or set TMPDIR to a folder you may write"
        at_once = keep and 2 * count * dim <= MOST_READ_BYTES
        long = RowBuffer(MOST_READ_BYTES, DataError, mend) if keep and not at_once else None
        values = np.empty((count if at_once else min(count, CHUNK_ROWS), dim), np.float16)

        def chunks() -> Iterator[Values]:
            for first in range(0, count, CHUNK_ROWS):
                chunk = values[first if at_once else 0 :][: min(CHUNK_ROWS, count - first)]
                file.readinto(chunk)
                _check_finite(chunk, head["provenance"])
                if long is not None:
                    long.append(chunk.copy())
                yield chunk

        if head["sha256"] != _checksum((count, dim), head, chunks(), times_s):
            raise CacheError("its checksum does not match its content")
        if long is not None:
            values = long.whole()
        kept = (values, times_s, head["frames_decoded"], head["provenance"])
        return ClipFeatures(*kept) if keep else None
    except (CacheError, *DAMAGE) as error:
        raise DamagedEntryError(f"{label}: not a feature entry ({error})") from error


def _read_header(file: BinaryIO) -> tuple[tuple[int, int], dict[str, Any]]:
    """(T, D) and the metadata. Raises ValueError where the file cannot hold what they say."""
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, MOST_HEADER_BYTES):
        raise ValueError(f"a header of {length} bytes in a file of {size}")
    text = file.read(length)
    header, metadata = json.loads(text), parse_metadata(text)
    count, dim = header["values"]["shape"]
    if text != _header((count, dim), header["__metadata__"][METADATA])[8:]:
        raise ValueError("its header was not written by this program")
    if count < 1 or size != 8 + length + count * 8 + count * dim * 2:
        raise ValueError(f"{size} bytes do not hold {count} rows of {dim} values")
    return (count, dim), metadata


def parse_metadata(header: bytes) -> dict[str, Any]:
    """Our part of the JSON header of an entry. Raises CacheError or one of DAMAGE."""
    document: dict[str, Any] = json.loads(json.loads(header)["__metadata__"][METADATA])
    if document["format"] != FORMAT:
        raise CacheError(f"it has format {document['format']!r}, expected {FORMAT!r}")
    return document


def _header(shape: tuple[int, int], metadata: str) -> bytes:
    """Length and JSON header of a safetensors file, padded so that the values are aligned."""
    count, dim = shape
    end = 8 * count + 2 * count * dim
    document = {
        # One key: safetensors writes several in no fixed order, and a clip must give one file.
        "__metadata__": {METADATA: metadata},
        "times_s": {"dtype": "F64", "shape": [count], "data_offsets": [0, 8 * count]},
        "values": {"dtype": "F16", "shape": [count, dim], "data_offsets": [8 * count, end]},
    }
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _checksum(
    shape: tuple[int, int],
    head: dict[str, Any],
    chunks: Iterable[Values],
    times_s: NDArray[np.float64],
) -> str:
    digest = hashlib.sha256(repr((shape, head["frames_decoded"])).encode())
    digest.update(json.dumps(head["provenance"], sort_keys=True).encode())
    for chunk in chunks:
        digest.update(np.ascontiguousarray(chunk).data)
    digest.update(np.ascontiguousarray(times_s).data)
    return digest.hexdigest()


class RowBuffer:
    """Rows (N, D) one after another, above most_bytes in a temporary file without a name.

    Nothing of the file is left behind. Where there is no room for it `kind` is raised, with mend.
    """

    def __init__(self, most_bytes: int | None, kind: type[ActionGruError], mend: str) -> None:
        self.count = 0
        self._most_bytes, self._kind, self._mend = most_bytes, kind, mend
        self._bytes = 0
        self._kept: list[NDArray[Any]] = []
        self._file: Any = None

    def append(self, rows: NDArray[Any]) -> None:
        self._kept.append(rows)
        self.count += len(rows)
        self._bytes += rows.nbytes
        if self._most_bytes is not None and self._bytes > self._most_bytes:
            self._write()
            self._type, self._shape = rows.dtype, (-1, rows.shape[1])

    def whole(self) -> NDArray[Any]:
        """All rows; those of a file are mapped: the system reads what is accessed."""
        if self._file is None:
            return np.concatenate(self._kept)
        with self._file:  # the map holds on to it by itself
            return np.memmap(self._file, self._type, "r+").reshape(self._shape)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        try:
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 see `close`
            for rows in self._kept:
                self._file.write(np.ascontiguousarray(rows).data)
            self._file.flush()
        except OSError as error:
            raise self._kind(
                f"{tempfile.gettempdir()}: the features do not fit into memory, and cannot be kept "
                f"there ({error.strerror or error}); {self._mend}"
            ) from error
        self._kept.clear()


class Rows:
    """Rows (D,) float16 by place, which arrive in nearly their order."""

    def __init__(self) -> None:
        mend = "free space or set TMPDIR to a folder you may write"
        self._in_order = RowBuffer(MOST_CLIP_BYTES, CacheError, mend)
        self._early: dict[int, Values] = {}
        self.close = self._in_order.close

    def put(self, place: int, row: Values) -> None:
        self._early[place] = row
        while self._in_order.count in self._early:
            self._in_order.append(self._early.pop(self._in_order.count)[None])

    def whole(self, count: int) -> Values:
        """All rows (count, D)."""
        assert self._in_order.count == count
        return self._in_order.whole()
