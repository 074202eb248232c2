"""One file of the store: how it is written, read and checked.

A safetensors file with `times_s` (T,) float64, `values` (T, D) float16, and the metadata
`action_gru`: JSON with `sha256`, `format`, `frames_decoded` and `provenance`. It is written piece
by piece, so that a long clip need not be in memory; the bytes are those that safetensors writes.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import CacheError

FORMAT = "action_gru.features.1"
METADATA = "action_gru"
CHUNK_ROWS = 2048
# The header of nearly every entry. A path of 3000 characters that are not ASCII takes more: JSON in
# JSON writes each as 7 or 14 bytes.
BEGIN_BYTES = 1 << 13
# What a file of anyone's making can lead to while it is read.
_DAMAGE = (
    AttributeError,
    LookupError,
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
)
MOST_HEADER_BYTES = 1 << 20  # ours are under a thousand; JSON takes many times its size in memory


class DamagedEntryError(CacheError):
    """An entry that was read and is not whole; its file may go."""


class UnreadableEntryError(CacheError):
    """An entry that is there and that the machine does not give: its file stays."""

    def __init__(self, label: str, error: OSError | MemoryError) -> None:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        super().__init__(
            f"{label}: a feature entry is there and cannot be read ({reason or 'no memory left'}); "
            "it was left as it is. Mend the permission, the disk or the limit that this names, "
            "and run again"
        )


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
        check_finite(self.values)


class RowFile:
    """(T, D) float16 rows in a temporary file that has no name: nothing of it stays, come what may.

    Raises CacheError when the temporary folder is full.
    """

    def __init__(self) -> None:
        self.shape = (0, 0)
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 closed by `close`
        except OSError as error:
            raise _no_space(error) from error

    def append(self, rows: NDArray[np.float16]) -> None:
        """rows (N, D): the next ones."""
        try:
            self._file.write(np.ascontiguousarray(rows).data)
        except OSError as error:
            raise _no_space(error) from error
        self.shape = (self.shape[0] + len(rows), rows.shape[1])

    def chunks(self) -> Iterator[NDArray[np.float16]]:
        """The rows from the first on, (at most CHUNK_ROWS, D) at a time."""
        count, dim = self.shape
        self._file.seek(0)
        for first in range(0, count, CHUNK_ROWS):
            size = min(CHUNK_ROWS, count - first) * dim
            yield np.fromfile(self._file, np.float16, size).reshape(-1, dim)

    def close(self) -> None:
        self._file.close()


def _no_space(error: OSError) -> CacheError:
    return CacheError(
        f"{tempfile.gettempdir()}: the features of a long clip cannot be kept there "
        f"({error.strerror or error}); free space or set TMPDIR to a folder you may write"
    )


def check_finite(values: NDArray[np.float16]) -> None:
    """Raise CacheError where features are no numbers."""
    if not np.isfinite(values).all():
        raise CacheError("features hold NaN or infinity; the backbone or its input is damaged")


def entry_pieces(
    values: NDArray[np.float16] | RowFile,
    times_s: NDArray[np.float64],
    frames_decoded: int,
    provenance: dict[str, Any],
) -> Iterator[bytes | memoryview]:
    """The bytes of an entry, a piece at a time."""
    shape = (int(values.shape[0]), int(values.shape[1]))
    times = np.ascontiguousarray(times_s, dtype=np.float64)
    checksum = _checksum(shape, frames_decoded, provenance, _chunks(values), times)
    metadata = {
        "format": FORMAT,
        "sha256": checksum,
        "frames_decoded": frames_decoded,
        "provenance": provenance,
    }
    yield _header(shape, json.dumps(metadata, sort_keys=True))
    yield times.data.cast("B")
    for chunk in _chunks(values):
        yield np.ascontiguousarray(chunk).data.cast("B")


def read_entry(path: Path) -> ClipFeatures:
    """One file of the store, checked.

    Raises DamagedEntryError, UnreadableEntryError, or FileNotFoundError if it is absent.
    """
    with telling_why(str(path)):
        return parse_entry(path.read_bytes(), str(path))


def parse_entry(data: bytes, label: str) -> ClipFeatures:
    """The bytes of an entry, checked. Raises DamagedEntryError that names the label if damaged."""
    head, times_s, (values,) = _checked(io.BytesIO(data), label)
    try:
        return ClipFeatures(values, times_s, head["frames_decoded"], head["provenance"])
    except CacheError as error:
        raise DamagedEntryError(f"{label}: not a feature entry ({error})") from error


def begin_bytes(begin: bytes) -> int:
    """How many bytes `clip_of_begin` needs, by the first 8 of a file; 0 where no header fits."""
    length = int.from_bytes(begin[:8], "little")
    return 8 + length if length <= MOST_HEADER_BYTES else 0


def clip_of_begin(begin: bytes) -> str:
    """Which clip an entry is of, by the begin of its file; '' where that does not tell.

    Nothing is checked: for where to put an entry, never for what is in it.
    """
    try:
        clip = _metadata(begin[8 : 8 + int.from_bytes(begin[:8], "little")])["provenance"]["clip"]
    except (CacheError, *_DAMAGE):
        return ""
    return str(clip)


@contextmanager
def telling_why(label: str) -> Iterator[None]:
    """What the machine refuses becomes UnreadableEntryError; an absent file FileNotFoundError."""
    try:
        yield
    except NotADirectoryError as error:
        raise FileNotFoundError(*error.args) from error
    except FileNotFoundError:
        raise
    except (OSError, MemoryError) as error:
        raise UnreadableEntryError(label, error) from error


def check_open_entry(file: BinaryIO, label: str) -> None:
    """Like `parse_entry` of an open file, from its begin to its end, a piece at a time."""
    _checked(file, label, CHUNK_ROWS)


def _checked(
    file: Any, label: str, chunk_rows: int | None = None
) -> tuple[dict[str, Any], NDArray[np.float64], list[NDArray[np.float16]]]:
    """(metadata, times_s, [values]) of an entry; no values where it is read by chunk_rows."""
    values: list[NDArray[np.float16]] = []
    try:
        (count, dim), head = _read_header(file)
        times_s = np.frombuffer(file.read(count * 8), np.float64).copy()
        step = chunk_rows or count

        def rows() -> Iterator[NDArray[np.float16]]:
            for first in range(0, count, step):
                chunk = np.empty((min(step, count - first), dim), np.float16)
                file.readinto(chunk)
                if chunk_rows is None:
                    values.append(chunk)  # `ClipFeatures` checks them
                else:
                    check_finite(chunk)
                yield chunk

        shape = (count, dim)
        found = _checksum(shape, head["frames_decoded"], head["provenance"], rows(), times_s)
        is_whole = bool(head["sha256"] == found)
    except (CacheError, *_DAMAGE) as error:
        raise DamagedEntryError(f"{label}: not a feature entry ({error})") from error
    if not is_whole:
        raise DamagedEntryError(f"{label}: its checksum does not match its content")
    return head, times_s, values


def _read_header(file: BinaryIO) -> tuple[tuple[int, int], dict[str, Any]]:
    """(T, D) and the metadata. Raises ValueError where the file cannot hold what they say."""
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, MOST_HEADER_BYTES):
        raise ValueError(f"a header of {length} bytes in a file of {size}")
    text = file.read(length)
    header, metadata = json.loads(text), _metadata(text)
    count, dim = header["values"]["shape"]
    if text != _header((count, dim), header["__metadata__"][METADATA])[8:]:
        raise ValueError("its header was not written by this program")
    if count < 1 or size != 8 + length + count * 8 + count * dim * 2:
        raise ValueError(f"{size} bytes do not hold {count} rows of {dim} values")
    return (count, dim), metadata


def _metadata(header: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.loads(header)["__metadata__"][METADATA])
    if document["format"] != FORMAT:
        raise CacheError(f"it has format {document['format']!r}, expected {FORMAT!r}")
    return document


def _header(shape: tuple[int, int], metadata: str) -> bytes:
    """Length and JSON header of a safetensors file, padded so that the values are aligned."""
    count, dim = shape
    document = {
        # One key: safetensors writes several in no fixed order, and a clip must give one file.
        "__metadata__": {METADATA: metadata},
        "times_s": {"dtype": "F64", "shape": [count], "data_offsets": [0, 8 * count]},
        "values": {
            "dtype": "F16",
            "shape": [count, dim],
            "data_offsets": [8 * count, 8 * count + 2 * count * dim],
        },
    }
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _chunks(values: NDArray[np.float16] | RowFile) -> Iterable[NDArray[np.float16]]:
    return values.chunks() if isinstance(values, RowFile) else [values]


def _checksum(
    shape: tuple[int, ...],
    frames_decoded: int,
    provenance: dict[str, Any],
    chunks: Iterable[NDArray[np.float16]],
    times_s: NDArray[np.float64],
) -> str:
    digest = hashlib.sha256(repr((tuple(shape), frames_decoded)).encode())
    digest.update(json.dumps(provenance, sort_keys=True).encode())
    for chunk in chunks:
        digest.update(np.ascontiguousarray(chunk).data)
    digest.update(np.ascontiguousarray(times_s).data)
    return digest.hexdigest()
