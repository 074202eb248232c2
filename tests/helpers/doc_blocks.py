"""The code blocks of the pages, and how each is run. Knows nothing of what the pages say."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from helpers import ROOT
from helpers.command_line import run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"(?:^<!-- ([^\n]*) -->\n+)?^(```+)(\S*)\n(.*?)^\2$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"not run: (.+)")
COMMANDS, SHOWN = {"console", "sh"}, {"output"}
SERVER = re.compile(r"action-gru serve\b.* --port \d+")
STEADY = {"MPLBACKEND": "Agg", "COLUMNS": "100"}


class Block(NamedTuple):
    """A fenced block. note: the comment right above it."""

    page: Path
    line: int
    language: str
    text: str
    note: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def reason(self) -> str | None:
        """Why it is not run, where the page says so."""
        found = NOT_RUN.fullmatch(self.note)
        return found and found[1]

    @property
    def lines(self) -> list[str]:
        """Its commands, one each; a backslash carries a line on."""
        whole = self.text.replace("\\\n", " ")
        return [line for line in whole.splitlines() if line.split("#")[0].strip()]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start(2)) + 1, found[3], found[4], found[1] or "")
        for found in FENCE.finditer(text)
    ]


class Shell:
    """Runs the commands of one page, in its folder; servers go on until it is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.servers, self.addresses = folder, [], {}
        python = shlex.quote(sys.executable)
        self.names = (
            f'action-gru() {{ {python} -m action_gru "$@"; }}; python() {{ {python} "$@"; }}; '
        )
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, **STEADY, "PYTHONPATH": str(ROOT), "PATH": path}

    def __enter__(self) -> "Shell":
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.terminate()
            server.communicate(timeout=60)

    def run(self, line: str) -> str:
        """What the command prints on stdout; fails where it ends in an error."""
        if SERVER.match(line):
            return self._serve(shlex.split(line, comments=True)[1:])
        if re.match(r"action-gru\b", line) and not re.search(r"[|<>;&$]", line.split("#")[0]):
            words = shlex.split(line, comments=True)[1:]
            return run(*_expanded(words, self.folder), cwd=self.folder).stdout
        line = self.at_free_ports(line)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.names + line], cwd=self.folder,
            env=self.environment, capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def at_free_ports(self, text: str) -> str:
        """The text with the addresses of the page's servers as they are here."""
        for told, real in self.addresses.items():
            text = text.replace(told, real)
        return text

    def _serve(self, words: list[str]) -> str:
        """Starts it at a free port, which stands for the page's in later commands."""
        at = words.index("--port") + 1
        told, words[at] = words[at], "0"
        server = subprocess.Popen(
            [sys.executable, "-m", "action_gru", *words], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.servers.append(server)
        for line in server.stdout:
            if found := re.search(r"http://([\d.]+:\d+)", line):
                self.addresses[f"127.0.0.1:{told}"] = found[1]
                return line
        raise AssertionError(f"{words[0]} ended with {server.wait()} before it told its address")


def _expanded(words: list[str], folder: Path) -> list[str]:
    """With the files in place of `days/*.eaf`, as a shell gives them."""
    return [each for word in words for each in (_matches(folder, word) if "*" in word else [word])]


def _matches(folder: Path, pattern: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.glob(pattern))


def missing_lines(shown: str, printed: str) -> list[str]:
    """The lines of an output block whose form was not printed, in this order; `...` is anything.

    A sentence may go on in print: "36 of 40 right." beside "3 of 9 right, which says little.";
    and classes stand in the order of their scores, which other clips change.
    """
    forms = [_form(line) for line in printed.splitlines()]
    missing = []
    for line in filter(str.strip, shown.splitlines()):
        wanted = _form(line).removesuffix(".")
        found = [at for at, form in enumerate(forms) if _is_like(form, wanted)]
        if found:
            forms = forms[found[0] + 1 :]
        elif wanted != "..":
            missing.append(line)
    return missing


def _is_like(form: str, wanted: str) -> bool:
    return form.startswith(wanted) or sorted(form.split()) == sorted(wanted.split())


def _form(line: str) -> str:
    """The line with each number as 0 and each stretch of space as one; sure or not is all one."""
    line = line.replace("unsure, perhaps ", "")
    return " ".join(re.sub(r"[-+]?\d+(?:[.:,]\d+)*", "0", line).split())


def quick_config(validate: Any) -> Any:
    """The config's reader with small defaults: what a page leaves out must not cost minutes."""

    def smaller(text: str) -> Any:
        tree = json.loads(text)
        tree.setdefault("features", {}).setdefault("weights", "builtin")
        tree["features"].setdefault("image_size", 64)
        tree.setdefault("training", {}).setdefault("epochs", 2)
        tree["training"].setdefault("device", "cpu")
        return validate(json.dumps(tree))

    return smaller
