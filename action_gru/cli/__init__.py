"""The command line. Progress goes to stderr, the answer alone to stdout."""

from __future__ import annotations

import gc
import os
import sys


def main(*command: str) -> None:
    """Run the process's arguments, after the given command if there is one."""
    # Waiting threads of torch sleep instead of spinning: on a busy machine a small training took
    # four times as long otherwise. Must be set before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Imports make many objects and no garbage: looking for it took an eighth of torch's import.
    gc.set_threshold(50_000)
    from action_gru.core.machine import use_one_arena

    use_one_arena()
    from action_gru.cli.commands import app
    from action_gru.cli.common import run

    run(app, [*command, *sys.argv[1:]])
