"""What `make bench` says beside the last result of the same kind of machine."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from rows.results import Results, compare, goal_of, is_met, measured
from rows.turns import Goal, Row


def area(ratio: float, seconds: float, others: float = 0.0, weights: str = "w.pt") -> Any:
    rows = [
        Row("against a rival", "clips/s", {"ours": 4.0}, ratio, "a rival", Goal(4.0, 6.0)),
        Row("a command", "s", {"ours": seconds}, goal=Goal(240.0, 150.0, at_most=True)),
    ]
    return measured(rows, {"weights": weights}, others)


@pytest.mark.parametrize(("ratio", "seconds"), [(4.0, 100.0), (3.61, 110.0), (9.0, 10.0)])
def test_up_to_a_tenth_worse_is_not_named(ratio: float, seconds: float) -> None:
    assert compare(area(4.0, 100.0), area(ratio, seconds)) == ([], [])


def test_a_row_that_got_worse_is_named_with_both_figures() -> None:
    worse, left_out = compare(area(4.0, 100.0), area(3.0, 150.0))
    assert worse == [
        "against a rival: 4.00 then, 3.00 now times a rival (-25%)",
        "a command: 100 then, 150 s now (+50%)",
    ]
    assert left_out == []


def test_seconds_without_a_rival_are_compared_on_a_quiet_machine_only() -> None:
    worse, left_out = compare(area(4.0, 100.0), area(4.0, 900.0, others=0.5))
    assert worse == []
    assert left_out == ["a command: others used the processors, then or now"]


def test_other_settings_are_not_compared() -> None:
    worse, left_out = compare(area(4.0, 100.0), area(1.0, 900.0, weights="v.pt"))
    assert worse == []
    assert left_out == ["all rows: measured otherwise, weights w.pt then, weights v.pt now"]


def test_each_kind_of_machine_has_its_goals() -> None:
    rival, command = area(5.0, 200.0)["rows"]
    assert [goal_of(rival, kind) for kind in ("avx2-2-cores", "bf16-2-cores")] == [4.0, 6.0]
    assert [is_met(rival, kind) for kind in ("avx2-2-cores", "bf16-2-cores")] == [True, False]
    assert [is_met(command, kind) for kind in ("avx2-2-cores", "bf16-2-cores")] == [True, False]
    assert is_met(rival, "cuda-16-cores") is None


def test_areas_that_are_not_measured_again_keep_their_figures(tmp_path: Path) -> None:
    first = Results("avx2-2-cores", tmp_path)
    for name in ("live", "demo"):
        first.add(name, copy.deepcopy(area(4.0, 100.0)))
    first.save()
    second = Results("avx2-2-cores", tmp_path)
    second.add("demo", area(2.0, 100.0))
    second.save()
    areas = Results("avx2-2-cores", tmp_path).areas
    assert areas["live"]["rows"][0]["ratio"] == 4.0
    assert areas["demo"]["rows"][0]["ratio"] == 2.0
    page = (tmp_path / "speed-avx2-2-cores.md").read_text()
    assert "- demo, **worse** since" in page
    assert "| against a rival | 2.00 times | >= 4 | >= 6 | **no** |" in page
