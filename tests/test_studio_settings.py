"""The network that reads a project's clips: chosen once, said, and the same for a command line."""

from pathlib import Path

import pytest

from action_gru.apps.studio import settings
from action_gru.core.errors import BackboneError
from action_gru.prepare.project import open_project
from action_gru.prepare.source import read_source


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = open_project(tmp_path / "mine")
    monkeypatch.chdir(made.folder)
    return made


@pytest.fixture
def asked(monkeypatch):
    """The names of the weights that were looked for; none is on this machine."""
    found = []

    def find(weights, download):
        found.append(weights)
        raise BackboneError(f"{weights}: not here")

    monkeypatch.setattr(settings, "find_weights", find)
    return found


def test_offline_the_network_that_comes_along_is_chosen_for_good_and_said(project, asked):
    told = []
    assert "with the small network: yolo26n-cls.pt is not here" in settings.choose_network(
        told.append
    )
    assert told == ["fetching yolo26n-cls.pt, once"]
    assert settings.reading_config().features.weights == "builtin"
    settings.choose_network(told.append)
    assert asked == ["yolo26n-cls.pt"]


def test_who_asks_for_the_small_network_is_told_nothing(project, asked):
    with (project.folder / "project.yaml").open("a") as file:
        file.write("weights: builtin\n")
    assert settings.choose_network(lambda _: None) == ""
    assert asked == []


def test_the_usual_network_needs_no_word(project, monkeypatch):
    monkeypatch.setattr(settings, "find_weights", lambda weights, download: Path(weights))
    assert settings.choose_network(lambda _: None) == ""
    assert project.weights == "yolo26n-cls.pt"


def test_what_project_yaml_says_comes_first_also_for_a_command_line(project, asked):
    (project.folder / "net.pt").write_bytes(b"")
    with (project.folder / "project.yaml").open("a") as file:
        file.write("weights: net.pt\n")
    for action in ("wave", "clap"):
        (project.clips / action).mkdir()
        (project.clips / action / "1.mp4").write_bytes(b"")
    assert settings.choose_network(lambda _: None) == ""
    assert asked == []
    inside = str(project.folder / "net.pt")
    assert settings.reading_config().features.weights == inside
    assert read_source(project.folder).config.features.weights == inside
    assert str(settings.project_source().config.features.cache_dir) == "cache/features"


def test_a_server_that_never_answers_is_given_up(project, monkeypatch):
    import socket

    waits = []
    monkeypatch.setattr(
        settings, "find_weights", lambda *_, **__: waits.append(socket.getdefaulttimeout())
    )
    settings.choose_network(lambda _: None)
    assert waits == [settings.ANSWER_S]
    assert socket.getdefaulttimeout() is None
