import pytest

from action_gru.core.text import clock_seconds, clock_text, counted, name_or_count, name_some


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("", ""),
        ("a", "a"),
        ("ab", "a and b"),
        ("abc", "a, b and c"),
        ("abcdef", "a, b, c, d, e and f"),
        ("abcdefg", "a, b, c, d, e and 2 more"),
    ],
)
def test_a_handful_is_named_and_the_rest_counted(names, text):
    assert name_some(list(names)) == text


def test_many_classes_are_only_counted():
    assert name_or_count(["kick", "rare"], 400) == "kick and rare"
    assert name_or_count([f"c{n}" for n in range(300)], 400) == "300 of 400 classes"


def test_time_reads_like_a_clock():
    assert [clock_text(time_s) for time_s in (0.0, 3.21, 59.96, 63.9, 3723.04, -0.01, -2.5)] == [
        "0:00.0",
        "0:03.2",
        "1:00.0",
        "1:03.9",
        "1:02:03.0",
        "0:00.0",
        "-0:02.5",
    ]


def test_one_thing_is_no_plural():
    assert [counted(n, "id") for n in (0, 1, 2)] == ["0 ids", "1 id", "2 ids"]
    assert [counted(n, "entry") for n in (1, 3)] == ["1 entry", "3 entries"]
    assert [counted(n, "class") for n in (1, 3)] == ["1 class", "3 classes"]
    assert [counted(n, "person") for n in (1, 2)] == ["1 person", "2 people"]
    assert counted(2, "row left") == "2 rows left"


def test_a_clocks_time_is_read_back():
    for time_s in (0.0, 3.2, 59.9, 63.9, 3723.0):
        assert clock_seconds(clock_text(time_s)) == time_s
    assert clock_seconds("12.5") is None
