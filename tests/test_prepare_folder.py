"""A folder per class, the layout for own data."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from helpers.dataset_trees import make_tree

from action_gru.core.errors import DataError
from action_gru.prepare import Options, Row, prepare
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
    with pytest.raises(DataError, match=r"1 video outside .* \(first: stray\.avi\)"):
        build_folder(tmp_path)


@pytest.mark.parametrize("names", [[], ["hug/a.avi"]])
def test_fewer_than_two_classes_are_refused(tmp_path: Path, names: list[str]) -> None:
    make_tree(tmp_path, *names)
    with pytest.raises(DataError, match=f"holds {len(names)} class folders"):
        build_folder(tmp_path)


@pytest.mark.parametrize("link", ["kick", "hug/link.avi"])
def test_nothing_is_read_through_a_link_unless_it_is_asked(tmp_path: Path, link: str) -> None:
    make_tree(tmp_path / "elsewhere", "c.avi")
    root = make_tree(tmp_path / "root", "hug/a.avi", "walk/b.avi")
    (root / link).symlink_to(tmp_path / "elsewhere" / ("c.avi" if "." in link else ""))
    with pytest.raises(DataError, match=r"is a link, and nothing is read .*--follow-links"):
        prepare("folder", root)
    (root / "hug" / "again").symlink_to(root)  # would never end
    made = prepare("folder", root, options=Options(follow_links=True))
    assert (made.counts["clips"], made.settings) == (3, ("data.follow_links=true",))


@pytest.mark.parametrize("top", ["", "train/"])
def test_a_class_whose_name_ends_in_spaces_is_refused(tmp_path: Path, top: str) -> None:
    make_tree(tmp_path, f"{top}A/a.avi", f"{top} C /b.avi")
    with pytest.raises(
        DataError, match=r" C /b\.avi' of class ' C ': a space at either end .* rename"
    ):
        prepare("folder", tmp_path)
    assert not (tmp_path / "manifest.csv").exists()


def splits_of(root: Path, splits: bool | None = None) -> list[tuple[str, str, str]]:
    return [(row.path, row.label, row.split) for row in build_folder(root, splits=splits)]


@pytest.mark.parametrize(
    ("folder", "split"),
    [("Train", "train"), ("TEST", "test"), ("training", "train"), ("validation", "val"),
     ("Val", "val"), ("dev", "val"), ("testing", "test"), ("eval", "test"), ("test_set", "test")],
)  # fmt: skip
def test_split_folders_are_known_in_any_spelling(tmp_path: Path, folder: str, split: str) -> None:
    make_tree(tmp_path, f"{folder}/hug/a.avi", f"{folder}/kick/b.avi")
    assert {(row.label, row.split) for row in build_folder(tmp_path)} == {
        ("hug", split),
        ("kick", split),
    }


def test_capital_split_folders_of_the_case_are_splits(shared_cases: Path) -> None:
    assert splits_of(shared_cases / "F05" / "capital") == [
        ("Test/a/1.mp4", "a", "test"),
        ("Test/b/1.mp4", "b", "test"),
        ("Train/a/1.mp4", "a", "train"),
        ("Train/b/1.mp4", "b", "train"),
    ]


def test_folders_of_which_some_are_called_like_splits_are_a_question(tmp_path: Path) -> None:
    make_tree(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "test/a/1.mp4", "unlabeled/c/1.mp4")
    with pytest.raises(
        DataError,
        match=r"test, train would be splits by name, .* \(unlabeled\)\. Pass --splits .* --no-spl",
    ):
        build_folder(tmp_path)
    assert [label for _, label, _ in splits_of(tmp_path, True)] == ["a", "a", "b"]
    assert splits_of(tmp_path, False)[-1] == ("unlabeled/c/1.mp4", "unlabeled", "")


def test_the_mixed_folders_of_the_case_are_a_question(shared_cases: Path) -> None:
    with pytest.raises(DataError, match=r"test, train would be splits by name"):
        build_folder(shared_cases / "F05" / "mixed")


def test_a_folder_without_videos_beside_the_splits_is_no_question(tmp_path: Path) -> None:
    make_tree(tmp_path, "train/a/1.mp4", "test/b/1.mp4", "annotations/a.txt")
    assert [split for *_, split in splits_of(tmp_path)] == ["test", "train"]


def test_splits_below_the_classes_are_splits_too(tmp_path: Path) -> None:
    make_tree(tmp_path, "hug/train/1.mp4", "hug/test/2.mp4", "kick/Train/x/3.mp4")
    assert splits_of(tmp_path) == [
        ("hug/test/2.mp4", "hug", "test"),
        ("hug/train/1.mp4", "hug", "train"),
        ("kick/Train/x/3.mp4", "kick", "train"),
    ]
    make_tree(tmp_path, "kick/4.mp4")
    with pytest.raises(DataError, match=r"Train, test, train would be splits .* \(kick\)"):
        build_folder(tmp_path)
    assert {split for *_, split in splits_of(tmp_path, False)} == {""}


def test_classes_that_are_called_train_and_test_need_the_word(tmp_path: Path) -> None:
    make_tree(tmp_path, "train/1.mp4", "test/2.mp4")
    with pytest.raises(DataError, match=r"2 videos outside .* --no-splits if 'test' is a class"):
        build_folder(tmp_path)
    assert [label for _, label, _ in splits_of(tmp_path, False)] == ["test", "train"]


def test_splits_that_are_asked_for_must_be_there(tmp_path: Path) -> None:
    make_tree(tmp_path, "hug/1.mp4", "kick/2.mp4")
    with pytest.raises(DataError, match="no folder with a video is called like a split"):
        build_folder(tmp_path, splits=True)


def test_a_class_is_one_whichever_way_its_accents_are_written(tmp_path: Path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "gähnen") for form in ("NFC", "NFD"))
    make_tree(tmp_path, f"train/{nfc}/1.mp4", f"test/{nfd}/2.mp4", "train/b/3.mp4")
    assert {row.label for row in build_folder(tmp_path)} == {nfc, "b"}


def test_what_is_left_aside_is_counted_by_ending(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/1.mp4", "b/1.divx", "b/1.TXT", "b/2.txt", "b/3", "a/._1.mp4", ".x.mp4")
    made = prepare("folder", tmp_path)
    assert (made.counts["clips"], made.left_aside) == (2, {".txt": 2, "no ending": 1})
    assert prepare("folder", tmp_path).left_aside == made.left_aside  # not the manifest itself


def test_videos_that_splits_leave_aside_are_named_with_their_folder(tmp_path: Path) -> None:
    make_tree(tmp_path, "train/a/1.mp4", "test/b/1.mp4", "extra/a/1.mp4", "extra/2.mp4", "x.ini")
    made = prepare("folder", tmp_path, options=Options(splits=True))
    assert made.left_aside == {"extra/*.mp4": 2, ".ini": 1}


def test_every_ending_of_the_case_is_taken(shared_cases: Path, tmp_path: Path) -> None:
    made = prepare("folder", shared_cases / "F06", tmp_path / "a.csv")
    assert (made.counts["clips"], made.left_aside) == (7, {"no ending": 1})


def frames(folder: str, *numbers: int) -> list[str]:
    return [f"{folder}/img_{number:03d}.png" for number in numbers or range(1, 4)]


def test_folders_of_frames_are_clips(tmp_path: Path, shared_cases: Path) -> None:
    assert [row.path for row in build_folder(shared_cases / "F08")] == ["clap/v_0", "wave/v_0"]
    tree = [*frames("hug/v_1"), "hug/v_1/Thumbs.db", "hug/2.mp4", *frames("kick/v_1")]
    made = prepare("folder", make_tree(tmp_path, *tree))
    assert made.manifest.read_text() == "path,label\nhug/2.mp4,hug\nhug/v_1,hug\nkick/v_1,kick\n"
    assert made.left_aside == {}
    first, second = made.sentences()
    assert first.startswith("2 of the clips are folders or archives of frames; FPS")
    assert second.endswith("data.frame_rate=FPS")


@pytest.mark.parametrize("top", ["", "train/"])
def test_a_class_folder_that_holds_frames_is_one_clip(tmp_path: Path, top: str) -> None:
    make_tree(tmp_path, *frames(f"{top}hug"), *frames(f"{top}kick"))
    split = top.rstrip("/")
    assert splits_of(tmp_path) == [
        (f"{top}hug", "hug", split),
        (f"{top}kick", "kick", split),
    ]


def test_a_class_folder_of_single_photos_is_no_clip(tmp_path: Path) -> None:
    make_tree(tmp_path, *frames("hug/v_1"), "kick/IMG_2034.jpg", "kick/IMG_2077.jpg")
    with pytest.raises(
        DataError,
        match=r"kick: the class has no video; .* 2 pictures with numbers from 2034 to 2077 do not",
    ):
        build_folder(tmp_path)
    make_tree(tmp_path, "kick/clip.mp4")
    made = prepare("folder", tmp_path)
    assert (made.counts["clips"], made.left_aside) == (2, {".jpg": 2})


def test_pictures_beside_videos_are_no_clip(tmp_path: Path) -> None:
    make_tree(tmp_path, *frames("hug"), "hug/1.mp4", "kick/videos/1.mp4", *frames("kick"))
    assert [row.path for row in build_folder(tmp_path)] == ["hug/1.mp4", "kick/videos/1.mp4"]


def test_frames_outside_of_a_class_are_named(tmp_path: Path) -> None:
    make_tree(tmp_path, *frames("train"), *frames("test"))
    with pytest.raises(DataError, match="2 videos outside of any class folder"):
        build_folder(tmp_path)


def test_a_folder_around_the_classes_is_told(tmp_path: Path) -> None:
    make_tree(tmp_path, "dataset/hug/1.mp4", "dataset/kick/2.mp4")
    with pytest.raises(DataError, match=r"or pass .*/dataset if its folders are the classes"):
        build_folder(tmp_path)


def test_only_a_folder_of_own_data_asks_about_splits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kth brings its own splits"):
        prepare("kth", tmp_path, options=Options(splits=True))
