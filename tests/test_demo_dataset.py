"""The demo's data set: complete, split by person, and never half-written."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from action_gru.core.errors import DataError
from action_gru.demo import dataset as demo_data
from action_gru.demo.actions import CLASSES


def _small_clip(label: str, seed: int, *, fps: float, person: int) -> np.ndarray:
    return np.full((4, 48, 64, 3), (seed + person) % 256, np.uint8)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Draws grey clips in place of figures; lists the labels drawn."""
    labels: list[str] = []

    def draw(label: str, seed: int, *, fps: float, person: int) -> np.ndarray:
        labels.append(label)
        return _small_clip(label, seed, fps=fps, person=person)

    monkeypatch.setattr(demo_data, "draw_clip", draw)
    return labels


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_a_readable_clip_of_its_class(tmp_path: Path, drawn: list[str]) -> None:
    manifest = demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=4, long_videos=0)
    rows = _rows(manifest)
    assert manifest == tmp_path / "demo" / "manifest.csv"
    assert len(rows) == 4 * len(CLASSES)
    assert {row["label"] for row in rows} == set(CLASSES)
    assert {row["timeline"] for row in rows} == {""}
    assert rows[-1]["path"] == "idle/idle_003.mp4"
    video = cv2.VideoCapture(str(tmp_path / "demo" / rows[0]["path"]))
    assert rows[0]["path"] == "sit_down/sit_down_000.mp4"
    assert sum(video.grab() for _ in range(10)) == 4
    assert video.get(cv2.CAP_PROP_FPS) == 24.0


def test_clips_of_an_action_keep_their_random_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backbone was trained before there was idle: its clips come after all others."""
    asked: list[tuple[str, int, int]] = []

    def draw(label: str, seed: int, *, fps: float, person: int) -> np.ndarray:
        asked.append((label, seed, person))
        return _small_clip(label, seed, fps=fps, person=person)

    monkeypatch.setattr(demo_data, "draw_clip", draw)
    demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=3, long_videos=0, seed=2)
    first = 2 << 20
    assert asked[0] == ("sit_down", first, first)
    assert asked[35] == ("kick", first + 35, first + 2)
    assert asked[36] == ("idle", first + 36, first)


@pytest.mark.slow
def test_long_videos_have_a_reference_of_their_own(tmp_path: Path, drawn: list[str]) -> None:
    manifest = demo_data.write_demo_dataset(
        tmp_path / "demo", clips_per_class=3, long_videos=1, long_s=9.0
    )
    test, val = _rows(manifest)[-2:]
    assert test == {
        "path": "long/long_000.mp4",
        "label": "",
        "group": "person_long_000",
        "split": "test",
        "timeline": "long/long_000.csv",
    }
    assert (val["path"], val["split"]) == ("long/long_val.mp4", "val")
    assert (val["group"], val["timeline"]) == ("person_long_val", "long/long_val.csv")
    video = cv2.VideoCapture(str(manifest.parent / test["path"]))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 9 * 24
    assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (640, 360)
    reference = (manifest.parent / test["timeline"]).read_text(encoding="utf-8").splitlines()
    assert reference[0] == "start_s,end_s,label"
    last_s = 0.0
    for line in reference[1:]:
        start_s, end_s, label = line.split(",")
        assert last_s + 0.5 <= float(start_s) + 0.002 < float(end_s) <= 8.5
        assert label in CLASSES[:-1]
        last_s = float(end_s)
    assert reference[1:] != (manifest.parent / val["timeline"]).read_text().splitlines()[1:]


def test_two_long_videos_test_and_one_chooses_settings() -> None:
    videos = demo_data.plan_long_videos(2)
    assert [video.split for video in videos] == ["test", "test", "val"]
    assert len({video.group for video in videos}) == 3
    assert demo_data.plan_long_videos(0) == []


def test_no_person_is_in_two_splits() -> None:
    clips = demo_data.plan_demo_clips(30, seed=0)
    persons = {
        split: {clip.group for clip in clips if clip.split == split}
        for split in ("train", "val", "test")
    }
    assert {split: len(groups) for split, groups in persons.items()} == {
        "train": 18,
        "val": 4,
        "test": 8,
    }
    assert len(set.union(*persons.values())) == 30


def test_a_complete_data_set_is_not_drawn_again(tmp_path: Path, drawn: list[str]) -> None:
    demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=3, long_videos=0)
    drawn.clear()
    demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=3, long_videos=0)
    assert drawn == []
    demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=3, long_videos=0, seed=1)
    assert len(drawn) == 3 * len(CLASSES)


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(label: str, seed: int, *, fps: float, person: int) -> np.ndarray:
        if label == "wave":
            raise KeyboardInterrupt
        return _small_clip(label, seed, fps=fps, person=person)

    monkeypatch.setattr(demo_data, "draw_clip", draw)
    with pytest.raises(KeyboardInterrupt):
        demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=3, long_videos=0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path, drawn: list[str]) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"mine")
    with pytest.raises(DataError, match="did not draw; name another folder"):
        demo_data.write_demo_dataset(tmp_path, clips_per_class=3, long_videos=0)
    assert (tmp_path / "holiday.mp4").read_bytes() == b"mine"


def test_too_few_clips_for_three_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"got 2; each split needs a person"):
        demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=2)


@pytest.mark.parametrize("shares", [1, 2, 3])
def test_shares_draw_every_clip_and_long_video_once(monkeypatch, shares: int) -> None:
    numbers: dict[str, list[int]] = {"clips": [], "longs": []}
    for kind, drawn in numbers.items():

        def draw(root, part, *rest, drawn=drawn) -> None:
            drawn += [number for number, _ in part]

        monkeypatch.setattr(demo_data, f"_draw_{kind}", draw)
    stamp = {"seed": 0, "clips_per_class": 3, "long_videos": 4, "long_s": 8.0}
    for share in range(shares):
        demo_data.draw_share("unused", stamp, share, shares)
    assert sorted(numbers["clips"]) == list(range(3 * len(CLASSES)))
    assert sorted(numbers["longs"]) == list(range(5))


@pytest.mark.slow
def test_a_second_process_draws_the_same_pictures(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(demo_data.os, "cpu_count", lambda: 2)
    for name, least in (("alone", 10_000), ("two", 10)):
        monkeypatch.setattr(demo_data, "CLIPS_A_SHARE", least)
        demo_data.write_demo_dataset(tmp_path / name, clips_per_class=3, long_videos=0)
    alone, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("alone", "two")
    )
    assert alone == two
    assert len(alone) == 3 * len(CLASSES) + 2
