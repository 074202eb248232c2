"""A folder per class, the layout for own data."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_trees import make_tree

from action_gru.errors import DataError
from action_gru.prepare import Row, prepare
from action_gru.prepare.folder import build_folder


def test_a_folder_per_class_becomes_rows_without_groups(tmp_path: Path) -> None:
    make_tree(tmp_path, "hug/b.MP4", "hug/a/a.avi", "kick/c.webm", "kick/notes.txt", "kick/.x.avi")
    assert build_folder(tmp_path) == [
        Row("hug/b.MP4", "hug"),
        Row("hug/a/a.avi", "hug"),
        Row("kick/c.webm", "kick"),
    ]


def test_split_folders_above_the_classes_become_the_split(tmp_path: Path) -> None:
    make_tree(tmp_path, "train/hug/a.avi", "train/kick/b.avi", "validation/hug/c.avi")
    assert build_folder(tmp_path) == [
        Row("train/hug/a.avi", "hug", split="train"),
        Row("train/kick/b.avi", "kick", split="train"),
        Row("validation/hug/c.avi", "hug", split="val"),
    ]


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    make_tree(tmp_path, "hug/a.avi", "kick/notes.txt")
    with pytest.raises(DataError, match="kick: the class has no video"):
        build_folder(tmp_path)


def test_a_video_outside_of_the_classes_is_named(tmp_path: Path) -> None:
    make_tree(tmp_path, "hug/a.avi", "kick/b.avi", "stray.avi")
    with pytest.raises(DataError, match=r"1 videos lie outside .* \(first: stray\.avi\)"):
        build_folder(tmp_path)


@pytest.mark.parametrize("names", [[], ["hug/a.avi"]])
def test_fewer_than_two_classes_are_refused(tmp_path: Path, names: list[str]) -> None:
    make_tree(tmp_path, *names)
    with pytest.raises(DataError, match=f"holds {len(names)} class folders"):
        build_folder(tmp_path)


@pytest.mark.parametrize("link", ["kick", "hug/link.avi"])
def test_nothing_is_read_through_a_link(tmp_path: Path, link: str) -> None:
    make_tree(tmp_path / "elsewhere", "c.avi")
    root = make_tree(tmp_path / "root", "hug/a.avi", "walk/b.avi")
    (root / link).symlink_to(tmp_path / "elsewhere" / ("c.avi" if "." in link else ""))
    with pytest.raises(DataError, match="is a link, and nothing is read through links"):
        build_folder(root)


@pytest.mark.parametrize("top", ["", "train/"])
def test_a_class_whose_name_ends_in_spaces_is_refused(tmp_path: Path, top: str) -> None:
    make_tree(tmp_path, f"{top}A/a.avi", f"{top} C /b.avi")
    with pytest.raises(
        DataError, match=r" C /b\.avi' of class ' C ': a space at either end .* rename"
    ):
        prepare("folder", tmp_path)
    assert not (tmp_path / "manifest.csv").exists()
