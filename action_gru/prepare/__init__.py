"""Turns datasets as they come into a manifest CSV.

Owns which builder makes which dataset's rows; knows nothing of frames, features or models. Paths
in the manifest are relative to PreparedDataset.root.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from action_gru.errors import DataError
from action_gru.paths.names import is_hidden
from action_gru.prepare.archives import unpack_beside, unpack_inside
from action_gru.prepare.fights import build_fights
from action_gru.prepare.folder import build_folder, left_aside
from action_gru.prepare.hmdb51 import build_hmdb51
from action_gru.prepare.kth import build_kth
from action_gru.prepare.rows import Row, clips_per_split, refuse_divided_groups, write_manifest
from action_gru.prepare.ucf101 import build_ucf101

__all__ = ["BUILDERS", "PreparedDataset", "Row", "prepare"]

Builder = Callable[[Path, int], list[Row]]
BUILDERS: dict[str, Builder] = {
    "folder": build_folder,
    "ucf101": build_ucf101,
    "hmdb51": build_hmdb51,
    "kth": build_kth,
    "fights": build_fights,
}
# These are published as several archives, which may lie together in the folder passed.
_IN_SEVERAL_ARCHIVES = {"ucf101", "hmdb51", "kth"}


@dataclass(frozen=True)
class PreparedDataset:
    """What a manifest holds. groups is 0 and splits empty where the dataset has none.

    left_aside: of a folder of own data, the files that are in no row: ending -> how many.
    """

    root: Path
    manifest: Path
    clips: int
    classes: int
    groups: int
    splits: dict[str, int]  # clips in each
    left_aside: dict[str, int]


def prepare(
    builder: str,
    source: Path,
    manifest: Path | None = None,
    *,
    split: int = 1,
    splits: bool | None = None,
    overwrite: bool = False,
) -> PreparedDataset:
    """Write the manifest of a dataset folder or archive; an archive is unpacked beside itself.

    manifest: by default manifest.csv in the dataset's root.
    split picks one of the official splits where a dataset has several. splits: of a folder of own
    data, whether folders called train, val and test are splits or classes; by default splits where
    all are called so, and an error where only some are. Raises DataError for a dataset that is
    incomplete, unsafe or of another layout, and for a manifest that exists and differs, unless
    overwrite.
    """
    if builder not in BUILDERS:
        known = ", ".join([*BUILDERS, "cmapss"])
        raise DataError(f"{builder!r} is no known dataset; choose one of {known}")
    is_own = builder == "folder"
    if splits is not None and not is_own:
        raise DataError(f"{builder} brings its own splits; leave --splits and --no-splits out")
    root = _root(source)
    build = partial(build_folder, splits=splits) if is_own else BUILDERS[builder]
    rows = _rows(builder, build, root, split)
    if not rows:
        raise DataError(f"{root}: {builder} names no clip; pass the dataset whole")
    refuse_divided_groups(rows)
    manifest = manifest or root / "manifest.csv"
    left = left_aside(root, {row.path for row in rows}, manifest) if is_own else {}
    write_manifest(manifest, rows, overwrite=overwrite)
    return PreparedDataset(
        root=root,
        manifest=manifest,
        clips=len(rows),
        classes=len({row.label for row in rows}),
        groups=len({row.group for row in rows if row.group is not None}),
        splits=clips_per_split(rows),
        left_aside=left,
    )


def _root(source: Path) -> Path:
    if source.is_dir():
        return source.resolve()
    if not source.is_file():
        raise DataError(f"{source}: does not exist; pass the dataset's folder or archive")
    return _sole_folder(unpack_beside(source.resolve()))


def _sole_folder(folder: Path) -> Path:
    """The folder an archive is wrapped in, or the folder itself."""
    inside = [path for path in folder.iterdir() if not is_hidden(path.name)]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _rows(builder: str, build: Builder, root: Path, split: int) -> list[Row]:
    try:
        return build(root, split)
    except DataError:
        if builder not in _IN_SEVERAL_ARCHIVES or not unpack_inside(root):
            raise
    return build(root, split)
