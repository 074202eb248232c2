"""A folder per class: the layout for own data. Guesses nothing from file names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from action_gru.core.errors import DataError
from action_gru.core.numbered_pictures import about_pictures
from action_gru.core.paths import VIDEO_SUFFIXES, composed, is_hidden, is_video, split_of
from action_gru.core.text import counted
from action_gru.prepare.files import clips_in, count, ending, walk_files
from action_gru.prepare.rows import Row


def build_folder(root: Path, splits: bool | None = None, empty: bool = False) -> list[Row]:
    """Rows of `<class>/**/<video>`, `<split>/<class>/**/<video>` or `<class>/<split>/**/<video>`.

    A video is a file, or a folder or archive of frames; a class of one clip may be its folder.
    splits: whether folders called like a split are one; by default where all of them are. empty:
    whether a class may have no video. No groups. Raises DataError for an empty class, a video
    outside of any class, fewer than two classes, and where only some folders are called like
    splits.
    """
    clips = {_place(root, path): path for path in clips_in(root)}
    videos = list(clips)
    depth = _split_depth(root, videos, splits)
    if depth is not None:
        videos = [path for path in videos if split_of(_folder(path, depth))]
    above = 1 if depth == 0 else 0
    if strays := [path for path in videos if len(path.parts) < above + 2]:
        raise DataError(
            f"{root}: {counted(len(strays), 'video')} outside of any class folder (first: "
            f"{strays[0]}); move each into the folder of its class"
            + (f", or pass --no-splits if '{strays[0].parts[0]}' is a class" if above else "")
        )
    if not empty:
        _refuse_empty(root, videos, above)
    labels = sorted({composed(path.parts[above]) for path in videos})
    if len(labels) < 2:
        raise DataError(
            f"{root}: holds {len(labels)} class folders ({', '.join(labels) or 'none'}) and at "
            "least 2 are needed; put the videos of each class into a folder of its own"
            + (f", or pass {root / labels[0]} if its folders are the classes" if labels else "")
        )
    return [
        Row(
            str(clips[path]),
            composed(path.parts[above]),
            split="" if depth is None else split_of(path.parts[depth]),
        )
        for path in videos
    ]


def _place(root: Path, path: PurePosixPath) -> PurePosixPath:
    """Where a clip lies among classes and splits: `wave/*` for the frames of a class's one clip."""
    above = sum(bool(split_of(name)) for name in path.parts[:1])
    is_class = len(path.parts) < above + 2 and (root / path).is_dir()
    return path / "*" if is_class else path


def left_aside(root: Path, taken: frozenset[str], manifest: Path) -> dict[str, int]:
    """Ending -> how many files of root are no clip; hidden ones and the manifest don't count.

    Of videos, which --splits leaves aside, the folder is named too: `unlabeled/*.mp4`.
    """
    manifest = manifest.resolve()
    rest = [
        path
        for path in walk_files(root)
        if not {str(path), str(path.parent)} & taken and root / path != manifest
    ]
    return count(
        f"{path.parts[0]}/*{ending(path)}" if is_video(root / path) else ending(path)
        for path in rest
    )


def _split_depth(root: Path, videos: Sequence[PurePosixPath], splits: bool | None) -> int | None:
    """The level of the split folders: 0 above the classes, 1 below them, None nowhere.

    Raises DataError where that cannot be decided.
    """
    if splits is False:
        return None
    for depth in (0, 1):
        named = {name for path in videos if split_of(name := _folder(path, depth))}
        others = {path.parts[0] for path in videos if not split_of(_folder(path, depth))}
        if named and others and splits is None:
            raise DataError(
                f"{root}: {_listed(named)} would be splits by name, but videos lie elsewhere, too "
                f"({_listed(others)}). Pass --splits to read the splits and leave the others "
                "aside, or --no-splits if each folder is a class, whatever it is called: "
                f"'action-gru prepare folder {root}' takes both"
            )
        if named:
            return depth
    if splits:
        raise DataError(
            f"{root}: no folder with a video is called like a split (train, val, test); rename "
            "the folders, or leave --splits out"
        )
    return None


def _folder(path: PurePosixPath, depth: int) -> str:
    """The folder at a depth above a file; '' if the file is higher up."""
    return path.parts[depth] if len(path.parts) > depth + 1 else ""


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")


def _refuse_empty(root: Path, videos: Sequence[PurePosixPath], above: int) -> None:
    """Raise DataError for a class folder without a video; the error names pictures in it."""
    full = {root.joinpath(*path.parts[: above + 1]) for path in videos}
    parents = sorted({root.joinpath(*path.parts[:above]) for path in videos}) or [root]
    for folder in (inner for parent in parents for inner in sorted(parent.iterdir())):
        if folder.is_dir() and not is_hidden(folder.name) and folder not in full:
            endings = " ".join(sorted(VIDEO_SUFFIXES))
            raise DataError(
                f"{folder}: the class has no video; "
                + (about_pictures(folder) or f"add clips ({endings}) or remove the folder")
            )
