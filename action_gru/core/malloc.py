"""Keeps the memory of one batch for the next, where the C library would give it back to the system.

A network's intermediate results are tens of megabytes. glibc maps a block of that size anew each
time it is wanted, and the system clears every page of it: a quarter of the time of an extraction.
In training the same costs a fifth more memory and wins nothing, so it is switched on for a while.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# From glibc's malloc.h; `man mallopt` says what they mean.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
OF_USER = ("GLIBC_TUNABLES", "LD_PRELOAD")  # and whatever begins with MALLOC_
KEPT = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 1 << 30}
# glibc's own start, and the thresholds to which it comes by itself where blocks are large.
USUAL = {M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 64 << 20}

_lock = threading.Lock()
_within: list[Any] = []  # one for each that is within `keeping_freed_memory`


def use_one_arena(environment: Mapping[str, str] = os.environ) -> bool:
    """Let all threads that are still to start share one arena; was it done?

    Only the main arena grows in place: what `keeping_freed_memory` keeps for another one comes in
    pieces of 64 MB, which are given back. For a program of its own, at its start.
    """
    library = _glibc(environment)
    return library is not None and library.mallopt(M_ARENA_MAX, 1) == 1


@contextmanager
def keeping_freed_memory(environment: Mapping[str, str] = os.environ) -> Iterator[bool]:
    """Freed memory stays with this process until the end, and is given back there; is it so?

    Several threads may be within: the last one to leave gives back. It is not so without glibc, nor
    where the user has chosen an allocator or its settings. The most memory that is used at once is
    no more than else.
    """
    library = _glibc(environment)
    if library is None:
        yield False
        return
    with _lock:
        _within.append(library)
        kept = _set(library, KEPT)
    try:
        yield kept
    finally:
        with _lock:
            _within.pop()
            if not _within:
                _set(library, USUAL)
                library.malloc_trim(0)


def _set(library: Any, settings: Mapping[int, int]) -> bool:
    return all(library.mallopt(name, value) == 1 for name, value in settings.items())


def _glibc(environment: Mapping[str, str]) -> Any:
    if any(name in OF_USER or name.startswith("MALLOC_") for name in environment):
        return None
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version, library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return None
    return library
