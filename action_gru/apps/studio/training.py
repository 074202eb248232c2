"""Train: one button, its progress, cancel; and the models that came of it.

The clips that are still being read are waited for. The trainer process does the work; a cancelled
or killed training leaves no half run.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from concurrent.futures import Future
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from action_gru.apps.studio.bodies import Body
from action_gru.apps.studio.engine import StoppedTaskError
from action_gru.apps.studio.session import Facts, Studio
from action_gru.apps.studio.verdict import PLACE, why_not
from action_gru.apps.studio.versions import Versions
from action_gru.core.errors import ActionGruError

BROKEN_OFF = (
    "the last training was broken off when the studio ended; no clip was lost, so train again"
)
Name = Annotated[str, Field(min_length=1, max_length=200)]


class NotNowError(ActionGruError):
    """What was asked for cannot be begun, or stopped, as things are."""

    status = 409


class Training:
    """The training of a studio: none, waiting for clips, or running in the trainer."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.versions = studio, Versions(studio)
        self._lock = threading.Lock()
        self._news = _news("idle")
        self._is_waiting = False
        self._number = 0  # of the newest training: what is heard of an older one is nothing
        studio.parts |= {
            "training": self.state,
            "model": self.versions.model,
            "versions": self.versions.list,
        }
        studio.listeners.append(self._go_on)
        studio.on_clips.append(self._tell_broken_off)  # first at the start of the studio

    def state(self) -> dict[str, Any]:
        """The part `training` of the state."""
        with self._lock:
            news = dict(self._news) | {"curve": list(self._news["curve"])}
        is_running = news["state"] == "running"
        known, unknown = self.versions.known_clips(), Facts()
        new = [
            clip.id
            for clip in self.studio.shelf.clips()
            if clip.id not in known and self.studio.facts.get(clip.id, unknown).problem is None
        ]
        missing = None if is_running else self._missing()
        return news | {"why_not": missing, "clips_new": len(new)}

    def start(self) -> None:
        """Train on the clips of now. Raises NotNowError."""
        self.studio.read_again()
        with self._lock:
            missing = self._missing()
            if self._news["state"] == "running":
                raise NotNowError("a training is running; cancel it, or wait for its end")
            if missing is not None:
                raise NotNowError(missing)
            self._news, self._is_waiting = _news("running"), True
            self._number += 1
        self.studio.changed()  # and so `_go_on`

    def cancel(self) -> None:
        """End the training; nothing of it stays. Raises NotNowError."""
        with self._lock:
            if self._news["state"] != "running":
                raise NotNowError("no training is running")
            self._news = _news("cancelled")
            is_begun, self._is_waiting = not self._is_waiting, False
        if is_begun:
            self.studio.trainer.restart()
        self.studio.changed()

    def _tell_broken_off(self) -> None:
        """Remove what is left of a training that an earlier studio broke off, and say so."""
        left = self.studio.folder / PLACE
        with self._lock:
            if self._number or not left.is_dir():
                return
            shutil.rmtree(left, ignore_errors=True)
            self._news = _news("failed") | {"error": BROKEN_OFF}

    def _missing(self) -> str | None:
        facts, unknown = self.studio.facts, Facts()
        usable = [c for c in self.studio.shelf.clips() if facts.get(c.id, unknown).problem is None]
        return why_not(Counter(clip.action for clip in usable))

    def _go_on(self) -> None:
        """Begin, once no clip waits to be read; called after every change of anything."""
        with self._lock:
            if not self._is_waiting:
                return
            states = [fact.features for fact in list(self.studio.facts.values())]
            if "waiting" in states:
                read = sum(state != "waiting" for state in states) / len(states)
                self._news["share"] = round(0.1 * read, 3)
                return
            self._is_waiting, number = False, self._number
        asked = self.studio.trainer.ask(
            "train_project",
            self.versions.next_name(),
            told=lambda value: self._hear(number, value),
        )
        asked.add_done_callback(lambda future: self._end(number, future))

    def _hear(self, number: int, value: dict[str, Any]) -> None:
        with self._lock:
            if number != self._number or self._news["state"] != "running":
                return
            if "epoch" in value:
                self._news["curve"].append(value["epoch"])
            else:
                self._news |= value
        self.studio.changed()

    def _end(self, number: int, future: Future[str]) -> None:
        error = future.exception()
        if error is not None:
            shutil.rmtree(self.studio.folder / PLACE, ignore_errors=True)
        else:
            self.versions.use_newest()
        with self._lock:
            if number == self._number and self._news["state"] == "running":
                kept = {key: self._news[key] for key in ("curve", "draft")}
                if error is None:
                    self._news = _news("idle") | kept
                elif isinstance(error, StoppedTaskError):
                    self._news = _news("cancelled")
                else:
                    self._news = _news("failed") | kept | {"error": str(error)}
        self.studio.changed()


def _news(state: str) -> dict[str, Any]:
    news = {"state": state, "stage": "reading clips", "share": 0.0, "curve": [], "error": None}
    return news | {"draft": None}


class RunName(Body):
    run: Name


class NewRunName(RunName):
    name: Name


def routes(studio: Studio) -> APIRouter:
    """/api/training and /api/versions."""
    router, training = APIRouter(prefix="/api"), Training(studio)
    versions = training.versions

    @router.post("/training", status_code=202)
    def start(body: Body) -> dict[str, str]:
        training.start()
        return {}

    @router.post("/training/cancel")
    def cancel(body: Body) -> dict[str, str]:
        training.cancel()
        return {}

    @router.post("/versions/use")
    def use(body: RunName) -> dict[str, str]:
        versions.use(body.run)
        studio.changed()
        return {}

    @router.post("/versions/rename")
    def rename(body: NewRunName) -> dict[str, str]:
        found = versions.rename(body.run, body.name)
        studio.changed()
        return {"run": found}

    @router.post("/versions/delete")
    def delete(body: RunName) -> dict[str, str]:
        versions.delete(body.run)
        studio.changed()
        return {}

    return router
