"""Prepare: from a folder or an archive to a manifest on disk."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from dataset_trees import hmdb51_tree, kth_tree, make_tree, ucf101_tree, write

from action_gru.errors import DataError
from action_gru.prepare import BUILDERS, Row, prepare


def zip_tree(archive: Path, root: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                file.write(path, f"{inside}{path.relative_to(root).as_posix()}")
    return archive


def test_the_manifest_has_only_the_columns_that_are_filled(tmp_path: Path) -> None:
    make_tree(tmp_path / "own", "hug/a, b.avi", "kick/ö.avi")
    prepare("folder", tmp_path / "own", tmp_path / "own.csv")
    assert (tmp_path / "own.csv").read_bytes() == (
        'path,label\n"hug/a, b.avi",hug\nkick/ö.avi,kick\n'.encode()
    )
    prepare("kth", kth_tree(tmp_path / "kth"), tmp_path / "kth.csv")
    assert (tmp_path / "kth.csv").read_text().splitlines()[:3] == [
        "path,label,group,split,start_s,end_s",
        "boxing/person01_boxing_d1_uncomp.avi,boxing,person01,val,0,3.8",
        "boxing/person01_boxing_d1_uncomp.avi,boxing,person01,val,3.8,7.4",
    ]


def test_the_counts_are_reported(tmp_path: Path) -> None:
    prepared = prepare("ucf101", ucf101_tree(tmp_path / "ucf"), tmp_path / "ucf.csv", split=2)
    assert (prepared.clips, prepared.classes, prepared.groups) == (4, 2, 4)
    assert prepared.splits == {"test": 1, "train": 3}
    assert prepared.root == tmp_path / "ucf"


def test_an_archive_is_unpacked_and_its_wrapping_folder_is_the_root(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree", "hug/a.avi", "kick/b.avi", ".hidden")
    archive = zip_tree(tmp_path / "own.zip", tmp_path / "tree", inside="own-main/")
    for _ in range(2):
        prepared = prepare("folder", archive, tmp_path / "own.csv")
        assert prepared.root == tmp_path / "own/own-main"
    assert (tmp_path / "own.csv").read_text() == "path,label\nhug/a.avi,hug\nkick/b.avi,kick\n"


def test_a_dataset_in_several_archives_is_unpacked_where_it_lies(tmp_path: Path) -> None:
    hmdb51_tree(tmp_path / "tree")
    source = tmp_path / "hmdb"
    source.mkdir()
    zip_tree(source / "test_train_splits.zip", tmp_path / "tree/testTrainMulti_7030_splits")
    classes = tmp_path / "classes"
    classes.mkdir()
    for label in ("eat", "shoot_ball"):
        zip_tree(classes / f"{label}.zip", tmp_path / f"tree/hmdb51_org/{label}", f"{label}/")
    zip_tree(source / "hmdb51_org.zip", classes)
    prepared = prepare("hmdb51", source, tmp_path / "hmdb.csv")
    assert (prepared.clips, prepared.splits) == (3, {"test": 2, "train": 1})
    assert (tmp_path / "hmdb.csv").read_text().splitlines()[1] == (
        "hmdb51_org/eat/eat/Oceans11_eat_u_cm_np1_fr_med_7.avi,eat,eat/Oceans11,train"
    )


def test_a_different_manifest_is_replaced_only_when_asked(tmp_path: Path) -> None:
    root, manifest = make_tree(tmp_path / "own", "hug/a.avi", "kick/b.avi"), tmp_path / "own.csv"
    prepare("folder", root, manifest)
    prepare("folder", root, manifest)  # equal: nothing to refuse
    make_tree(root, "hug/c.avi")
    with pytest.raises(DataError, match=r"exists and differs .* 3 clips .* pass --overwrite"):
        prepare("folder", root, manifest)
    assert manifest.read_text() == "path,label\nhug/a.avi,hug\nkick/b.avi,kick\n"
    prepare("folder", root, manifest, overwrite=True)
    assert manifest.read_text() == "path,label\nhug/a.avi,hug\nhug/c.avi,hug\nkick/b.avi,kick\n"


def test_an_interrupted_write_leaves_the_old_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_tree(tmp_path / "own", "hug/a.avi", "kick/b.avi")
    (tmp_path / "own.csv").write_text("old")

    def interrupt(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare("folder", root, tmp_path / "own.csv", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "own.csv"]
    assert (tmp_path / "own.csv").read_text() == "old"


def test_a_group_in_two_splits_is_refused(tmp_path: Path) -> None:
    root = ucf101_tree(tmp_path / "ucf")
    write(
        root / "ucfTrainTestlist/trainlist01.txt",
        "Archery/v_Archery_g08_c01.avi 1",
        "Archery/v_Archery_g01_c01.avi 1",
    )
    with pytest.raises(DataError, match=r"1 groups stand in more .* \(first: 'g01'\)"):
        prepare("ucf101", root, tmp_path / "ucf.csv")
    assert not (tmp_path / "ucf.csv").exists()


@pytest.mark.parametrize("builder", ["folder", "kth", "fights"])
def test_a_split_number_is_refused_where_there_is_one_split(tmp_path: Path, builder: str) -> None:
    with pytest.raises(DataError, match=f"{builder} has one split, got --split 2"):
        prepare(builder, tmp_path, tmp_path / "out.csv", split=2)


def test_an_unknown_dataset_or_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'ucf' is no known dataset; choose one of folder, ucf101"):
        prepare("ucf", tmp_path, tmp_path / "out.csv")
    with pytest.raises(DataError, match="nowhere: does not exist"):
        prepare("folder", tmp_path / "nowhere", tmp_path / "out.csv")


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_an_empty_folder_is_a_data_error_for_every_builder(
    tmp_path: Path, build: Callable[[Path, int], list[Row]]
) -> None:
    with pytest.raises(DataError):
        build(tmp_path, 1)
