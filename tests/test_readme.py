"""What the pages tell a user to type exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.videos import ROOT, write_square

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"action-gru ((?:(?:cache|runs) )?[a-z]+(?:-[a-z]+)*)([^\n`|]*)")


def commands() -> set[str]:
    return {name for page in PAGES for name, _ in COMMAND.findall(page.read_text())}


def help_of(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "action_gru", *command.split(), "--help"],
        capture_output=True, text=True, check=False, env={"COLUMNS": "200", "PATH": "/usr/bin"},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def test_every_command_and_option_of_the_pages_exists():
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


def test_the_python_of_the_readme_compiles():
    for code in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        compile(code, "README.md", "exec")


EXAMPLES = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "live.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize("code", EXAMPLES, ids=lambda code: code.strip().splitlines()[-1][:30])
def test_the_examples_of_the_live_page_run(code, small_run, tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(small_run.path.resolve())
    write_square(tmp_path / "long.mp4", 80)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "live.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "dark" in printed if "print(" in code else printed == ""


def test_every_file_the_readme_names_in_commands_exists():
    for name in re.findall(r"configs/[\w.]+", (ROOT / "README.md").read_text()):
        assert Path(ROOT / name).is_file(), name
