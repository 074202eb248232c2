"""What values say of a data set: classes that look alike, gaps, constants, jumps in time."""

from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import action_gru

from action_gru.apps.check_features import lookalike_findings, series_findings
from action_gru.config import build_config
from action_gru.dataset import Clip


def clips_of(count: int, labels: str) -> list[Clip]:
    return [
        Clip(Path(f"{n}.mp4"), f"{n}.mp4", labels[n % len(labels)], f"g{n}") for n in range(count)
    ]


def test_two_classes_with_the_same_features_are_named_and_others_are_not():
    clips = clips_of(60, "abc")
    rng = np.random.default_rng(0)
    means = rng.normal(size=(60, 8))
    means[:, 0] += [6.0 if clip.label == "c" else 0.0 for clip in clips]
    (finding,) = lookalike_findings(clips, means)
    assert finding.severity == "advice"
    assert "a and b (" in finding.got
    assert " c" not in finding.got.replace(" clips", "")


def test_classes_that_features_tell_apart_are_no_finding():
    clips = clips_of(60, "abc")
    means = np.eye(3)[["abc".index(clip.label) for clip in clips]]
    means = means + 0.1 * np.random.default_rng(0).normal(size=(60, 3))
    assert lookalike_findings(clips, means) == []


@pytest.fixture
def table(tmp_path) -> Path:
    """Two classes of machines; `flat` is constant, `gap` half empty, m3 pauses once."""
    rng = np.random.default_rng(0)
    rows = ["id,time,heat,flat,gap,label"]
    for number in range(12):
        for step in range(10):
            time = step + 40 * (number == 3 and step > 5)
            heat = rng.normal() + 5 * (number % 2)
            gap = "" if step % 2 else "1.5" if step % 4 else "2.5"
            rows.append(f"m{number},{time},{heat:.3f},7,{gap},{'ab'[number % 2]}")
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_gaps_constants_and_jumps_of_a_table_are_told(table):
    answer = action_gru("check", table, "data.kind=table", "--json", "-q").answer
    found = {one["topic"]: one["got"] for one in answer["findings"]}
    assert found["missing"] == "gap (50%)"
    assert found["constant"] == "flat"
    assert found["jumps"] == "1 gap in 1: m3"
    assert answer["summary"].endswith("120 rows of 3 channels")


def test_an_array_that_cannot_be_read_is_a_finding(tmp_path):
    rows = ["path,label"]
    for number in range(12):
        values = np.random.default_rng(number).normal(size=(6, 2)) + 9 * (number % 2)
        np.save(tmp_path / f"{number}.npy", values.astype(np.float32))
        rows.append(f"{number}.npy,{'ab'[number % 2]}")
    (tmp_path / "5.npy").write_text("no array")
    (tmp_path / "m.csv").write_text("\n".join(rows) + "\n")
    config = build_config({"data": {"kind": "arrays", "manifest": str(tmp_path / "m.csv")}})
    from action_gru.features.source import data_source

    findings, summary = series_findings(config, data_source(config).clips())
    assert [(one.severity, one.topic) for one in findings] == [("problem", "unreadable")]
    assert "5.npy" in findings[0].got
    assert summary == "66 rows of 2 channels"
