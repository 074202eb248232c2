"""File names on the command line: a dash in front, spaces without quotes."""

from __future__ import annotations

from pathlib import Path

import pytest

from action_gru.cli.arguments import (
    files_are_no_options,
    names_and_overrides,
    refuse_unquoted,
)
from action_gru.errors import ConfigError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("-3abc.mp4", "--model.mp4", "-q", "my clip.mp4", "b", "b c"):
        Path(name).touch()
    Path("my clips of").mkdir()
    (tmp_path / "my clips of" / "a walk.csv").touch()
    return tmp_path


@pytest.mark.usefixtures("here")
def test_a_file_with_a_dash_in_front_is_no_option() -> None:
    given = ["classify", "-3abc.mp4", "--model.mp4", "-q", "-4.mp4", "--", "-3abc.mp4"]
    assert files_are_no_options(given) == [
        "classify", "./-3abc.mp4", "./--model.mp4", "-q", "-4.mp4", "--", "-3abc.mp4",
    ]  # fmt: skip


def test_a_file_that_is_called_like_an_override_is_a_file(here: Path) -> None:
    (here / "a.b=c.mp4").touch()
    words = ["a.b=c.mp4", "a.b=c", "x.mp4", "training.seed=1", "one=1.mp4"]
    assert names_and_overrides(words) == (
        ["a.b=c.mp4", "x.mp4", "one=1.mp4"],
        ["a.b=c", "training.seed=1"],
    )


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "path", "words"),
    [
        ("classify my clip.mp4 -m run", "my clip.mp4", 2),
        ("prepare folder my clips of", "my clips of", 3),
        ("train c.yaml data.manifest=my clips of/a walk.csv", "my clips of/a walk.csv", 4),
    ],
)
def test_a_path_that_its_spaces_divided_is_told(arguments: str, path: str, words: int) -> None:
    with pytest.raises(ConfigError, match=f"'{path}' is one path, .* into {words} words; write it"):
        refuse_unquoted(arguments.split())


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "arguments",
    [
        ["classify", "my clip.mp4", "-m", "run"],
        ["classify", "b", "c"],  # b is a file of its own
        ["classify", "no", "such", "x" * 5000],
    ],
)
def test_what_is_quoted_or_absent_is_left_alone(arguments: list[str]) -> None:
    refuse_unquoted(arguments)
