"""How this process was started, and which of several it is, as a launcher says in the environment.

`torchrun` and `accelerate launch` set RANK, WORLD_SIZE and LOCAL_WORLD_SIZE.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from action_gru.core.errors import ConfigError


def program() -> list[str]:
    """The words that start this program again, from the same folder."""
    started = Path(sys.argv[0])
    if started.stem == "action-gru":
        found = shutil.which(started.name)
        return [started.name if found and Path(found) == started.absolute() else sys.argv[0]]
    found = shutil.which("python")
    is_first = found is not None and Path(found) == Path(sys.executable)
    return ["python" if is_first else sys.executable, "-m", "action_gru"]


def process_count() -> int:
    """How many processes were launched together, on all machines; 1 without a launcher.

    These three raise ConfigError for a variable that is no such number.
    """
    return _number("WORLD_SIZE", 1, least=1)


def process_rank() -> int:
    """The number of this process among them, from 0."""
    return _number("RANK", 0) if process_count() > 1 else 0


def processes_here() -> int:
    """How many of them run on this machine."""
    return max(1, min(_number("LOCAL_WORLD_SIZE", process_count()), process_count()))


def refuse_several(command: str) -> None:
    """Raise ConfigError where a launcher started several processes of what is made for one."""
    if process_count() > 1:
        raise ConfigError(
            f"{command} runs in one process, and a launcher started {process_count()}; start it "
            "without torchrun or accelerate launch (train and resume run in several)"
        )


def only_one_was_meant() -> bool:
    """Did the user ask `accelerate launch --cpu` for several, of which it starts one?

    It names a meeting point then, and no process count.
    """
    return "WORLD_SIZE" not in os.environ and {"MASTER_PORT", "ACCELERATE_USE_CPU"} <= {*os.environ}


def check_meeting_point() -> None:
    """Raise ConfigError where several processes were not told where to meet."""
    lacking = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if process_count() > 1 and lacking:
        raise ConfigError(
            f"{', '.join(lacking)}: not set, and WORLD_SIZE={process_count()} asks for several "
            "processes; start them with torchrun or accelerate launch, or unset WORLD_SIZE"
        )


def _number(name: str, default: int, least: int = 0) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(
            f"{name}: the environment says {text!r}, and a launcher sets a whole number from "
            f"{least} on; unset it, or start with torchrun or accelerate launch"
        )
    return int(text)
