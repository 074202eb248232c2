"""Files that appear whole or not at all. Knows nothing of what is in them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: Path, data: bytes | Iterable[bytes | memoryview]) -> None:
    """Write beside the place, sync, rename; nothing half-written stays, whatever happens.

    data: all of it, or pieces that are made one after another.

    Safe under several processes: the last one wins. Raises OSError (a full disk, no permission).
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            for piece in [data] if isinstance(data, bytes) else data:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
