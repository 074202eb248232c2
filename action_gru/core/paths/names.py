"""What the names of files and folders say: hidden, a video, a split, how the disk spells them.

Knows nothing of data sets. Opens a file only where its ending has two meanings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

_FILMS = (".avi", ".divx", ".flv", ".f4v", ".gif", ".mkv", ".webm", ".wmv", ".asf", ".wtv", ".nut")
_PHONES = (".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mj2", ".ogv", ".ogm", ".rm", ".rmvb")
_DISCS = (".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".m2p", ".vob", ".vro", ".evo")
_CAMERAS = (".dv", ".mod", ".tod", ".mts", ".m2ts", ".m2t", ".ts", ".tp", ".trp", ".mxf", ".gxf")
_BARE = (".mjpeg", ".mjpg", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf", ".y4m", ".amv")
VIDEO_SUFFIXES = frozenset((*_FILMS, *_PHONES, *_DISCS, *_CAMERAS, *_BARE))

# Of macOS's zip files, of Synology's, Windows' and Linux' disks.
_OF_SYSTEMS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
_HEAD_BYTES, _MOST_GIF_BYTES = 512, 1 << 22
_GIF_PICTURE = re.compile(rb"\x21\xf9\x04.{4}\x00[\x21\x2c]", re.DOTALL)


def _is_no_text(path: Path) -> bool:
    """MPEG's packets hold bytes that no text has; tables and TypeScript are called .ts as well."""
    with path.open("rb") as file:
        return any(byte < 9 for byte in file.read(_HEAD_BYTES))


def _moves(path: Path) -> bool:
    """Whether a GIF has a second picture: the block before each one is found twice."""
    with path.open("rb") as file:
        return len(_GIF_PICTURE.findall(file.read(_MOST_GIF_BYTES))) > 1


_LOOK_INSIDE: dict[str, Callable[[Path], bool]] = {
    ".ts": _is_no_text, ".mts": _is_no_text, ".mod": _is_no_text, ".gif": _moves,
}  # fmt: skip

_SPLIT_FOLDER = re.compile(
    r"[\d _.-]*(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?|dev(?:el(?:opment)?)?)"
    r"|(?P<test>test(?:ing)?|eval(?:uation)?))"
    r"(?:[ _.-]*(?:set|data|split|videos?|clips?|files?))?[\d _.-]*"
)


def is_hidden(name: str) -> bool:
    """Dot files, `._` files among them, and the folders that systems put beside the user's own."""
    return name.startswith(".") or name in _OF_SYSTEMS


def is_video(path: Path) -> bool:
    """Whether a file is called like a video and is no other thing of that ending.

    A file that cannot be opened counts as one, so that its reader tells why.
    """
    suffix = path.suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        return False
    try:
        return not path.is_dir() and (suffix not in _LOOK_INSIDE or _LOOK_INSIDE[suffix](path))
    except OSError:
        return True


def split_of(name: str) -> str:
    """train, val or test, as people write them: `Training`, `2_dev`, `TEST_set`; '' for none."""
    match = _SPLIT_FOLDER.fullmatch(name.strip().casefold())
    return str(match.lastgroup) if match else ""


def composed(text: str) -> str:
    """The text in NFC: macOS writes é as two letters, and both are one name."""
    return unicodedata.normalize("NFC", text)


def with_slashes(root: Path, relative: str) -> str:
    r"""A path written on Windows with its own separators: `walk\a.mp4` -> `walk/a.mp4`.

    A file below root that bears the backslash in its name keeps it. Raises ValueError for a drive.
    """
    if "\\" not in relative or _exists(root / relative):
        return relative
    if PureWindowsPath(relative).drive:
        raise ValueError(f"path must be relative to the root, got '{relative}' of a Windows drive")
    return relative.replace("\\", "/")


def on_disk(root: Path, relative: str) -> Path:
    """root / relative, each part composed (NFC) or decomposed (NFD) as it is found there."""
    path = root / relative
    if relative.isascii() or _exists(path):
        return path
    path = root
    for part in Path(relative).parts:
        forms = (part, composed(part), unicodedata.normalize("NFD", part))
        path /= next((form for form in forms if _exists(path / form)), part)
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # as for a name that is too long
        return False
