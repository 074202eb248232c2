"""What a file is by its first bytes, whatever its name says. Reads it and runs nothing."""

from __future__ import annotations

import re
from pathlib import Path

HEAD_BYTES = 512
# Protocol 0 has no magic number: it is text whose first line pushes a value or names a function.
_TEXT_PICKLE = re.compile(rb"(\(?[cdlt(]|[(\]}]+[pq])[^\n]{0,200}\n")
_KINDS = (
    (re.compile(rb"\x80[\x02-\x05]"), "a pickle, which can run code when it is read"),
    (re.compile(rb"PK\x03\x04"), "a zip, as torch.save writes, with a pickle inside"),
    (re.compile(rb"\x89HDF"), "an HDF5 file"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer, not the file itself"),
    (re.compile(rb"\s*<(!doctype|html)", re.IGNORECASE), "a web page"),
    (_TEXT_PICKLE, "a pickle, which can run code when it is read"),
)


def file_kind(path: Path) -> str | None:
    """In words, or None for anything else. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return next((kind for magic, kind in _KINDS if magic.match(head)), None)
