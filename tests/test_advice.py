"""What the rows of a manifest say: groups in names, counts, the split."""

from pathlib import Path

import pytest

from action_gru.core.errors import DataError
from action_gru.dataset import Clip, split_clips
from action_gru.dataset.advice import (
    class_rows,
    count_findings,
    group_finding,
    guess_groups,
    split_finding,
)


def clip(relative: str, group: str = "", split: str = "", label: str = "") -> Clip:
    label = label or relative.split("/")[0]
    return Clip(Path(relative), relative, label, group or relative, split)


PEOPLE = [
    clip(f"{label}/{who}_{label}_{take}.mp4")
    for label in ("walk", "run")
    for who in ("person01", "person02", "person03")
    for take in (1, 2)
]


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ([one.relative for one in PEOPLE], {"person01", "person02", "person03"}),
        ([f"{x}/S{n}_{x}_{k}.mp4" for x in "ab" for n in (1, 2, 3) for k in "12"],
         {"S1", "S2", "S3"}),
        ([f"{x}/{who}/{n}.mp4" for x in "ab" for who in ("anna", "ben", "cy") for n in (1, 2)],
         {"anna", "ben", "cy"}),
        ([f"{x}/{who}_{x}{n}.avi" for x in "AB" for who in ("Kate", "Yi", "Bo") for n in (1, 2)],
         {"Kate", "Yi", "Bo"}),
        ([f"{x}/{x}tape_{v}_000{n}.mp4" for x in "ab" for v in "xyz" for n in (1, 2)],
         {f"{x}tape_{v}" for x in "ab" for v in "xyz"}),
        ([f"{x}/v_{x}_g0{g}_c0{n}.avi" for x in "ab" for g in (1, 2, 3) for n in (1, 2)],
         {"g01", "g02", "g03"}),
    ],
    ids=["person", "letter and number", "folder", "before the class", "video", "UCF101"],
)  # fmt: skip
def test_groups_are_read_from_the_usual_names(names, groups):
    guess = guess_groups([clip(name) for name in names])
    assert guess is not None
    assert set(guess.groups) == groups


@pytest.mark.parametrize(
    "names",
    [
        [f"fight/fi{n:03d}.mp4" for n in range(9)] + [f"calm/no{n:03d}.mp4" for n in range(9)],
        [f"{x}/{x}_{n}.mp4" for x in ("sit_down", "stand_up") for n in range(9)],
        [f"{x}/{n}.mp4" for x in "ab" for n in range(9)],
    ],
    ids=["class in short", "class", "numbers alone"],
)
def test_names_that_only_repeat_the_class_are_no_groups(names):
    assert guess_groups([clip(name) for name in names]) is None


def test_clips_of_nothing_have_no_class_in_their_name():
    clips = [Clip(Path(f"{n}.mp4"), f"{n}.mp4", "", f"{n}.mp4") for n in "abcd"]
    assert guess_groups(clips) is None


def test_names_that_only_repeat_the_split_are_no_groups():
    clips = [
        clip(f"X_{side.upper()}_{n}", split=side, label="ab"[n % 2])
        for side in ("train", "test")
        for n in range(8)
    ]
    assert guess_groups(clips) is None


def test_a_guess_asks_shows_the_largest_groups_and_says_which_the_split_divides():
    clips = [Clip(**{**vars(one), "split": "test" if "_1." in one.relative else "train"})
             for one in PEOPLE]  # fmt: skip
    finding = group_finding(clips)
    assert finding is not None
    assert finding.severity == "advice"
    assert "person01: 4 clips (walk 2 and run 2)" in finding.got
    assert "3 of them on two sides of the split now, such as person01" in finding.got
    assert "are these right?" in finding.mend
    assert "column 'group'" in finding.mend


def test_with_a_column_of_groups_nothing_is_guessed():
    clips = [Clip(**{**vars(one), "group": "g"}) for one in PEOPLE]
    assert group_finding(clips) is None


def test_few_clips_one_group_and_uneven_classes_are_told():
    clips = [clip(f"common/{n}.mp4", f"g{n}") for n in range(50)]
    clips += [clip(f"rare/{n}.mp4", f"g{n}") for n in range(4)]
    clips += [clip(f"alone/{n}.mp4", "one") for n in range(6)]
    found = {finding.topic: finding.got for finding in count_findings(clips)}
    assert found == {
        "few_clips": "rare (4)",
        "one_group": "alone",
        "imbalance": "common has 50 clips, rare 4",
    }
    assert count_findings(PEOPLE) == []


def test_minutes_of_a_class_count_clips_of_unknown_length_as_the_mean():
    rows = class_rows(PEOPLE, {PEOPLE[0].name: 50.0, PEOPLE[1].name: 70.0})
    assert [(row.label, row.clips, row.minutes) for row in rows] == [
        ("run", 6, None),
        ("walk", 6, 6.0),
    ]


def test_what_the_split_would_refuse_is_a_problem_with_its_mend():
    clips = [clip("a/1.mp4", "g", "train"), clip("b/1.mp4", "g", "test")]
    with pytest.raises(DataError) as refused:
        split_clips(clips, "column")
    finding = split_finding(refused.value)
    assert finding.severity == "problem"
    assert "group 'g' is in train and test" in finding.got
    assert "data.allow_leakage" in finding.mend
