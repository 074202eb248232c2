"""What a path is: by its name, by the first bytes of its file, and as a user's argument.

A sentence says what a path is where something else is needed, with the mend.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from pathlib import Path, PureWindowsPath

VIDEO_SUFFIXES = frozenset({
    ".avi", ".divx", ".flv", ".f4v", ".gif", ".mkv", ".webm", ".wmv", ".asf", ".wtv", ".nut",
    ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mj2", ".ogv", ".ogm", ".rm", ".rmvb", ".mpg",
    ".mpeg", ".mpe", ".m1v", ".m2v", ".m2p", ".vob", ".vro", ".evo", ".dv", ".mod", ".tod",
    ".mts", ".m2ts", ".m2t", ".ts", ".tp", ".trp", ".mxf", ".gxf", ".mjpeg", ".mjpg", ".h264",
    ".264", ".h265", ".265", ".hevc", ".ivf", ".y4m", ".amv",
})  # fmt: skip
PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")  # of pictures that are read in them
BEST = "best.safetensors"
FINAL = "final.safetensors"  # where there is one it is the model to use
# Of macOS's zip files, of Synology's, Windows' and Linux' disks.
_OF_SYSTEMS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
_SPLIT_FOLDER = re.compile(
    r"[\d _.-]*(?:(?P<train>train(?:ing)?)"
    r"|(?P<val>val(?:id(?:at(?:e|ion))?)?|dev(?:el(?:opment)?)?)"
    r"|(?P<test>test(?:ing)?|eval(?:uation)?))"
    r"(?:[ _.-]*(?:set|data|split|videos?|clips?|files?))?[\d _.-]*"
)
HEAD_BYTES, _MOST_GIF_BYTES = 512, 1 << 22
_GIF_PICTURE = re.compile(rb"\x21\xf9\x04.{4}\x00[\x21\x2c]", re.DOTALL)
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
_ENDINGS = {
    **dict.fromkeys(VIDEO_SUFFIXES, "a video"),
    **dict.fromkeys((".yaml", ".yml"), "a config"),
    **dict.fromkeys((".csv", ".tsv", ".parquet"), "a table"),
    ".safetensors": "a checkpoint",
}
# A path object has one slash left of the two: http:/host. One letter is a drive of Windows.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_HOST = re.compile(r"([^:]+):/+(?:.*@)?([^/?#]*).*", re.DOTALL)
_OVERRIDE = re.compile(r"[a-z_]+(\.[a-z_]+)+=")
_SWAPPED = "were two arguments swapped?"
_RUN = "give the folder that 'action-gru train' printed as its last line"
_PREPARED = "give the CSV that 'action-gru prepare' wrote"
_YAML = "give a YAML file; 'action-gru train CLIPS --save-config mine.yaml' writes one"
# By what is needed: the mend for each kind that was given instead.
_MENDS = {
    "a video": {
        "an address": "download it first, or watch it live with 'action-gru webcam --source'",
        "a folder": "name one file of it, or one folder of frames; 'action-gru classify' takes "
        "folders of clips",
        **dict.fromkeys(("a run folder", "a folder of runs", "a config", "a checkpoint"), _SWAPPED),
        "a table": "name one of the videos that it lists; measured rows are read by 'action-gru "
        "watch', or all at once by 'action-gru evaluate RUN --manifest', with a run of such rows",
    },
    "a run": {
        "an address": "download the whole run folder first and give its path",
        "a folder of runs": "name one of them",
        "a config": "train with it first: 'action-gru train CONFIG' prints the run folder",
        "a table": _RUN,
        "a video": _SWAPPED,
        "a checkpoint": "give the run folder that it lies in",
    },
    "a config": {
        "an address": "download it first and give its path",
        "a run folder": "give the config.yaml in it, or go on with 'action-gru resume RUN'",
        "a folder of runs": "give the config.yaml of one of them",
        **dict.fromkeys(("a folder", "a folder of frames"), _YAML),
        "a table": "write a config, and lay the table over it: data.manifest=CSV",
        "a video": _YAML,
        "a checkpoint": "give the config.yaml beside it",
        "an override": "the config comes first, then a.b=value",
    },
    "a folder of clips, a CSV or a config": {
        "an address": "download it first and give its path",
        "a run folder": "go on with it by 'action-gru resume', or give the config.yaml in it",
        "a folder of runs": "give the config.yaml of one of them",
        **dict.fromkeys(
            ("a folder of frames", "a video"),
            "give the folder that holds a folder of clips for each class: clips/CLASS/*.mp4",
        ),
        "a checkpoint": "give the config.yaml beside it",
        "an override": "the clips come first, then a.b=value",
    },
    "a manifest": {
        "an address": "download it first, with its clips",
        "a folder": "write a manifest of it: 'action-gru prepare folder DIR'",
        **dict.fromkeys(
            ("a run folder", "a folder of runs", "a folder of frames", "a video"), _PREPARED
        ),
        **dict.fromkeys(("a config", "a checkpoint"), _SWAPPED),
    },
}


def is_hidden(name: str) -> bool:
    """Dot files, `._` files among them, and the folders that systems put beside the user's own."""
    return name.startswith(".") or name in _OF_SYSTEMS


