"""File names on the command line: a dash in front, spaces without quotes."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from action_gru.cli.commands import app
from action_gru.cli.common import names_and_overrides, prepared, refuse_unquoted, run
from action_gru.core.errors import ConfigError
from action_gru.training.run_folder import RunFolder


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
    assert prepared(given) == [
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


@pytest.mark.parametrize(
    ("case", "name"),
    [("F07", "cam1:12:30.mp4"), ("F07", "./cam1:12:30.mp4"), ("F14", "-3abcDEF_1x.mp4")],
)
def test_the_odd_names_of_the_cases_are_classified_from_their_folder(
    shared_cases: Path,
    small_run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: str,
    name: str,
) -> None:
    monkeypatch.chdir(shared_cases / case)
    with pytest.raises(SystemExit) as ended:
        run(app, ["classify", name, "--model", str(small_run.path), "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["label"] in ("bright", "dark")


def test_the_next_command_of_the_case_can_be_pasted(
    shared_cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my clips"
    shutil.copytree(shared_cases / "F24" / "my clips", folder)
    with pytest.raises(SystemExit) as ended:
        run(app, ["prepare", "folder", str(folder)])
    assert ended.value.code == 0
    printed = capsys.readouterr()
    words = shlex.split((printed.out + printed.err).split("next: ")[1])
    assert words[:3] == ["action-gru", "train", str(folder / "manifest.csv")]
