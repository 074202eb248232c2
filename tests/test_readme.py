"""What the pages tell a user to type exists."""

import re
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.command_line import run
from helpers.doc_blocks import PAGES

COMMAND = re.compile(r"action-gru ((?:(?:cache|runs) )?[a-z]+(?:-[a-z]+)*)([^\n`|]*)")


def commands() -> set[str]:
    return {name for page in PAGES for name, _ in COMMAND.findall(page.read_text())}


def help_of(command: str) -> str:
    return run(*command.split(), "--help").stdout


def test_every_command_and_option_of_the_pages_exists(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    told: dict[str, set[str]] = {}
    for page in PAGES:
        for name, rest in COMMAND.findall(page.read_text(encoding="utf-8")):
            told.setdefault(name, set()).update(re.findall(r"(?<![-\w])--[a-z][a-z-]+", rest))
    assert set(told) >= {"train", "evaluate", "classify", ["prepare", "folder"][0], "cv"}
    for name, options in told.items():
        shown = help_of(name)
        missing = {option for option in options if option not in shown}
        assert not missing, f"{name}: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_address_of_a_page_is_well_formed(page):
    for address in re.findall(r"\]\((https?:[^)]*)\)", page.read_text(encoding="utf-8")):
        assert re.fullmatch(r"https?://[\w-]+(\.[\w-]+)+(:\d+)?(/[^\s<>\"]*)?", address), address


def test_the_python_of_the_readme_compiles():
    for code in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        compile(code, "README.md", "exec")


def test_every_file_the_readme_names_in_commands_exists():
    for name in re.findall(r"configs/[\w.]+", (ROOT / "README.md").read_text()):
        assert Path(ROOT / name).is_file(), name
