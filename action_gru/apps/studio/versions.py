"""The models that a project's trainings left: which one is used, and what each said of itself."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from action_gru.apps.serving import MissingThingError
from action_gru.apps.studio.errors import what_of
from action_gru.apps.studio.verdict import DOCUMENT, FAIR, GOOD
from action_gru.core.errors import DataError
from action_gru.core.files import write_or_raise
from action_gru.training.library import RunInfo, delete_run, list_runs, rename_run

if TYPE_CHECKING:
    from action_gru.apps.studio.session import Studio

CURRENT = "current"  # in .studio: the name of the run that is used, where that is not the newest
_NUMBERED = re.compile(r"model-(\d+)")


class Part(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)


class Words(Part):
    level: str
    text: str


class OfAction(Part):
    name: str
    right: int
    total: int


class Mistake(Part):
    clip: str
    was: str
    said: str
    score: float
    like: str | None


class Told(Part):
    """What a training in the studio said, as `work_training.describe` keeps it with the run.

    A run may come from elsewhere, so every value is checked.
    """

    when: str
    score: float
    clips: int
    held_out: int
    verdict: Words
    advice: list[str]
    actions: list[OfAction]
    mistakes: list[Mistake]
    known: list[str]


class Versions:
    """The finished runs of a studio's project. Its methods may be called from any thread."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.folder = studio, studio.project.runs
        self._chosen = studio.project.hidden / CURRENT
        self._lock = threading.Lock()
        self._seen: object = None
        self._runs: tuple[RunInfo, ...] = ()
        self._documents: dict[str, dict[str, Any]] = {}

    def runs(self) -> tuple[RunInfo, ...]:
        """Those that are finished, the newest first; quick where nothing changed."""
        with self._lock:
            stamp = self._stamp()
            if stamp != self._seen:
                found = [run for run in list_runs(self.folder) if run.state == "finished"]
                self._runs, self._seen = tuple(found), stamp
                self._documents = {run.name: _document(run) for run in found}
            return self._runs

    def forget(self) -> None:
        """Read them again."""
        with self._lock:
            self._seen = None

    def current(self) -> RunInfo | None:
        """The run that is used: the chosen one, else the newest."""
        runs = self.runs()
        return next((run for run in runs if self._is_chosen(run.name)), runs[0] if runs else None)

    def known_clips(self) -> frozenset[str]:
        """The clips that the model in use was trained on or scored with."""
        run = self.current()
        return frozenset(self._documents[run.name].get("known", ())) if run else frozenset()

    def next_name(self) -> str:
        """model-1, model-2, ...: a name that no run had that is still there."""
        names = [path.name for path in self.folder.glob("model-*")]
        taken = [int(found[1]) for name in names if (found := _NUMBERED.fullmatch(name))]
        return f"model-{max(taken, default=0) + 1}"

    # What changes.

    def use(self, name: str) -> None:
        """Use this run until another is trained or chosen. Raises MissingThingError."""
        self._choose(self._find(name).name)

    def use_newest(self) -> None:
        self._chosen.unlink(missing_ok=True)
        self.forget()

    def rename(self, name: str, new_name: str) -> str:
        """Raises MissingThingError, and ConfigError for a name that cannot be or is taken."""
        run, is_current = self._find(name), self._is_chosen(name)
        found = rename_run(run.path, new_name).name
        self.forget()
        if is_current:
            self._choose(found)
        return found

    def delete(self, name: str) -> None:
        """Raises MissingThingError, and CheckpointError where it cannot be removed."""
        run, is_current = self._find(name), self._is_chosen(name)
        delete_run(run.path)
        self.forget()
        if is_current:
            self.use_newest()

    def _find(self, name: str) -> RunInfo:
        found = next((run for run in self.runs() if run.name == name), None)
        if found is None:
            raise MissingThingError(f"there is no model '{name[:80]}'; it was renamed or deleted")
        return found

    def _is_chosen(self, name: str) -> bool:
        try:
            return self._chosen.read_bytes() == os.fsencode(name)
        except FileNotFoundError:
            return False

    def _choose(self, name: str) -> None:
        write_or_raise(self._chosen, os.fsencode(name), DataError)

    def _stamp(self) -> object:
        if not self.folder.is_dir():
            return ()
        found = [self.folder, *(run / DOCUMENT for run in sorted(self.folder.glob("[!.]*/")))]
        return tuple((str(path), path.stat().st_mtime_ns) for path in found if path.exists())

    # What a page draws.

    def model(self) -> dict[str, Any] | None:
        """The part `model` of the state: the run in use, and what its training said."""
        run = self.current()
        if run is None:
            return None
        here = {clip.id for clip in self.studio.shelf.clips()}
        document = self._documents[run.name]
        mistakes = [
            one | {"like": one["like"] if one["like"] in here else None}
            for one in document["mistakes"]
            if one["clip"] in here
        ]
        shown = {key: value for key, value in document.items() if key != "known"}
        return {"run": run.name} | shown | {"mistakes": mistakes}

    def list(self) -> list[dict[str, Any]]:
        """The part `versions` of the state, the newest first."""
        current = self.current()
        return [
            {
                "run": run.name,
                "name": run.name,
                "when": run.when.isoformat(timespec="seconds"),
                "score": run.score,
                "clips": run.clips,
                "classes": list(run.classes),
                "current": current is not None and run.name == current.name,
                "actions": self._documents[run.name]["actions"],
            }
            for run in self.runs()
        ]


def _document(run: RunInfo) -> dict[str, Any]:
    """What its training in the studio said; of a run of a command line, what its score says."""
    path = run.path / DOCUMENT
    found: dict[str, Any] = {
        "when": run.when.isoformat(timespec="seconds"),
        "score": run.score,
        "clips": run.clips,
        "held_out": 0,
        "verdict": {"level": "poor", "text": "Trained without clips to score it on."},
        "advice": [],
        "actions": [],
        "mistakes": [],
    }
    if run.score is not None:
        level = "good" if run.score >= GOOD else "fair" if run.score >= FAIR else "poor"
        text = f"Trained by a command line; {run.metric} {run.score:.2f} on its test clips."
        found["verdict"] = {"level": level, "text": text}
    if path.is_file():
        try:
            return Told.model_validate_json(path.read_bytes()).model_dump()
        except (OSError, ValueError) as error:  # the model itself is whole
            text = f"What its training said cannot be read: {path} is damaged ({what_of(error)})."
            return found | {"verdict": {"level": "poor", "text": text}}
    return found
