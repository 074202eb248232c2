"""A studio whose engines work in this process, and the app of single parts of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from action_gru.apps.studio.engine import READY, TaskError
from action_gru.apps.studio.errors import status_of
from action_gru.apps.studio.session import Studio
from action_gru.core.errors import ActionGruError


class InlineEngine:
    """An engine whose tasks run in one thread of this process."""

    state, text = READY, ""

    def __init__(self, *modules: str, **tasks: Callable[..., Any]) -> None:
        self.tasks = dict(tasks)
        for name in modules:
            self.tasks |= import_module(f"action_gru.apps.studio.work_{name}").TASKS
        self.asked: list[tuple[Any, ...]] = []
        self._thread = ThreadPoolExecutor(1)

    def ask(self, task: str, *args: object, urgent: bool = False, told: Any = None) -> Future[Any]:
        self.asked.append((task, *args))
        return self._thread.submit(self._do, task, args, told or (lambda value: None))

    def _do(self, task: str, args: tuple[object, ...], told: Callable[[Any], None]) -> Any:
        try:
            return self.tasks[task](told, *args)
        except ActionGruError as error:
            raise TaskError(str(error)) from error

    def close(self) -> None:
        self._thread.shutdown()


def open_studio(folder: Path, *actions: str, run: Path | None = None) -> Studio:
    """A project with these actions; run: the model in use, linked into its runs."""
    studio = Studio(folder)
    for action in actions:
        studio.project.add(action)
    use_run(studio, run)
    return studio


def use_run(studio: Studio, run: Path | None, name: str = "model-1") -> None:
    """Another model is in use now."""
    if run is not None:
        (studio.folder / "runs").mkdir(exist_ok=True)
        (studio.folder / "runs" / name).symlink_to(run)
    studio.parts["model"] = lambda: None if run is None else {"run": name}
    studio.changed()


def client_of(studio: Studio, routes: Callable[[Studio], Any]) -> TestClient:
    """A client of one part alone, whose errors are answered as the studio answers them."""
    app = FastAPI()
    app.include_router(routes(studio))

    def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ActionGruError)
        return JSONResponse({"error": str(error)}, status_of(error))

    app.add_exception_handler(ActionGruError, refused)
    return TestClient(app)


def jpeg(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB as the page's canvas sends it."""
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])
