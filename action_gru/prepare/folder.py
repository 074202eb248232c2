"""A folder per class: the layout for own data. Guesses nothing from file names."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

from action_gru.errors import DataError
from action_gru.prepare.rows import Row
from action_gru.prepare.tree import (
    VIDEO_SUFFIXES,
    is_hidden,
    is_video,
    require_split,
    walk_files,
)

# Where every top folder bears one of these names, classes lie one level deeper.
_SPLIT_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def build_folder(root: Path, split: int = 1) -> list[Row]:
    """Rows of `<class>/**/<video>` or `{train,val,test}/<class>/**/<video>`; no groups.

    Raises DataError for an empty class, a video outside of any class, or fewer than two classes.
    """
    require_split("folder", split, 1)
    files = list(walk_files(root))
    tops = _folders(root)
    if tops and all(name in _SPLIT_FOLDERS for name in tops):
        rows = [row for name in tops for row in _classes(root, files, (name,))]
    else:
        rows = _classes(root, files, ())
    labels = sorted({row.label for row in rows})
    if len(labels) < 2:
        raise DataError(
            f"{root}: holds {len(labels)} class folders ({', '.join(labels) or 'none'}) and at "
            "least 2 are needed; put the videos of each class into a folder of its own"
        )
    return rows


def _folders(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)
    )


def _classes(root: Path, files: list[PurePosixPath], above: tuple[str, ...]) -> list[Row]:
    """Rows of the class folders in root/above."""
    depth = len(above)
    videos: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in files:
        if path.parts[:depth] == above and is_video(path):
            videos[path.parts[depth]].append(path)
    labels = _folders(root.joinpath(*above))
    _refuse_strays(root, videos, labels)
    for label in labels:
        if not videos[label]:
            raise DataError(
                f"{root.joinpath(*above, label)}: the class has no video (known endings: "
                f"{' '.join(sorted(VIDEO_SUFFIXES))}); add clips or remove the folder"
            )
    split = _SPLIT_FOLDERS[above[0]] if above else None
    return [Row(str(path), label, split=split) for label in labels for path in videos[label]]


def _refuse_strays(root: Path, videos: dict[str, list[PurePosixPath]], labels: list[str]) -> None:
    strays = sorted(name for name in videos if name not in labels)
    if strays:
        raise DataError(
            f"{root}: {len(strays)} videos lie outside of any class folder (first: {strays[0]}); "
            "move each into the folder of its class"
        )
