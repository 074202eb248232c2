"""A worker module whose process ends while it starts, until the file `mended` is in its folder."""

import os
from pathlib import Path


def warm(tell):
    if not Path("mended").exists():
        os._exit(3)


def echo(tell, value):
    return value


TASKS = {"echo": echo}
