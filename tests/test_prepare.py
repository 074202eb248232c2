"""Prepare: from a folder to a manifest on disk."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.dataset_trees import hmdb51_tree, kth_tree, make_tree, ucf101_tree, write

from action_gru.core.errors import DataError
from action_gru.prepare import BUILDERS, Options, prepare


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
    prepared = prepare(
        "ucf101", ucf101_tree(tmp_path / "ucf"), tmp_path / "ucf.csv", Options(split=2)
    )
    assert prepared.counts == {"clips": 4, "classes": 2, "groups": 4}
    assert prepared.splits == {"test": 1, "train": 3}
    assert prepared.root == tmp_path / "ucf"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("it's own.zip", "unzip {archive} -d {folder}"),
        ("own.tar.xz", "tar -xf {archive} -C {folder}"),
        ("OWN.TGZ", "tar -xf {archive} -C {folder}"),
        ("own.rar", "bsdtar -xf {archive} -C {folder}"),
    ],
)
def test_an_archive_is_told_with_the_line_that_unpacks_it(tmp_path: Path, name: str, command: str):
    archive = tmp_path / name
    archive.write_bytes(b"packed")
    with pytest.raises(
        DataError, match=r"is no folder\. Unpack the archive and pass its"
    ) as caught:
        prepare("folder", archive)
    folder = tmp_path / name.partition(".")[0]
    unpack = command.format(archive=shlex.quote(str(archive)), folder=shlex.quote(str(folder)))
    assert str(caught.value).endswith(f": mkdir -p {shlex.quote(str(folder))} && {unpack}")


def test_the_line_unpacks_and_the_folder_is_then_read(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree", "hug/a.avi", "kick/b.avi")
    archive = Path(shutil.make_archive(str(tmp_path / "my own"), "gztar", tmp_path / "tree"))
    with pytest.raises(DataError) as caught:
        prepare("folder", archive)
    command = "mkdir" + str(caught.value).partition(": mkdir")[2]
    subprocess.run(command, shell=True, check=True)
    assert prepare("folder", tmp_path / "my own").counts["clips"] == 2


def test_archives_in_the_folder_are_told_until_they_are_unpacked(tmp_path: Path) -> None:
    make_tree(tmp_path, "hmdb51_org.rar", "test_train_splits.rar")
    said = r"holds archives .*unpack hmdb51_org\.rar, and 1 others likewise: mkdir .*bsdtar -xf"
    with pytest.raises(DataError, match=rf"holds no <class>_test_split1.*{said}"):
        prepare("hmdb51", tmp_path)
    make_tree(tmp_path / "hmdb51_org", "eat.rar")
    make_tree(tmp_path / "test_train_splits")
    with pytest.raises(DataError, match=r"unpack eat\.rar: mkdir -p \S*/hmdb51_org/eat && "):
        prepare("hmdb51", tmp_path)
    hmdb51_tree(tmp_path / "test_train_splits")
    assert prepare("hmdb51", tmp_path).counts["clips"] == 3


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
    with pytest.raises(DataError, match=r"1 group in more than one split \(first: 'g01'\)"):
        prepare("ucf101", root, tmp_path / "ucf.csv")
    assert not (tmp_path / "ucf.csv").exists()


@pytest.mark.parametrize("builder", ["folder", "kth", "fights"])
def test_a_split_number_is_refused_where_there_is_one_split(tmp_path: Path, builder: str) -> None:
    with pytest.raises(DataError, match=f"{builder} has one split, got --split 2"):
        prepare(builder, tmp_path, tmp_path / "out.csv", Options(split=2))


def test_an_unknown_dataset_or_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'ucf' is no known dataset; choose one of folder, ucf101"):
        prepare("ucf", tmp_path, tmp_path / "out.csv")
    with pytest.raises(DataError, match="nowhere: does not exist"):
        prepare("folder", tmp_path / "nowhere", tmp_path / "out.csv")


@pytest.mark.parametrize("dataset", BUILDERS)
def test_an_empty_folder_is_a_data_error_for_every_builder(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(DataError):
        prepare(dataset, tmp_path)
