"""What an archive may write, and where. Knows nothing of archive formats."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from action_gru.errors import DataError

_MIB = 2**20
_GIB = 2**30
_CHUNK_BYTES = _MIB
# Small archives of text pack a thousandfold; the ratio is asked for only beyond this size.
_RATIO_FREE_BYTES = 16 * _MIB
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Limits:
    """Where unpacking stops; each counts what is written, never what a header claims."""

    total_bytes: int = 64 * _GIB
    file_bytes: int = 8 * _GIB
    entries: int = 200_000
    ratio: float = 200.0  # bytes written for each byte of the archive


class Budget:
    """Counts one unpacking and raises DataError at the first limit it passes."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive = archive
        self._limits = limits
        self._ratio_bytes = max(_RATIO_FREE_BYTES, int(limits.ratio * archive.stat().st_size))
        self._entries = 0
        self._total_bytes = 0

    def inner_path(self, name: str) -> PurePosixPath:
        """Count one entry and give its path, relative; a name that leads outside is refused."""
        self._entries += 1
        self._require(self._entries, self._limits.entries, "entries")
        slashed = name.replace("\\", "/")
        parts = [part for part in slashed.split("/") if part not in ("", ".")]
        if slashed.startswith("/") or ".." in parts or _DRIVE.match(slashed) or "\0" in name:
            raise DataError(
                f"{self.archive}: refused, it holds {name!r}, which leads outside of the target "
                "folder; take the archive from its publisher"
            )
        return PurePosixPath(*parts)

    def refuse(self, name: str, kind: str) -> DataError:
        """The error for an entry that is neither a file nor a folder."""
        return DataError(
            f"{self.archive}: refused, {name!r} is {kind} and only files and folders are unpacked; "
            "take the archive from its publisher"
        )

    def copy(self, stream: IO[bytes], target: Path) -> None:
        """Write the stream to a new file, counting as it goes."""
        target.parent.mkdir(parents=True, exist_ok=True)
        file_bytes = 0
        with target.open("xb") as sink:
            while chunk := stream.read(_CHUNK_BYTES):
                file_bytes += len(chunk)
                self._count(len(chunk), file_bytes)
                sink.write(chunk)

    def survey(self, folder: Path) -> None:
        """Count a folder that another program writes, afresh; links and devices are refused."""
        self._entries = self._total_bytes = 0
        for parent, folders, files in os.walk(folder):
            for name in [*folders, *files]:
                path = Path(parent, name)
                try:
                    self._survey_entry(path.relative_to(folder).as_posix(), path.lstat())
                except FileNotFoundError:  # the program has renamed its temporary file
                    continue

    def _survey_entry(self, name: str, info: os.stat_result) -> None:
        self._entries += 1
        self._require(self._entries, self._limits.entries, "entries")
        if stat.S_ISREG(info.st_mode) and info.st_nlink == 1:
            self._count(info.st_size, info.st_size)
        elif not stat.S_ISDIR(info.st_mode):
            raise self.refuse(name, "a link or a device")

    def _count(self, written: int, file_bytes: int) -> None:
        self._total_bytes += written
        self._require(file_bytes, self._limits.file_bytes, "bytes in one file")
        self._require(self._total_bytes, self._limits.total_bytes, "bytes in all")
        self._require(
            self._total_bytes, self._ratio_bytes, f"bytes ({self._limits.ratio:g} times its size)"
        )

    def _require(self, value: int, limit: int, unit: str) -> None:
        if value > limit:
            raise DataError(
                f"{self.archive}: stopped, it unpacks to more than {limit} {unit}; if you trust "
                "it, unpack it by hand and pass the folder"
            )
