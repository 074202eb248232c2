"""The demo's data set: complete, split by person, and never half-written."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from action_gru.apps import demo_data
from action_gru.apps.drawing import ACTIONS
from action_gru.errors import DataError


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
    manifest = demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=4)
    rows = _rows(manifest)
    assert manifest == tmp_path / "demo" / "manifest.csv"
    assert len(rows) == 4 * len(ACTIONS)
    assert {row["label"] for row in rows} == set(ACTIONS)
    video = cv2.VideoCapture(str(tmp_path / "demo" / rows[0]["path"]))
    assert rows[0]["path"] == "sit_down/sit_down_000.mp4"
    assert sum(video.grab() for _ in range(10)) == 4
    assert video.get(cv2.CAP_PROP_FPS) == 24.0


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
    demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=3)
    drawn.clear()
    demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=3)
    assert drawn == []
    demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=3, seed=1)
    assert len(drawn) == 3 * len(ACTIONS)


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(label: str, seed: int, *, fps: float, person: int) -> np.ndarray:
        if label == "wave":
            raise KeyboardInterrupt
        return _small_clip(label, seed, fps=fps, person=person)

    monkeypatch.setattr(demo_data, "draw_clip", draw)
    with pytest.raises(KeyboardInterrupt):
        demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=3)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path, drawn: list[str]) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"mine")
    with pytest.raises(DataError, match="did not draw; name another folder"):
        demo_data.write_demo_dataset(tmp_path, clips_per_class=3)
    assert (tmp_path / "holiday.mp4").read_bytes() == b"mine"


def test_too_few_clips_for_three_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"got 2; each split needs a person"):
        demo_data.write_demo_dataset(tmp_path / "demo", clips_per_class=2)
