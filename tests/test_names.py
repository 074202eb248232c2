"""What names say: hidden, a video, a split, and how the disk spells them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from action_gru.core.paths import is_hidden, is_video, on_disk, split_of, with_slashes

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Train TRAIN training Training_set train-data trainset 1_train"),
        ("val", "val valid VALIDATION dev Development val_videos val2017"),
        ("test", "test TEST testing Testing eval Evaluation test.split"),
        ("", "trainer trains devil testament evaluate unlabeled contest value 1 train1x my_train"),
    ],
)
def test_a_split_is_known_by_each_of_its_usual_names(split: str, names: str) -> None:
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


def test_dot_files_and_those_of_a_mac_are_hidden() -> None:
    hidden, seen = ["._1.mp4", ".DS_Store", "__MACOSX", "@eaDir"], ["1.mp4", "_1.mp4"]
    assert [name for name in hidden + seen if is_hidden(name)] == hidden


@pytest.mark.parametrize(
    "ending",
    [".mp4", ".MP4", ".divx", ".vob", ".mjpeg", ".asf", ".f4v", ".mts", ".m2ts", ".3gp", ".ogv",
     ".dv", ".mxf", ".wmv", ".MOD", ".rmvb"],
)  # fmt: skip
def test_the_endings_of_ffmpeg_are_those_of_videos(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"\0\1")
    assert is_video(path)


def test_a_folder_or_a_text_is_no_video(tmp_path: Path) -> None:
    for name in ("folder.mp4", "folder.ts"):
        (tmp_path / name).mkdir()
        assert not is_video(tmp_path / name)
    (tmp_path / "a.txt").write_text("x")
    assert not is_video(tmp_path / "a.txt")
    assert is_video(tmp_path / "away.ts")  # its reader says that it is not there


@pytest.mark.parametrize("ending", [".ts", ".TS", ".mts"])
def test_a_ts_file_is_a_video_by_what_it_holds(tmp_path: Path, ending: str) -> None:
    packets, table, code = (tmp_path / f"{name}{ending}" for name in ("packets", "table", "code"))
    packets.write_bytes(b"\x47\x40\x00\x10\x00" + b"\xff" * 183)
    table.write_text("@dimensions 2\n@classLabel true walk run\n@data\n0.1:1.5:walk\n")
    code.write_text("export const rate: number = 25;\n")
    assert [is_video(path) for path in (packets, table, code)] == [True, False, False]


def test_a_gif_is_a_video_where_it_moves(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (0, 90, 200)]
    pictures[0].save(tmp_path / "still.gif")
    pictures[0].save(tmp_path / "moves.gif", save_all=True, append_images=pictures[1:])
    assert not is_video(tmp_path / "still.gif")
    assert is_video(tmp_path / "moves.gif")


@pytest.mark.parametrize(("written", "there"), [(NFC, NFD), (NFD, NFC), (NFC, NFC)])
def test_a_name_is_found_whichever_way_its_accents_are_written(
    tmp_path: Path, written: str, there: str
) -> None:
    (tmp_path / there).mkdir()
    (tmp_path / there / f"{there}.mp4").touch()
    assert on_disk(tmp_path, f"{written}/{written}.mp4").is_file()
    assert not on_disk(tmp_path, f"{written}/other.mp4").exists()


def test_each_part_of_a_path_may_be_spelled_another_way(tmp_path: Path) -> None:
    (tmp_path / NFD).mkdir()
    (tmp_path / NFD / f"{NFC}.mp4").touch()
    assert on_disk(tmp_path, f"{NFC}/{NFD}.mp4").is_file()


def test_backslashes_are_separators_where_no_file_bears_them(tmp_path: Path) -> None:
    assert with_slashes(tmp_path, r"walk\1\a.mp4") == "walk/1/a.mp4"
    (tmp_path / r"b\c.mp4").touch()
    assert with_slashes(tmp_path, r"b\c.mp4") == r"b\c.mp4"
    with pytest.raises(ValueError, match=r"must be relative .* of a Windows drive"):
        with_slashes(tmp_path, r"C:\clips\a.mp4")
