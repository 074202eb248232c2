"""Which files of a folder or archive are the frames of one clip, by their names alone."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import pytest
from helpers.dataset_trees import make_tree
from helpers.pictures import pack, write_frames

from action_gru.core.errors import VideoError
from action_gru.core.numbered_pictures import (
    content_sha256,
    frame_folders,
    is_frame_archive,
    list_folder,
    list_pictures,
)


def test_pictures_are_ordered_by_number_and_not_by_text() -> None:
    listed = list_pictures(["f10.png", "f9.PNG", "f1.jpeg"])
    assert (listed.names, listed.numbers) == (("f1.jpeg", "f9.PNG", "f10.png"), (1, 9, 10))


def test_the_number_is_the_last_run_of_digits_of_the_stem() -> None:
    assert list_pictures(["cam2_0007_rgb.bmp", "cam2_0008_rgb.tif"]).numbers == (7, 8)
    assert list_pictures([f"{10**17 + n}.webp" for n in (1, 2)]).numbers[0] == 10**17 + 1


def test_what_is_no_picture_is_told_and_left_out() -> None:
    files = ["1.png", "2.png", "Thumbs.db", "notes.txt", ".3.png", "__MACOSX/._1.png", "4\x1b[.png"]
    listed = list_pictures(files)
    assert listed.names == ("1.png", "2.png")
    (note,) = listed.notes()
    assert note.startswith("5 files left out, as no pictures: .3.png, '4\\x1b[.png', Thumbs.db")


def test_gaps_in_the_numbers_are_counted_and_the_first_is_named() -> None:
    (note,) = list_pictures([f"{n}.png" for n in (1, 2, 5, 6, 8)]).notes()
    assert note.startswith("3 numbers missing at 2 places, the first between 2.png and 5.png")
    assert list_pictures(["7.png", "8.png"]).notes() == ()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["1.png", "cover.png"], r"the picture cover\.png has no number; number them"),
        (["01.png", "1.jpg"], r"01\.png and 1\.jpg have the same number"),
        (["left_1.png", "right_1.png"], "have the same number; give each clip"),
        (["a/1.png", "b/2.png"], r"pictures lie in 2 folders of it \(a and b\)"),
        (["notes.txt"], r"no picture in it \(left out: notes\.txt\)"),
        (["../1.png", "../2.png"], r"no picture in it \(left out: \.\./1\.png"),
        (["3.png", "3.png"], r"3\.png and 3\.png have the same number"),
        ([], "no picture in it; give one"),
    ],
)
def test_names_that_say_no_order_are_refused(files: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list_pictures(files)


def test_a_folder_says_which_it_is(tmp_path: Path) -> None:
    make_tree(tmp_path, "v/a.png", "v/deep/1.png")
    with pytest.raises(VideoError, match=r"v: the picture a\.png has no number"):
        list_folder(tmp_path / "v")


@pytest.mark.parametrize(
    ("numbers", "is_clip"),
    [((1, 2), True), ((5, 6, 9, 10), True), ((1,), False), ((1, 5), False), ((2034, 2077), False)],
)
def test_half_of_the_numbers_must_be_there(numbers: tuple[int, ...], is_clip: bool) -> None:
    files = [PurePosixPath(f"a/v/IMG_{number}.jpg") for number in numbers]
    assert frame_folders(files, []) == [PurePosixPath("a/v")] * is_clip


def test_a_folder_with_a_video_in_it_or_below_it_is_no_clip_of_frames() -> None:
    files = [PurePosixPath(f"{place}/{n}.jpg") for place in ("a", "b/c") for n in (1, 2)]
    assert frame_folders(files, [PurePosixPath("a/x/1.mp4")]) == [PurePosixPath("b/c")]
    assert frame_folders(files, [PurePosixPath("b/1.mp4")]) == [
        PurePosixPath("a"),
        PurePosixPath("b/c"),
    ]


def test_the_content_of_a_folder_is_its_pictures_and_their_places(tmp_path: Path) -> None:
    before = content_sha256(write_frames(tmp_path / "a"))
    other = shutil.copytree(tmp_path / "a", tmp_path / "b")
    for picture in list(other.iterdir()):  # the same places under other names
        picture.rename(other / f"x{int(picture.stem[-3:]) + 40}.png")
    (other / "notes.txt").write_text("stray")
    assert content_sha256(other) == before
    (other / "x50.png").rename(other / "x90.png")
    assert content_sha256(other) != before


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_is_known_by_what_its_first_file_is(tmp_path: Path, kind: str) -> None:
    frames = write_frames(tmp_path / "v", count=2)
    assert is_frame_archive(pack(frames, kind))
    (clips := tmp_path / "clips").mkdir()
    (clips / "1.mp4").write_bytes(b"\0" * 9)
    assert not is_frame_archive(pack(clips, kind))
    (broken := tmp_path / f"broken.{kind}").write_bytes(b"no archive" * 99)
    assert not is_frame_archive(broken)
