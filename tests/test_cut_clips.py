"""Cutting videos into class folders."""

import sys

import pytest
from helpers import ROOT
from helpers.videos import write_square

from action_gru.dataset import read_manifest
from action_gru.video import VideoFile


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    import cut_clips

    return cut_clips


def test_a_stretch_and_a_whole_file_become_clips_with_their_group(script, tmp_path):
    for name in ("a b.mp4", "c.mp4"):
        (tmp_path / "videos" / "day").mkdir(parents=True, exist_ok=True)
        write_square(tmp_path / "videos" / "day" / name, 20)
    table = tmp_path / "table.csv"
    table.write_text(
        "path,label,group,start_s,end_s\nday/a b.mp4,walk,anna,0.5,1.1\nday/c.mp4,sit,ben,,\n"
    )
    place = ["--root", str(tmp_path / "videos"), "--out", str(tmp_path / "clips")]
    script.main([str(table), *place])
    clips = read_manifest(tmp_path / "clips" / "manifest.csv")
    found = [(str(c.path.relative_to(tmp_path / "clips")), c.label, c.group) for c in clips]
    assert found == [("walk/day_ab_0.5s.mp4", "walk", "anna"), ("sit/day_c.mp4", "sit", "ben")]
    with VideoFile(clips[0].path) as video:
        assert [round(frame.time_s, 3) for frame in video] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert clips[1].path.read_bytes() == (tmp_path / "videos" / "day" / "c.mp4").read_bytes()
