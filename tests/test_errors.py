"""The exit codes that the documents name are those that the program gives."""

import json
import re
from pathlib import Path

import pytest

from action_gru.cli import common
from action_gru.core import errors
from action_gru.core.progress import Reporter
from action_gru.core.text import harmless

ROOT = Path(__file__).parents[1]
OTHERS = {0, common.SYSTEM_ERROR, common.USAGE_ERROR, common.INTERRUPTED}


def classes() -> dict[str, int]:
    return {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ActionGruError)
    }


def test_the_tree_in_the_module_names_every_class_with_its_code():
    drawn = dict(re.findall(r"^[│├└ ]*── (\w+) +(\d+) ", errors.__doc__, re.MULTILINE))
    assert {name: int(code) for name, code in drawn.items()} == {
        name: code for name, code in classes().items() if name != "ActionGruError"
    }


def test_other_codes_stand_beside_the_tree():
    (listed,) = re.findall(r"Other exit codes: (.+?)\.\n", errors.__doc__, re.DOTALL)
    assert set(map(int, re.findall(r"\b\d+\b", listed))) == OTHERS


def test_the_page_of_commands_lists_every_code_once():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    table = page.partition("## Exit codes")[2].partition("##")[0]
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    assert codes == sorted({*classes().values(), *OTHERS})


def test_a_message_steers_no_terminal(capsys):
    name = "a\x1b]0;pwned\x07\x9b2J\r.mp4"
    assert harmless(f"{name}:\n\tok") == "a\\x1b]0;pwned\\x07\\x9b2J\\r.mp4:\n\tok"
    assert (
        harmless("walk\u202egnp.\u2066x\u200f") == "walk\\u202egnp.\\u2066x\\u200f"
    )  # turns letters
    assert harmless("\u05e9\u05dc\u05d5\u05dd") == "\u05e9\u05dc\u05d5\u05dd"  # Hebrew
    Reporter().warn(f"left out {name}")
    with pytest.raises(SystemExit):
        common._fail(f"{name}: cannot be read", 1, "DataError")
    told = capsys.readouterr().err
    assert told.count("a\\x1b]0;pwned\\x07\\x9b2J\\r.mp4") == 2
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(told)


def test_an_answer_is_printed_without_what_turns_letters_and_kept_in_json(capsys):
    common.print_answer({"label": "a\u202eb"}, "a\u202eb", as_json=False)
    common.print_answer({"label": "a\u202eb"}, "a\u202eb", as_json=True)
    text, line = capsys.readouterr().out.splitlines()
    assert text == "a\\u202eb"
    assert json.loads(line) == {"label": "a\u202eb"}
