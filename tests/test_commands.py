"""What the command line says before it does anything: first steps, help, examples, mistakes."""

import shlex

import pytest
from helpers.command_line import run
from helpers.dataset_trees import make_tree
from helpers.videos import write_square
from typer import Context
from typer.main import get_command

from action_gru.cli.commands import PANELS, app
from action_gru.cli.help import page
from action_gru.config import load_config

COMMANDS = get_command(app).commands


def test_alone_it_says_the_first_steps_in_four_lines(tmp_path):
    done = run(cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("action-gru studio ")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("columns", ["80", "300"])
def test_the_help_names_every_command_and_fits_a_small_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    text = run("--help").stdout
    lines = text.splitlines()
    assert len(lines) <= 23  # and the prompt
    assert max(map(len, lines)) <= 80
    assert "..." not in text.replace("COMMAND ...", "")  # no description is cut
    words = text.replace(",", " ").split()
    assert set(COMMANDS) <= set(words)
    assert [line.split()[0] for line in lines if line[:1].isupper()][1:] == [*PANELS]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_a_command_has_an_example_that_it_understands(name):
    command = COMMANDS[name]
    if hasattr(command, "commands"):  # a group
        return
    program, *words = shlex.split(command.epilog.removeprefix("Example: ").partition(" < ")[0])
    assert (program, words[0]) == ("action-gru", name)
    with command.make_context(name, words[1:]) as context:
        assert context.params


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_a_command_fits_80_columns_and_of_the_first_ones_24_lines(name):
    command = COMMANDS[name]
    lines = page(command, Context(command, info_name=f"action-gru {name}")).splitlines()
    assert max(map(len, lines)) <= 80
    if command.rich_help_panel in ("Start", "Understand"):
        assert len(lines) <= 23  # and the prompt


def test_a_path_in_place_of_a_command_is_told_what_to_do_with_it(tmp_path):
    make_tree(tmp_path, "my clips/a/1.mp4")
    done = run("my clips", cwd=tmp_path, code=2)
    assert "No such command 'my clips'. To learn from it: train 'my clips'" in done.stderr
    assert "Did you mean 'train'?" in run("trian", cwd=tmp_path, code=2).stderr


def test_a_config_is_saved_as_the_options_say_and_nothing_is_trained(tmp_path):
    make_tree(tmp_path / "clips", "a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4")
    options = ["--epochs", 20, "--views", "motion,pose", "--name", "mine", "--fps", 8, "--many"]
    options += ["--weights", "builtin", "--seed", 3, "model.cell=lstm"]
    done = run("train", "clips", *options, "--save-config", "mine.yaml", cwd=tmp_path)
    assert done.stdout == "mine.yaml\n"
    config = load_config(tmp_path / "mine.yaml")
    assert (config.training.epochs, config.training.seed, config.sampling.fps) == (20, 3, 8.0)
    assert (config.features.views, config.features.weights) == (("motion", "pose"), "builtin")
    assert (config.run.name, config.data.labels, config.model.cell) == ("mine", "many", "lstm")
    assert (tmp_path / "clips" / "manifest.csv").is_file()
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_from_a_folder_to_the_first_label_in_two_commands(tmp_path):
    for index in range(16):
        label = "bright" if index % 2 else "dark"
        place = tmp_path / "clips" / label
        place.mkdir(parents=True, exist_ok=True)
        write_square(place / f"{index}.mp4", 12, seed=index + 100 * (index % 2))
    options = ["--weights", "builtin", "--epochs", 4, "features.image_size=64"]
    done = run("train", "clips", *options, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "runs/clips"
    assert done.stderr.splitlines()[-1].endswith(" classify VIDEO")
    done = run("classify", "clips/dark/0.mp4", cwd=tmp_path)
    assert done.stdout.startswith("clips/dark/0.mp4: ")
    assert "using runs/clips (" in done.stderr
    assert run("evaluate", cwd=tmp_path).stdout.splitlines()[-1] == "runs/clips/evaluation/test-2"
    assert "no interrupted run in " in run("resume", cwd=tmp_path, code=7).stderr
    assert "runs/clips" in run("resume", "clips", cwd=tmp_path).stdout
