"""UCF101, HMDB51 and KTH: the official splits, in trees of the true layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.dataset_trees import hmdb51_tree, kth_tree, make_tree, ucf101_tree, write

from action_gru.core.errors import DataError
from action_gru.prepare import Options, Row, prepare
from action_gru.prepare.benchmarks import build_hmdb51, build_kth, build_ucf101, source_video


def test_ucf101_follows_the_official_lists(tmp_path: Path) -> None:
    rows = build_ucf101(ucf101_tree(tmp_path), 1)
    pushups = "UCF-101/HandstandPushups/v_HandStandPushups"
    assert rows == [
        Row("UCF-101/Archery/v_Archery_g08_c01.avi", "Archery", "g08", "train"),
        Row(f"{pushups}_g25_c01.avi", "HandstandPushups", "g25", "train"),
        Row("UCF-101/Archery/v_Archery_g01_c01.avi", "Archery", "g01", "test"),
        Row(f"{pushups}_g02_c03.avi", "HandstandPushups", "g02", "test"),
    ]


def test_ucf101_numbers_choose_the_lists(tmp_path: Path) -> None:
    rows = build_ucf101(ucf101_tree(tmp_path), 2)
    assert [row.path[-11:] for row in rows if row.split == "test"] == ["g08_c01.avi"]
    with pytest.raises(DataError, match="ucf101 has the splits 1 to 3, got --split 4"):
        prepare("ucf101", tmp_path, options=Options(split=4))


def test_ucf101_counts_and_names_the_missing_clips(tmp_path: Path) -> None:
    root = ucf101_tree(tmp_path)
    (root / "UCF-101/Archery/v_Archery_g01_c01.avi").unlink()
    rows = build_ucf101(root, 1)
    missing = [row.path for row in rows if row.is_missing]
    assert (missing, len(rows)) == (["Archery/v_Archery_g01_c01.avi"], 4)


def test_ucf101_lists_that_contradict_the_class_index_are_refused(tmp_path: Path) -> None:
    root = ucf101_tree(tmp_path)
    write(root / "ucfTrainTestlist/testlist01.txt", "Archery/v_Archery_g01_c01.avi 2")
    with pytest.raises(DataError, match=r"testlist01\.txt:1: got .* agree with classInd\.txt"):
        build_ucf101(root, 1)


def test_hmdb51_marks_become_splits_and_unused_clips_are_left_out(tmp_path: Path) -> None:
    ball = "hmdb51_org/shoot_ball/Oceans11_shoot_ball_f_nm_np1_ba_med_0.avi"
    assert build_hmdb51(hmdb51_tree(tmp_path), 1) == [
        Row("hmdb51_org/eat/Oceans11_eat_u_cm_np1_fr_med_7.avi", "eat", "eat/Oceans11", "train"),
        Row("hmdb51_org/eat/AMADEUS_eat_u_nm_np1_fr_med_5.avi", "eat", "eat/AMADEUS", "test"),
        Row(ball, "shoot_ball", "shoot_ball/Oceans11", "test"),
    ]


@pytest.mark.parametrize(
    ("name", "label", "source"),
    [
        ("April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "brush_hair", "April_09"),
        ("#20_Rhythm_clap_u_nm_np1_fr_goo_2.avi", "clap", "#20_Rhythm"),
        (
            "how_to_do_a_cartwheel_cartwheel_f_cm_np1_ri_med_0.avi",
            "cartwheel",
            "how_to_do_a_cartwheel",
        ),
        ("Pirates_5_wave_h_nm_np1_fr_med_8.avi", "wave", "Pirates_5"),
        (
            "Return_of_the_King_2_ride_horse_f_cm_np6_ba_bad_0.avi",
            "ride_horse",
            "Return_of_the_King_2",
        ),
        ("without_tags.avi", "wave", "without_tags"),
    ],
)
def test_hmdb51_source_is_the_name_without_class_and_tags(
    name: str, label: str, source: str
) -> None:
    assert source_video(name, label) == source


def test_hmdb51_source_divided_within_a_class_is_told_and_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_tree(
        tmp_path,
        "eat/Glory_eat_h_cm_np1_fr_med_8.avi",
        "eat/Glory_eat_h_cm_np1_fr_med_9.avi",
    )
    write(
        root / "eat_test_split1.txt",
        "Glory_eat_h_cm_np1_fr_med_8.avi 1",
        "Glory_eat_h_cm_np1_fr_med_9.avi 2",
    )
    rows = build_hmdb51(root, 1)
    assert [row.group for row in rows] == ["eat/Glory (train)", "eat/Glory (test)"]
    assert "divides 1 source video between its splits (first: eat/Glory)" in capsys.readouterr().err


def test_hmdb51_without_its_lists_says_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unpack test_train_splits\.rar"):
        build_hmdb51(tmp_path, 1)


def test_kth_gives_a_row_for_each_subsequence_at_25_fps(tmp_path: Path) -> None:
    boxing = "boxing/person01_boxing_d1_uncomp.avi"
    jogging = "jogging/person07_jogging_d4_uncomp.avi"
    clapping = "person13_handclapping_d4_uncomp.avi"
    assert build_kth(kth_tree(tmp_path)) == [
        Row(boxing, "boxing", "person01", "val", 0.0, 3.8),
        Row(boxing, "boxing", "person01", "val", 3.8, 7.4),
        Row(jogging, "jogging", "person07", "test", 0.0, 2.56),
        Row(jogging, "jogging", "person07", "test", 10.76, 13.28),
        Row(jogging, "jogging", "person07", "test", 7.72, 10.56),
        Row(clapping, "handclapping", "person13", "train", 0.0, 5.28),
    ]


def test_kth_counts_a_missing_video_that_is_not_marked_missing(tmp_path: Path) -> None:
    root = kth_tree(tmp_path)
    (root / "boxing/person01_boxing_d1_uncomp.avi").unlink()
    missing = [row.path for row in build_kth(root) if row.is_missing]
    assert missing == 2 * ["person01_boxing_d1_uncomp.avi"]


@pytest.mark.parametrize(
    "line", ["person01_boxing_d1 frames 1-95;", "person26_boxing_d1 frames 1-9", "person01_boxing"]
)
def test_kth_lines_that_cannot_be_read_are_named(tmp_path: Path, line: str) -> None:
    write(tmp_path / "00sequences.txt", "", line)
    with pytest.raises(DataError, match=r"00sequences\.txt:2: got 'person"):
        build_kth(tmp_path)


def test_kth_frames_that_run_backwards_are_named(tmp_path: Path) -> None:
    write(tmp_path / "00sequences.txt", "person01_boxing_d1 frames 95-1")
    with pytest.raises(DataError, match="got the frames 95-1"):
        build_kth(tmp_path)


@pytest.mark.parametrize("ending", [".mp4", ".avi.mp4", ".AVI", ".webm", ".mkv"])
@pytest.mark.parametrize(
    ("tree", "build"),
    [(ucf101_tree, build_ucf101), (hmdb51_tree, build_hmdb51), (kth_tree, build_kth)],
)
def test_clips_that_were_encoded_anew_are_found_by_their_stem(
    tmp_path: Path, tree, build, ending: str
) -> None:
    before = build(tree(tmp_path))
    for path in list(tmp_path.rglob("*.avi")):
        path.rename(path.with_suffix(ending))
    after = build(tmp_path)
    assert [row.path for row in after] == [row.path.removesuffix(".avi") + ending for row in before]
    assert [(row.label, row.group, row.split) for row in after] == [
        (row.label, row.group, row.split) for row in before
    ]


def test_the_file_of_the_list_comes_before_one_that_was_encoded_anew(tmp_path: Path) -> None:
    root = ucf101_tree(tmp_path)
    make_tree(root / "UCF-101", "Archery/v_Archery_g01_c01.amv")
    rows = build_ucf101(root, 1)
    assert "UCF-101/Archery/v_Archery_g01_c01.avi" in {row.path for row in rows}


def test_clips_of_the_case_that_were_encoded_anew_are_found(shared_cases: Path) -> None:
    rows = build_ucf101(shared_cases / "F21", 1)
    assert [(row.path, row.split) for row in rows] == [
        ("UCF-101/Archery/v_Archery_g08_c01.mp4", "train"),
        ("UCF-101/YoYo/v_YoYo_g08_c01.mp4", "train"),
        ("UCF-101/Archery/v_Archery_g01_c01.mp4", "test"),
        ("UCF-101/YoYo/v_YoYo_g01_c01.mp4", "test"),
    ]


def test_clips_that_are_folders_of_frames_are_found_by_their_stem(tmp_path: Path) -> None:
    root = ucf101_tree(tmp_path)
    before = [row.path for row in build_ucf101(root, 1)]
    for path in list(root.rglob("*.avi")):
        make_tree(path.with_suffix(""), "image_1.jpg", "image_2.jpg")
        path.unlink()
    after = [row.path for row in build_ucf101(root, 1)]
    assert after == [path.removesuffix(".avi") for path in before]


def test_missing_clips_come_with_what_was_found(tmp_path: Path) -> None:
    root = ucf101_tree(tmp_path)
    for path in list(root.rglob("*.avi")):
        make_tree(path.with_suffix(""), "first.jpg", "last.jpg")
        path.unlink()
    with pytest.raises(
        DataError, match=r"none of the 4 clips .* the files here are \.jpg 8, \.txt 5; unpack"
    ):
        build_ucf101(root, 1)
