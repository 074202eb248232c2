"""What the columns and cells of a manifest mean: paths below the root, names, splits, bounds.

Bounds are seconds, a clock's time, or frame numbers, which become seconds by the instants of the
file's own frames, never by the rate in its header. Cells raise ValueError.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import DataError, VideoError
from action_gru.core.paths import composed, on_disk, split_of
from action_gru.core.progress import Reporter
from action_gru.timeline.segments import seconds_of

SECONDS, FRAMES = ("start_s", "end_s"), ("start_frame", "end_frame")
COLUMNS = ("path", "label", "group", "split", *SECONDS, *FRAMES, "timeline", "frame_rate")
_UNCLEAR = re.compile(r"(start|end)(_?(time|sec|seconds|ms))?")
MOST_PATH_CHARACTERS, MOST_NAME_CHARACTERS = 3000, 255
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u2007\u202f", " "))
MOST_DIGITS = 18  # of a frame's number
NOMINAL_STEP_S = 0.04  # between frames where there are too few to tell


def must_be_named(relative: str, label: str) -> str:
    """What is wrong with a row that lacks a path or a label."""
    return (
        f"path and label must not be empty, got '{relative}' and '{label}'; a row without a label "
        "needs data.task=frames (watched in full) or data.labels=many (none of the classes)"
    )


def check_columns(names: Sequence[str], manifest: Path) -> None:
    """A column of the user's own is fine; one that is nearly one of ours is a typing error."""
    lacking = [name for name in ("path", "label") if name not in names]
    if lacking:
        raise DataError(
            f"{manifest}: no column {' and no '.join(lacking)}; the first line "
            f"must be path,label[,group][,split][,start_s,end_s], got {','.join(names)}"
        )
    for name in (name for name in names if name not in COLUMNS):
        bound = _UNCLEAR.fullmatch(name)
        close = get_close_matches(name, SECONDS if bound else COLUMNS, n=1, cutoff=0.75)
        mend = f"did you mean '{close[0]}'?" if close else ""
        if bound is not None:  # seconds, milliseconds or frames: a guess would cut other clips
            mend = f"seconds or mm:ss go into '{bound[1]}_s', frame numbers into '{bound[1]}_frame'"
        if close:
            raise DataError(f"{manifest}: unknown column '{name}'; {mend}")
        if bound is not None and not {f"{bound[1]}_s", f"{bound[1]}_frame"} & set(names):
            warn_once(f"{manifest}: the column '{name}' is not read; {mend}")


@lru_cache(maxsize=256)
def warn_once(text: str) -> None:
    """A command reads its manifest more than once."""
    Reporter().warn(text)


def name_of(text: str) -> str:
    """A class or a group in NFC, with the spaces that spreadsheets write as usual ones."""
    return composed(text).translate(_SPACES).strip()


def split_name(text: str) -> str:
    """train, val, test or empty. Raises ValueError for anything else."""
    split = split_of(text)
    if text and not split:
        raise ValueError(f"split is train, val, test or empty, got '{text}'")
    return split


def inside(
    root: Path, relative: str, follow_links: bool = False, real: dict[str, str] | None = None
) -> Path:
    """The path under root. Raises ValueError if it leads out of it, by `..` or by a link.

    follow_links: a link may. real: where the folders of a manifest's rows so far truly lie, each
    followed once.
    """
    given = Path(relative)
    if given.is_absolute() or "\0" in relative or ".." in given.parts:
        raise ValueError(f"path must be relative to the root and stay in it, got '{relative}'")
    longest = max(map(len, given.parts), default=0)
    if len(relative) > MOST_PATH_CHARACTERS or longest > MOST_NAME_CHARACTERS:
        raise ValueError(f"path is longer than a file's can be, got '{relative[:40]}...'")
    path, real = on_disk(root, relative), {} if real is None else real
    try:
        home = _real_folder(root, real)
        is_plain = bool(given.parts) and not path.is_symlink()
        found = f"{_real_folder(path.parent, real)}{path.name}" if is_plain else str(path.resolve())
    except (OSError, RuntimeError) as error:  # Python below 3.13 calls a loop a RuntimeError
        raise ValueError(f"path '{relative}' cannot be followed ({error})") from error
    if not follow_links and not f"{found}{os.sep}".startswith(home):
        raise ValueError(
            f"path '{relative}' is a link out of {root}; copy the file into it, or write "
            "data.follow_links: true"
        )
    return path


