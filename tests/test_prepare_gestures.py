"""The gesture phases on a small folder of the same layout."""

import csv

import pytest

from action_gru.core.errors import DataError
from action_gru.prepare import prepare
from action_gru.prepare.gestures import CHANNELS


def recording(*phases, start_ms=1000):
    lines = [",".join([*CHANNELS, "timestamp", "phase"])]
    for number, phase in enumerate(phases):
        lines.append(",".join([*["0.5"] * 18, str(start_ms + 30 * number), phase]))
    return "\n".join(lines) + "\n"


def test_recordings_become_one_table_in_seconds(tmp_path):
    (tmp_path / "a1_raw.csv").write_text(recording("Rest", "Stroke"))
    (tmp_path / "b1_raw.csv").write_text("\ufeff" + recording("Preparação"), encoding="utf-8")
    made = prepare("gesture_phases", tmp_path)
    rows = list(csv.DictReader(made.manifest.open()))
    assert [(row["id"], row["time"], row["label"]) for row in rows] == [
        ("a1", "1.0", "Rest"), ("a1", "1.03", "Stroke"), ("b1", "1.0", "Preparation"),
    ]  # fmt: skip
    assert made.manifest.name == "gesture_phases.csv"
    (sentence,) = made.sentences()
    assert sentence.startswith("2 recordings; next: ")
    assert "configs/gesture_phases.yaml" in sentence


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (recording("Rest", "Wave"), "line 3: phase is one of Rest, Preparation"),
        (recording("Rest").replace("1000,", "soon,"), "timestamp is milliseconds, got 'soon'"),
        ("lhx,phase\n1,Rest\n", "the column lhy and lhz"),
    ],
)
def test_files_that_are_not_the_published_ones_are_refused(tmp_path, text, message):
    (tmp_path / "a1_raw.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        prepare("gesture_phases", tmp_path)
    assert message in str(caught.value)
    assert not (tmp_path / "gesture_phases.csv").exists()


def test_a_folder_without_recordings_is_told(tmp_path):
    with pytest.raises(DataError, match=r"no file \*_raw.csv"):
        prepare("gesture_phases", tmp_path)
