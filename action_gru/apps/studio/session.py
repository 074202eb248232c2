"""One open project of the studio: its folder, its engines, and the state that pages see."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from action_gru.apps.studio.engine import Engine

WORK = "action_gru.apps.studio.work_"
# The modules of each engine: work_X.py. The server never imports them.
READER: tuple[str, ...] = ()
TRAINER: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What the reader found out about a clip.

    features: 'waiting', 'ready' or 'failed'. like: the clip that it nearly equals.
    """

    features: str = "waiting"
    problem: str | None = None
    warnings: tuple[str, ...] = ()
    like: str | None = None
    file_s: float | None = None


class Studio:
    """What the routes share. Its methods may be called from any thread.

    parts: the name of a part of the state -> what gives its JSON value. on_clips: called after
    clips changed on disk. listeners: called after any change.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Facts] = {}
        self.parts: dict[str, Callable[[], Any]] = {}
        self.on_clips: list[Callable[[], None]] = []
        self.listeners: list[Callable[[], None]] = []
        self.revision = 0
        self._lock = threading.Lock()
        self.reader = Engine("reader", [WORK + name for name in READER], self.changed)
        self.trainer = Engine("trainer", [WORK + name for name in TRAINER], self.changed)

    def start(self) -> None:
        """Start the engines in the background."""
        self.reader.start()
        self.trainer.start()

    def close(self) -> None:
        self.reader.close()
        self.trainer.close()

    def changed(self) -> None:
        """Tell every page that the state is another one."""
        with self._lock:
            self.revision += 1
        for listener in self.listeners:
            listener()

    def state(self) -> dict[str, Any]:
        """What a page draws; see docs/studio.md."""
        engines = {
            engine.name: {"state": engine.state, "text": engine.text}
            for engine in (self.reader, self.trainer)
        }
        own = {"revision": self.revision, "version": version("action_gru"), "engines": engines}
        return own | {name: part() for name, part in self.parts.items()}
