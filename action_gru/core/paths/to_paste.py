"""Command lines that a person can paste into a shell. Runs none of them."""

from __future__ import annotations

import glob
import os
import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path

from action_gru.core.paths.names import is_hidden

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def command_line(*words: str | Path) -> str:
    """The words with quotes where the shell needs them."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


def about_pictures(place: Path) -> str | None:
    """That folders of pictures are not read, and the mend; None where place holds no picture."""
    for parent, folders, files in os.walk(place):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        suffixes = Counter(Path(name).suffix for name in files if not is_hidden(name))
        pictures = [suffix for suffix in suffixes if suffix.lower() in PICTURE_SUFFIXES]
        if pictures:
            suffix = max(sorted(pictures), key=suffixes.__getitem__)
            return (
                "it holds pictures, and folders of pictures are not read; make a video of each "
                f"folder, at the rate they were taken: {video_of_pictures(Path(parent), suffix)}"
            )
    return None


def video_of_pictures(folder: Path, suffix: str) -> str:
    """The ffmpeg command that makes `folder.mkv` of a folder's pictures of one ending."""
    folder = folder if folder.name else folder.resolve()
    stems = sorted(p.stem for p in folder.glob(f"*{suffix}") if not is_hidden(p.name))
    # ffmpeg takes a dash for an option, and what stands before a colon for a protocol.
    shown = f"./{folder}" if str(folder).startswith("-") or ":" in str(folder) else str(folder)
    read = _numbered(shown, stems, suffix)
    codec = ("-c:v", "mjpeg", "-q:v", "2")  # takes odd sizes, unlike H.264
    return command_line("ffmpeg", "-framerate", "25", *read, *codec, f"{shown}.mkv")


def _numbered(folder: str, stems: list[str], suffix: str) -> list[str]:
    """How ffmpeg is told the pictures: by running numbers, or else by pattern, sorted by name."""
    matches = [re.fullmatch(r"(.*?)(\d+)", stem) for stem in stems]
    digits = [match[2] for match in matches if match]
    starts = {match[1] for match in matches if match}
    first = min(map(int, digits), default=0)
    running = sorted(map(int, digits)) == list(range(first, first + len(stems)))
    if len(starts) != 1 or not running:
        return ["-pattern_type", "glob", "-i", f"{glob.escape(folder)}/*{suffix}"]
    width = min(map(len, digits))  # 1, 2, ... 10 are unpadded: %01d reads them
    start = f"{folder}/{starts.pop()}".replace("%", "%%")
    return ["-start_number", str(first), "-i", f"{start}%0{width}d{suffix}"]
