"""What a score says in plain words."""

import pytest

from action_gru.apps.studio.verdict import Answer, advice, by_action, verdict, why_not


def answers(**given):
    """wave="wwc": three clips of wave, the last taken for clap. Scores fall from 0.9."""
    names = {"w": "wave", "c": "clap", "n": "nothing"}
    return [
        Answer(f"{was}/{number}.webm", was, names[letter], 0.9 - number / 100)
        for was, letters in given.items()
        for number, letter in enumerate(letters)
    ]


@pytest.mark.parametrize(
    ("given", "kind", "level", "text"),
    [
        ("wwwww ccccc", "take", "good", "All 10 clips it had never seen are right."),
        ("wwwww ccccw", "take", "good", "9 of 10 clips it had never seen are right."),
        ("wwwwc cccww", "take", "fair", "7 of 10 clips it had never seen are right."),
        ("wwwcc ccwww", "take", "poor", "5 of 10 clips it had never seen are right."),
        ("wwwwwwwc w", "take", "poor", "7 of 9 clips it had never seen are right."),
        ("cc ww", "take", "poor", "0 of 4 clips it had never seen are right."),
        ("w w", "take", "poor", "1 of 2 clips it had never seen is right."),
        ("ww cc", "take", "fair", "All 4 clips it had never seen are right. That is too few clips"),
        ("wwwww ccccc", "clip", "fair", "are right. But they were recorded in one go with clips"),
    ],
)
def test_the_level_follows_the_share_that_is_right(given, kind, level, text):
    wave, clap = given.split()
    found = verdict(answers(wave=wave, clap=clap), kind)
    assert found["level"] == level
    assert text in found["text"]


def test_who_was_new_and_what_was_not_is_said():
    given = answers(wave="wwwww", clap="ccccc")
    assert verdict(given, "person", ["Ana", "Bo"])["text"].endswith(
        "They show Ana and Bo, whom it did not know."
    )
    assert verdict(given, "take", [], ["clap"])["text"].endswith(
        "Those of clap are of one take with clips that it learned from."
    )


def test_advice_names_what_is_mixed_up_few_missing_and_one_sided():
    given = answers(wave="wwcc", clap="cccw", nothing="nnnn")
    counts = {"wave": 16, "clap": 16, "nothing": 7}
    assert advice(given, counts, ["idle"], ["Ana"]) == [
        "clap and wave are mixed up: record 10 more of each",
        "nothing: fewer than 8 clips; record 10 more",
        "'idle' has no clips: record yourself doing nothing, or it will always see an action",
        "only Ana is in the clips: record others too, if it must know them",
    ]
    assert advice(answers(wave="wwww", clap="cccc"), {"wave": 16, "clap": 16}, [], []) == []


def test_one_slip_is_no_mix_up_but_half_of_an_action_is_worth_saying():
    counts = {"wave": 20, "clap": 20}
    assert advice(answers(wave="wwwwc", clap="ccccc"), counts) == []
    assert advice(answers(wave="wwc", clap="ccc"), counts) == []
    assert advice(answers(wave="wc", clap="cc"), counts) == ["wave: 1 of 2 right; record 10 more"]


def test_each_action_tells_how_many_are_right():
    assert by_action(answers(wave="wwc", clap="cc"), ["clap", "idle", "wave"]) == [
        {"name": "clap", "right": 2, "total": 2},
        {"name": "idle", "right": 0, "total": 0},
        {"name": "wave", "right": 2, "total": 3},
    ]


def test_two_actions_of_three_clips_can_be_trained():
    assert why_not({}) == "record at least 3 clips of each of two actions"
    assert why_not({"wave": 9, "idle": 0}) == "record at least 3 clips of each of two actions"
    assert why_not({"wave": 9, "clap": 2}) == "record at least 3 clips of each action: clap has 2"
    assert why_not({"wave": 3, "clap": 3, "idle": 0}) is None
