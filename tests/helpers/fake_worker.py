"""A worker module of the studio without networks, for tests of what talks to workers."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from action_gru.core.errors import DataError


def warm(tell):
    tell("warming up")
    return "without networks"


def echo(tell, value):
    return value


def count(tell, most):
    for number in range(most):
        tell(number)
    return most


def refuse(tell):
    raise DataError("clips: none; record some")


def fail(tell):
    raise ZeroDivisionError("by zero")


def die(tell):
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(tell, seconds):
    tell("begun")
    time.sleep(seconds)


def locked(tell):
    return threading.Lock()  # cannot be pickled


def where(tell):
    return str(Path.cwd()), os.getpid()


def with_child(tell):
    """Start a process that ends with its stdin, as a decoder does; its number."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    tell(child.pid)
    time.sleep(60)


TASKS = {
    "echo": echo, "count": count, "refuse": refuse, "fail": fail, "die": die, "sleep": sleep,
    "locked": locked, "where": where, "with_child": with_child,
}  # fmt: skip
