"""Commands that are printed: a shell reads them as they were meant."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from action_gru.core.numbered_pictures import about_pictures
from action_gru.core.text import command_line
from action_gru.video import VideoFile

ODD = "my clips/it's $HOME (1) [2] & co"


@pytest.mark.parametrize("path", [ODD, "plain/path.csv", 'a"b', "a;b", "tab\there", "é", "~x"])
def test_a_command_reads_back_as_its_words(path: str) -> None:
    line = command_line("action-gru", "train", f"data.manifest={path}", Path("a b"))
    said = subprocess.run(
        ["/bin/sh", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True
    ).stdout.decode()
    assert said.split("\0")[:-1] == ["action-gru", "train", f"data.manifest={path}", "a b"]


def test_plain_words_stay_plain() -> None:
    assert command_line("action-gru", "resume", Path("runs/a-1")) == "action-gru resume runs/a-1"


def write_pictures(folder: Path, *names: str) -> Path:
    """Pictures of an odd size, each brighter than the one before."""
    folder.mkdir(parents=True)
    for index, name in enumerate(names):
        level = 20 + 200 * index // len(names)
        Image.fromarray(np.full((31, 47, 3), level, np.uint8)).save(folder / name)
    return folder


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")
@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("wave/v 1 [a]", [f"frame{name}.png" for name in "abcde"]),
        ("cam1:12%d", [f"{n:03d}.JPG" for n in (1, 2, 5, 9, 99)]),
        ("-v", ["a1.bmp", "b1.bmp", "c.bmp", "d.bmp", "e.bmp"]),
    ],
)
def test_the_command_makes_a_video_of_the_pictures_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(Path(folder), *names)
    told = about_pictures(Path(folder)) or ""
    words = shlex.split(told[told.index("ffmpeg ") :])
    subprocess.run([*words, "-loglevel", "error"], check=True)
    with VideoFile(tmp_path / f"{folder}.mkv") as video:
        levels = [int(frame.image.mean()) for frame in video]
    assert len(levels) == 5
    assert levels == sorted(levels)


def test_the_first_folder_of_pictures_is_told_and_none_where_there_is_none(
    tmp_path: Path, shared_cases: Path
) -> None:
    told = about_pictures(shared_cases / "F08") or ""
    assert told.endswith("clap/v_0 are the frames of a clip: name that folder")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "._a.jpg").touch()
    assert about_pictures(tmp_path) is None
