"""The studio's page as files: whole, from here alone, and fit for its content security policy."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from action_gru.apps import studio

PAGE = Path(studio.__file__).parent / "page"
SCRIPTS = sorted(PAGE.glob("*.js"))
FILES = sorted(PAGE.iterdir())
INDEX = (PAGE / "index.html").read_text(encoding="utf-8")
MAIN = (PAGE / "main.js").read_text(encoding="utf-8")
STEPS = ("actions", "record", "label", "train", "try", "use")
LONGEST = 350  # lines of a file that one can read
OUTSIDE = re.compile(r"""(?:https?:)?//[\w-]+(?:\.[\w-]+)+""")
OWN = ("http://www.w3.org/2000/svg", "http://127.0.0.1")  # a name of a format; words in a message


def imports(script: Path) -> list[str]:
    """What a module imports, by any of the forms."""
    text = script.read_text(encoding="utf-8")
    forms = r"""(?:\bfrom|^\s*import|\bimport\()\s*["']([^"']+)["']"""
    return re.findall(forms, text, re.MULTILINE)


def names(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("script", SCRIPTS, ids=names)
def test_every_imported_module_is_a_file_of_the_page(script):
    missing = [one for one in imports(script) if not (PAGE / one).is_file()]
    assert missing == []
    assert all(one.startswith("./") for one in imports(script))


@pytest.mark.parametrize("script", SCRIPTS, ids=names)
def test_every_imported_name_is_exported(script):
    text = script.read_text(encoding="utf-8")
    for wanted, module in re.findall(r"""import\s*\{([^}]*)\}\s*from\s*"\./([^"]+)\"""", text):
        given = (PAGE / module).read_text(encoding="utf-8")
        for name in filter(None, (one.split(" as ")[0].strip() for one in wanted.split(","))):
            made = rf"export\s+(?:async\s+)?(?:const|let|function\*?|class)\s+{re.escape(name)}\b"
            assert re.search(made, given), f"{script.name} imports {name}, not made by {module}"


def test_the_index_names_only_files_that_are_there():
    named = re.findall(r'(?:src|href)="(/[^"]*)"', INDEX)
    assert "/page/main.js" in named
    assert [one for one in named if not (PAGE / one.removeprefix("/page/")).is_file()] == []


def test_all_six_steps_are_modules_of_their_own():
    listed = re.search(r"const STEPS = \[([^\]]*)\]", MAIN)
    assert tuple(re.findall(r'"(\w+)"', listed[1])) == STEPS
    for name in STEPS:
        text = (PAGE / f"step_{name}.js").read_text(encoding="utf-8")
        assert re.search(r"export const step\b", text), name
        assert "step-title" in text, f"{name} has no heading that the shell can name it by"


def test_nothing_is_inline_so_the_policy_can_forbid_it():
    assert not re.search(r"<script(?![^>]*\ssrc=)", INDEX)
    assert not re.search(r"<style|\sstyle=|\son\w+=", INDEX)


@pytest.mark.parametrize("script", SCRIPTS, ids=names)
def test_no_script_makes_markup_or_code_from_text(script):
    """A name of an action or a file may be anything, so it can become neither."""
    text = script.read_text(encoding="utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert re.findall(forbidden, text) == []
    assert """setAttribute("style""" not in text


@pytest.mark.parametrize("file", FILES, ids=names)
def test_no_file_names_another_place_on_the_net(file):
    text = file.read_text(encoding="utf-8")
    for own in OWN:
        text = text.replace(own, "")
    assert OUTSIDE.findall(text) == []


@pytest.mark.parametrize("file", FILES, ids=names)
def test_every_file_can_be_read_in_one_sitting(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not on this machine")
def test_every_script_parses(tmp_path):
    for script in SCRIPTS:
        copy = shutil.copy(script, tmp_path / f"{script.stem}.mjs")
        read = subprocess.run(["node", "--check", copy], capture_output=True, text=True)
        assert read.returncode == 0, read.stderr
