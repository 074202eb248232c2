"""The command line. Progress goes to stderr, the answer alone to stdout."""

from __future__ import annotations

import sys


def main(*command: str) -> None:
    """Run the process's arguments, after the given command if there is one."""
    from action_gru.cli.commands import app
    from action_gru.cli.common import run

    run(app, [*command, *sys.argv[1:]])
