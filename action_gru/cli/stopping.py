"""What ctrl-C leaves the user with: the command to go on with, ready to be pasted."""

from __future__ import annotations

import shlex
from typing import Any

from typer.core import TyperGroup

from action_gru.core.errors import RunInterrupted
from action_gru.core.machine import process_count, program

ENDLESS = ("watch", "webcam", "web")  # what they did not see has gone by


class Stopped(BaseException):
    """ctrl-C in a command. Typer makes an exit code of a KeyboardInterrupt, which tells no run."""


class Commands(TyperGroup):
    """Commands whose interrupts come out as `Stopped`."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Stopped from stop


def command_again(arguments: list[str], stop: BaseException | None) -> str | None:
    """The command that goes on: with the run that was begun, or the same again; None for none."""
    command = next((text for text in arguments if not text.startswith("-")), None)
    if command is None or command in ENDLESS:
        return None
    if isinstance(stop, RunInterrupted) and command != "resume":
        arguments = ["resume", str(stop.run)]
    return shlex.join([*program(), *arguments])


def sentence(again: str | None, stop: BaseException | None) -> str:
    """What became of the work, and the command in a line of its own."""
    if again is None:
        return "interrupted; what was finished is kept"
    how = "go on with" if isinstance(stop, RunInterrupted) else "run the same command again"
    several = ", under the same launcher" if process_count() > 1 else ""
    return f"interrupted; what was finished is kept; {how}{several}:\n  {again}"