def is_video(path: Path) -> bool:
    """Whether a file has a video's ending and is no other kind of file with that ending.

    A file that cannot be opened counts as one, so that its reader raises the reason.
    """
    suffix = path.suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        return False
    try:
        if suffix == ".gif":
            return len(_GIF_PICTURE.findall(_head(path, _MOST_GIF_BYTES))) > 1  # it moves
        if suffix in (".ts", ".mts", ".mod"):
            return any(byte < 9 for byte in _head(path))  # no text: a table, TypeScript, Modula
        return not path.is_dir()
    except IsADirectoryError:
        return False
    except OSError:
        return True


def is_archive(path: Path) -> bool:
    """Whether a file's name is that of an archive that may hold the frames of a clip."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()


def is_frames(path: Path) -> bool:
    """Whether a path is read as pictures: a folder that itself holds some and no video, an archive.

    What their numbers say is found when they are read.
    """
    if not path.is_dir():
        return is_archive(path)
    try:
        names = [one for one in path.iterdir() if not is_hidden(one.name)]
    except OSError:  # what reads it raises the reason
        return False
    return any(one.suffix.lower() in PICTURE_SUFFIXES for one in names) and not any(
        map(is_video, names)
    )


def file_kind(path: Path) -> str | None:
    """What a file is by its first bytes, in words; None for anything else. Raises OSError."""
    head = _head(path)
    return next((kind for magic, kind in _KINDS if magic.match(head)), None)


def _head(path: Path, size: int = HEAD_BYTES) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def diagnose(path: Path) -> str:
    """Why a file does not open as video, in words, with the mend."""
    with path.open("rb") as file:
        head = file.read(512)
    boxes = _mp4_boxes(path) if head[4:8] == b"ftyp" else []
    if not head:
        return "the file is empty (0 bytes); copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer (text), not the video; run 'git lfs pull'"
    if boxes and b"moov" not in boxes:
        return "the MP4 is cut short: its index (moov) is missing; copy or download it again"
    if boxes:
        return "no video stream in it (audio only?); give a file that holds video"
    if not any(byte < 9 for byte in head):
        return "this is text, not a video; check what the path points to"
    return "not a video that can be read (random or damaged bytes); copy it again or re-encode it"


def _mp4_boxes(path: Path) -> list[bytes]:
    """Names of the top-level boxes that are wholly inside the file (ISO/IEC 14496-12, 4.2)."""
    names: list[bytes] = []
    offset, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while offset + 8 <= size and len(names) < 64:
            file.seek(offset)
            short, name, long = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
            length = long if short == 1 else short or size - offset
            if length < 8 or offset + length > size:
                break
            names.append(name)
            offset += length
    return names


def split_of(name: str) -> str:
    """train, val or test, as people write them: `Training`, `2_dev`, `TEST_set`; '' for none."""
    match = _SPLIT_FOLDER.fullmatch(name.strip().casefold())
    return str(match.lastgroup) if match else ""


def composed(text: str) -> str:
    """The text in NFC: macOS writes é as two letters, and both are one name."""
    return unicodedata.normalize("NFC", text)


def with_slashes(root: Path, relative: str) -> str:
    r"""A path written on Windows with its own separators: `walk\a.mp4` -> `walk/a.mp4`.

    A file below root with a backslash in its name keeps it. Raises ValueError for a drive.
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
    except (OSError, ValueError):  # a name that is too long, or no name
        return False


def is_override(text: str) -> bool:
    """Whether a word is `a.b=value`, and no file that is called so."""
    return bool(_OVERRIDE.match(text)) and not _exists(Path(text))


def kind_of(path: Path) -> str | None:
    """In words, by its form, its ending or what the folder holds; None for anything else."""
    if _ADDRESS.match(str(path)):
        return "an address"
    if path.is_dir():
        if (path / BEST).is_file() or (path / "config.yaml").is_file():
            return "a run folder"
        if next(path.glob(f"*/{BEST}"), None):
            return "a folder of runs"
        return "a folder of frames" if is_frames(path) else "a folder"
    if is_override(str(path)):
        return "an override"
    return _ENDINGS.get(path.suffix.lower()) if path.is_file() else None


def instead_of(wanted: str, path: Path) -> str | None:
    """Why a path cannot be what is wanted, with the mend; None if it may be.

    wanted: 'a video', 'a run', 'a config', 'a manifest' or what a training takes.
    """
    found = kind_of(path)
    mend = _MENDS[wanted].get(found or "")
    # Of an address no more than the host is shown: the rest may hold a password.
    shown = _HOST.sub(r"\1://\2", str(path)) if found == "an address" else path
    return f"{shown} is {found}, and {wanted} is needed: {mend}" if mend else None


def missing(what: str, path: Path) -> str:
    """The sentence for a file that is not there."""
    return f"no {what} at {path} (looked up as {path.absolute()})"
