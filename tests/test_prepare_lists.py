"""Data sets whose lists name clips by an id, or give labels their times, as they unpack."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.dataset_trees import (
    ava_tree,
    charades_tree,
    falls_tree,
    jester_tree,
    kinetics_tree,
    make_tree,
    something_tree,
    write,
)

from action_gru.core.errors import DataError
from action_gru.dataset import read_manifest
from action_gru.prepare import BUILDERS, Row, prepare
from action_gru.prepare.id_lists import build_by_id, build_kinetics
from action_gru.prepare.timed_labels import build_ava, build_charades, build_falls


def test_kinetics_takes_clips_that_were_cut_and_cuts_whole_videos(tmp_path: Path) -> None:
    assert build_kinetics(kinetics_tree(tmp_path)) == [
        Row("train/ab_d-fghijk_000010_000020.mp4", "air drumming", "ab_d-fghijk", "train"),
        Row("gone_fghijk_000003_000013", "archery", "gone_fghijk", "train", 3, 13, is_missing=True),
        Row("val/-bcdefghijk.webm", "archery", "-bcdefghijk", "val", 5, 15),
    ]


def test_something_something_has_videos_and_folders_of_pictures(tmp_path: Path) -> None:
    folder = "20bn-something-something-v2"
    pushing = "Pushing something off of something"
    assert build_by_id(something_tree(tmp_path), "something") == [
        Row(f"{folder}/74225.webm", pushing, split="train"),
        Row("9", "Closing something", split="train", is_missing=True),
        Row(f"{folder}/1000", "Closing something", split="val", frame_rate=12.0),
    ]
    write(tmp_path / "labels/labels.json", '{"Closing something": "0"}')
    with pytest.raises(DataError, match=r"entry 1: 'Pushing .*' is no class of labels\.json"):
        build_by_id(tmp_path, "something")
    write(tmp_path / "labels/train.json", "[")
    with pytest.raises(DataError, match=r"train\.json: cannot be read as JSON"):
        build_by_id(tmp_path, "something")


def test_jester_is_folders_of_pictures_at_12_a_second(tmp_path: Path) -> None:
    made = prepare("jester", jester_tree(tmp_path))
    assert made.manifest.read_text().splitlines() == [
        "path,label,split,frame_rate",
        "20bn-jester-v1/1,Swiping Left,train,12",
        "20bn-jester-v1/2,No gesture,val,12",
    ]


def test_ava_is_a_second_around_each_key_frame_with_the_actions_of_all(tmp_path: Path) -> None:
    bending, video = "bend/bow (at the waist); stand", "-5KQ66BBWC4"
    path = f"videos/{video}.mkv"
    assert build_ava(ava_tree(tmp_path)) == [
        Row(path, bending, video, "train", 901.5, 902.5),
        Row(path, "", video, "train", 902.5, 903.5),  # of a class that is in no label map
        Row("goneGONEgon", "stand", "goneGONEgon", "train", 901.5, 902.5, is_missing=True),
        Row("videos/keUOiCcHtoQ.mp4", "", "keUOiCcHtoQ", "val", 901.5, 902.5),
    ]


def test_charades_has_a_row_for_each_action_and_one_for_the_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = build_charades(charades_tree(tmp_path))
    first = "Charades_v1_480/46GP8.mp4"
    assert rows == [
        Row("Charades_v1_480/N11GT.mp4", "", "0KZ7", "test"),
        Row(first, "", "HR43", "train"),
        Row(first, "Watching television", "HR43", "train", 11.9, 21.2),
        Row(first, "Smiling at a book", "HR43", "train", 0.0, 12.6),
        Row("GONE1", "", "HR43", "train", is_missing=True),
        Row("GONE1", "Watching television", "HR43", "train", 0.0, 3.0, is_missing=True),
    ]
    assert "left out 1 label (line 2: c147 5.0 5.0)" in capsys.readouterr().err


def test_falls_are_read_as_they_unpack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = build_falls(falls_tree(tmp_path))
    assert rows == [
        Row("Subject 1/ADL/01.mp4", "Reading; Walking", "Subject 1", "", 0.0, 4.0),
        Row("Subject 1/ADL/01.mp4", "Standing", "Subject 1", "", 6.0, 7.0),
        Row("Subject 1/ADL/02.mp4", "Walking", "Subject 1", "", 0.0, 2.0, is_missing=True),
        Row("Subject 1/Fall/01.mp4", "Falling (SW)", "Subject 1", "", 1.8, 5.0),
        Row("Subject 2/Fall/01.mp4", "Walking", "Subject 2", "", 0.0, 1.8),
    ]
    assert "1 label (line 2, Sitting: the end lies before the start" in capsys.readouterr().err


def test_the_labels_of_the_real_falls_are_all_read(shared_data: Path, tmp_path: Path) -> None:
    for path in (shared_data / "falls" / "annotations").glob("*.csv"):
        number, kind = path.stem.removeprefix("S").split("_")
        write(tmp_path / f"Subject {number}/{kind}.csv", path.read_text())
    make_tree(tmp_path, "Subject 1/Fall/13.mp4")
    rows = build_falls(tmp_path)
    assert [(row.label, row.start_s, row.end_s) for row in rows if not row.is_missing] == [
        ("Falling (BW)", 0.4, 4.0),
        ("Standing", 0.0, 0.3),
    ]
    assert len(rows) > 150


@pytest.mark.parametrize(
    ("dataset", "tree", "rows"),
    [
        ("kinetics", kinetics_tree, 1),
        ("something", something_tree, 1),
        ("ava", ava_tree, 1),
        ("charades", charades_tree, 2),
        ("falls", falls_tree, 1),
    ],
)
def test_missing_files_are_counted_and_listed_and_the_rest_is_used(
    tmp_path: Path, dataset: str, tree, rows: int
) -> None:
    made = prepare(dataset, tree(tmp_path))
    assert len(made.missing) == made.document()["missing"] == 1
    (told,) = made.warnings()
    assert told.startswith(f"left out 1 file not found: {made.missing[0]}; all are listed")
    header, line = (tmp_path / "missing.csv").read_text().splitlines()
    assert header == "path,split,rows"
    assert line.startswith(made.missing[0])
    assert line.endswith(f",{rows}")
    make_tree(tmp_path, f"more/{made.missing[0]}.mkv".replace(".mp4.mkv", ".mkv"))
    if dataset != "falls":  # whose files have a fixed place
        assert not prepare(dataset, tmp_path, overwrite=True).warnings()
        assert not (tmp_path / "missing.csv").exists()


@pytest.mark.parametrize("dataset", ["kinetics", "something", "jester", "ava", "charades", "falls"])
def test_a_dataset_without_any_of_its_files_is_an_error(tmp_path: Path, dataset: str) -> None:
    trees = {"kinetics": kinetics_tree, "something": something_tree, "jester": jester_tree}
    trees |= {"ava": ava_tree, "charades": charades_tree, "falls": falls_tree}
    trees[dataset](tmp_path)
    for path in tmp_path.rglob("*"):
        if path.suffix in (".mp4", ".webm", ".mkv", ".jpg"):
            path.unlink()
    with pytest.raises(DataError, match=r"none of the \d clips? named is here"):
        BUILDERS[dataset](tmp_path, None)  # type: ignore[arg-type]


def test_a_manifest_of_several_labels_says_which_settings_it_needs(tmp_path: Path) -> None:
    made = prepare("falls", falls_tree(tmp_path))
    assert made.counts == {"clips": 4, "classes": 4, "groups": 2}
    assert made.sentences()[-1].endswith("data.task=frames data.labels=many")


def test_the_manifest_of_kinetics_is_read(tmp_path: Path) -> None:
    made = prepare("kinetics", kinetics_tree(tmp_path))
    first, second = read_manifest(made.manifest)
    assert (first.start_s, second.name) == (None, "val/-bcdefghijk.webm[5:15]")
