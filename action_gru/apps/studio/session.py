"""One open project of the studio: its folder, its engines, and the state that pages see."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from action_gru.apps.studio.engine import Engine
from action_gru.apps.studio.shelf import Shelf
from action_gru.apps.studio.video_shelf import VideoShelf
from action_gru.core.errors import ConfigError
from action_gru.core.files import hold_folder, write_or_raise
from action_gru.core.progress import Reporter
from action_gru.prepare.project import open_project

WORK = "action_gru.apps.studio.work_"
# The modules of each engine: work_X.py. The server never imports them.
READER: tuple[str, ...] = ("clips", "live", "tries", "use", "videos")
TRAINER: tuple[str, ...] = ("training", "use")
LOOK_EVERY_S = 1.0  # at the folder, for what others changed in it


@dataclass(frozen=True)
class Facts:
    """What the reader found out about a clip.

    features: 'waiting', 'ready' or 'failed'. problem: why it cannot be used. warnings: of dark,
    still and same. like: the clip that it nearly equals. file_s: how long the file is.
    """

    features: str = "waiting"
    problem: str | None = None
    warnings: tuple[str, ...] = ()
    like: str | None = None
    file_s: float | None = None


class Studio:
    """What the routes share. Its methods may be called from any thread.

    parts: the name of a part of the state -> what gives its JSON value. on_clips: called after
    clips changed on disk. listeners: called after any change. read_again: has clips tried once more
    that could not be read by no fault of their own.
    """

    def __init__(self, folder: Path) -> None:
        self.project = open_project(folder)
        self.folder = self.project.folder
        self.shelf = Shelf(self.project, self.clips_changed)
        # Here, since what a crash cut short is finished before there are routes.
        self.shelf.renamed = VideoShelf(self.folder).relabel
        self.facts: dict[str, Facts] = {}
        self.parts: dict[str, Callable[[], Any]] = {}
        self.on_clips: list[Callable[[], None]] = []
        self.listeners: list[Callable[[], None]] = []
        self.read_again: Callable[[], None] = lambda: None
        self.revision, self._version = 0, version("action_gru")
        self._lock = threading.Lock()
        self._held: int | None = None
        self._address = self.project.hidden / "address"
        self._told: object = None
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="clips by hand", daemon=True)
        self.reader = self._engine("reader", READER)
        self.trainer = self._engine("trainer", TRAINER, self.reader)  # one records first

    def _engine(self, name: str, modules: tuple[str, ...], after: Engine | None = None) -> Engine:
        """Its worker's relative paths start in the project, as those of a command line there."""
        names = [WORK + module for module in modules]
        return Engine(name, names, self.changed, self.folder, after)

    def hold(self) -> None:
        """Have the project alone, and finish what a crash cut short.

        Raises ConfigError where another studio has it open.
        """
        if self._held is not None:
            return
        try:
            self._held = hold_folder(self.project.hidden)
        except BlockingIOError as error:
            place = (
                self._address.read_text("utf-8", "replace")
                if self._address.is_file()
                else "its page"
            )
            raise ConfigError(
                f"{self.folder} is open in another studio; use {place}, or end that one first"
            ) from error
        self.shelf.recover()

    def tell_address(self, address: str) -> None:
        """Keep where the page is, for who opens the project a second time."""
        write_or_raise(self._address, address.encode(), ConfigError)

    def start(self) -> None:
        """Start the engines in the background, and follow the folder."""
        self.hold()
        self.reader.start()
        self.trainer.start()
        self._watcher.start()

    def close(self) -> None:
        self._closing.set()
        self.reader.close()
        self.trainer.close()
        if self._held is not None:
            self._address.unlink(missing_ok=True)
            os.close(self._held)
            self._held = None

    def clips_changed(self) -> None:
        """Tell every part that clips or actions are others now."""
        try:
            self.project.keep()
        except ConfigError as error:
            with suppress(OSError):  # what the terminal tells may go to the same full disk
                Reporter().warn(str(error))
        self._told = self._clips_now()
        for look in self.on_clips:
            look()
        self.changed()

    def _watch(self) -> None:
        """Follow changes by hand, or by another program."""
        told = None
        while not self._closing.wait(LOOK_EVERY_S):
            try:
                if self._clips_now() != self._told:
                    self.clips_changed()
            except OSError as error:  # a folder that may not be read, a disk that is gone
                if str(error) != told:
                    told = str(error)
                    Reporter().warn(f"{self.folder} cannot be looked at: {told}")

    def _clips_now(self) -> object:
        project, shelf = self.project, self.shelf
        return shelf.clips(), project.actions(), project.problem, shelf.problem

    def changed(self) -> None:
        """Tell every page that the state is another one."""
        with self._lock:
            self.revision += 1
        for listener in tuple(self.listeners):  # a page may leave meanwhile
            listener()

    def state(self) -> dict[str, Any]:
        """What a page draws."""
        engines = {
            engine.name: {"state": engine.state, "text": engine.text}
            for engine in (self.reader, self.trainer)
        }
        own = {"revision": self.revision, "version": self._version, "engines": engines}
        return own | {name: part() for name, part in self.parts.items()}
