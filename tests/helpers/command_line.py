"""Runs a command as a user types it, in this process. Knows nothing below the command line."""

import contextlib
import functools
import io
import json
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
import typer

from action_gru.cli import common, main
from action_gru.cli.commands import app

# Typer makes every command anew for each call, which took a tenth of a second.
typer.main.get_command = functools.cache(typer.main.get_command)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Done(NamedTuple):
    """What a command printed."""

    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The JSON value of each line on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def answer(self) -> Any:
        """The JSON value of the only line on stdout."""
        (line,) = self.lines
        return line


def action_gru(*arguments: object, code: int = 0) -> Done:
    """Run `action-gru ARGUMENTS`; fails where it ends in another exit code."""
    out, err = StringIO(), StringIO()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    words = mock.patch.object(sys, "argv", ["action-gru", *map(str, arguments)])
    ended: object = None
    try:
        with words, redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        ended = end.code or 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ended == code, f"{arguments[0]} ended with {ended}: {err.getvalue()}"
    return Done(out.getvalue(), err.getvalue())


def run(*arguments: object, cwd: Path = Path(), code: int = 0) -> subprocess.CompletedProcess:
    """The command in this process: one of its own imports torch first, for seconds."""
    words, (out, err) = [str(argument) for argument in arguments], (io.StringIO(), io.StringIO())
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with (
            contextlib.chdir(cwd),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            common.run(app, words)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    done = subprocess.CompletedProcess(words, ended.value.code, out.getvalue(), err.getvalue())
    assert done.returncode == code, done.stderr
    return done