def _real_folder(path: Path, real: dict[str, str]) -> str:
    """Where a folder truly lies, with a separator at the end; asks the disk once."""
    if (name := str(path)) not in real:
        real[name] = f"{str(path.resolve()).rstrip(os.sep)}{os.sep}"
    return real[name]


def bounds_of(
    row: dict[str, str], path: Path, frame_rate: float | None = None
) -> tuple[float | None, float | None]:
    """(start_s, end_s) of a row of the file at path, seconds; None reaches the file's end.

    The file is read only where the row has frame numbers. frame_rate: of a folder of frames. Raises
    ValueError for bounds that cannot be used.
    """
    start_s, end_s = (
        _bound(row, in_seconds, in_frames, path, frame_rate)
        for in_seconds, in_frames in zip(SECONDS, FRAMES, strict=True)
    )
    if end_s is not None and end_s <= (start_s or 0.0):
        raise ValueError(f"end_s must lie after start_s, got {start_s} to {end_s}")
    return start_s, end_s


def _bound(
    row: dict[str, str], in_seconds: str, in_frames: str, path: Path, frame_rate: float | None
) -> float | None:
    if not row.get(in_frames):
        return seconds_of(row[in_seconds], in_seconds) if row.get(in_seconds) else None
    if row.get(in_seconds):
        raise ValueError(f"{in_seconds} and {in_frames} are both given; leave one of them empty")
    number = frame_number(row[in_frames], in_frames)
    return time_of_frame(number, frame_instants(path, frame_rate))


def frame_number(text: str, column: str) -> int:
    """'12' -> 12, and '12.0' as spreadsheets write it. Raises ValueError for anything else."""
    whole = text.removesuffix(".0").removesuffix(",0")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= MOST_DIGITS):
        raise ValueError(f"{column} is a frame's number, the first frame's is 0, got '{text[:40]}'")
    return int(whole)


def time_of_frame(number: int, times_s: NDArray[np.float64]) -> float:
    """The instant of a frame, seconds. times_s: (T,) of all frames of its file.

    Behind the last frame the median step between frames goes on, so that the file's number of
    frames is the end of the last one.
    """
    if number < len(times_s):
        return float(times_s[number])
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else NOMINAL_STEP_S
    last_s = float(times_s[-1]) if len(times_s) else -step_s
    return last_s + (number - len(times_s) + 1) * step_s


def frame_clock(path: Path, frame_rate: float | None = None) -> Callable[[float], float]:
    """The instant of a frame of a video by its number, seconds; of number infinity the end.

    The video is read when the first one is asked for.
    """

    def time_of(number: float) -> float:
        times_s = frame_instants(path, frame_rate)
        return time_of_frame(int(number) if number < math.inf else len(times_s), times_s)

    return time_of


def frame_instants(path: Path, frame_rate: float | None = None) -> NDArray[np.float64]:
    """The instant of each frame of a video, seconds (T,); none of one that cannot be read."""
    try:
        found = path.stat()
    except OSError:  # missing: extraction quarantines its clips, whatever their bounds
        return np.empty(0)
    return _read_instants(path, found.st_mtime_ns, found.st_size, frame_rate)


@lru_cache(maxsize=4096)
def _read_instants(
    path: Path, mtime_ns: int, size: int, frame_rate: float | None
) -> NDArray[np.float64]:
    """Decodes the file, without converting its frames: packets alone do not tell which frames a
    decoder gives. mtime_ns, size: of the file, so that a changed one is read again.
    """
    from action_gru.video import DecodeLimits
    from action_gru.video.file import open_file

    times_s = []
    try:
        reader = open_file(path, None, DecodeLimits(), frame_rate)
        try:
            time_s: float | None = reader.info.first_s
            while time_s is not None:
                times_s.append(time_s)
                time_s = reader.grab()
        finally:
            reader.close()
    except VideoError:  # extraction says what is wrong with it, and quarantines its clips
        pass
    return np.array(times_s)
