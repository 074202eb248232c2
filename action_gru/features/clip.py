"""What one clip's extraction is made of: its view keys, its keys, its pictures in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from action_gru.backbone import FeatureSpec
from action_gru.dataset import Clip
from action_gru.features.entry import RowFile, check_finite
from action_gru.features.store import cache_key
from action_gru.video.frame import DECODING_VERSION

# 5 MB at 1280 values: clips of under three minutes, at 12 frames a second, never touch the disk.
MOST_IN_MEMORY = 2048


@dataclass(frozen=True)
class ViewKey:
    """One sequence to extract of a clip: a view, plain or mirrored."""

    view: str
    flipped: bool = False


class Rows:
    """Rows by place, which arrive in nearly their order; a long clip's go to a temporary file."""

    def __init__(self) -> None:
        self._rows: list[NDArray[np.float16] | None] = []
        self._first = 0  # the place of the first row that is still in memory
        self._file: RowFile | None = None

    def expect(self) -> None:
        """One more row will come."""
        self._rows.append(None)

    def put(self, place: int, row: NDArray[np.float16]) -> None:
        """row (D,)."""
        self._rows[place - self._first] = row
        if len(self._rows) >= MOST_IN_MEMORY:
            self._spill()

    def whole(self) -> NDArray[np.float16] | RowFile:
        """All rows (T, D); every expected one must have come."""
        if self._file is not None:
            self._spill()
        assert all(row is not None for row in self._rows)
        if self._file is not None:
            assert not self._rows
            return self._file
        return np.stack([row for row in self._rows if row is not None])

    def close(self) -> None:
        self._rows = []
        if self._file is not None:
            self._file.close()

    def _spill(self) -> None:
        """Write what has come of the rows in memory, up to the first that has not."""
        came: list[NDArray[np.float16]] = []
        for row in self._rows:
            if row is None:
                break
            came.append(row)
        if not came:
            return
        block = np.stack(came)
        check_finite(block)
        self._file = self._file or RowFile()
        self._file.append(block)
        self._first += len(came)
        del self._rows[: len(came)]


@dataclass
class Job:
    """A clip on its way: what its threads have sent and what the backbone has answered."""

    clip: Clip
    content: str
    keys: dict[ViewKey, str]
    missing: list[ViewKey]
    times_s: list[float] = field(default_factory=list)
    rows: dict[ViewKey, Rows] = field(default_factory=dict)
    pending: int = 0  # pictures that are not embedded yet
    frames: int = 0
    slow: bool = False  # its frames come too seldom for the sampling rate
    ended: bool = False  # nothing more will be decoded
    failed: bool = False
    settled: bool = False

    def release(self) -> None:
        """Let go of the features."""
        for rows in self.rows.values():
            rows.close()
        self.rows = {}


def view_keys_of(views: Sequence[str], flip: bool) -> list[ViewKey]:
    """Every view key of a clip: each view, and each view mirrored when flip is set."""
    return [
        ViewKey(view, flipped)
        for flipped in ((False, True) if flip else (False,))
        for view in views
    ]


def clip_key(
    video_sha256: str, clip: Clip, fps: float, view_key: ViewKey, spec: FeatureSpec
) -> str:
    """The cache key of one view of one clip: all that its values depend on."""
    return cache_key(
        {
            "video": video_sha256,
            "bounds_s": [clip.start_s, clip.end_s],
            "fps": fps,
            "flipped": view_key.flipped,
            "decoding": DECODING_VERSION,
            "features": spec.fingerprint,
        }
    )
