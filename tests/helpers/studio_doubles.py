"""A studio whose engines work in this process, and the app of single parts of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from action_gru.apps.serving import status_of
from action_gru.apps.studio.engine import READY, TaskError
from action_gru.apps.studio.session import Studio
from action_gru.core.errors import ActionGruError
from action_gru.streaming import TimelineReader
from helpers.web_doubles import FakeRecognizer

ACTIONS = ("nothing in particular", "bright", "dark")


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


class Recognizer(FakeRecognizer):
    """Untrained, and quick to make; knows the three actions of ACTIONS, one as background."""

    classes, threshold = ACTIONS, 0.4
    checkpoint = SimpleNamespace(calibration=None)
    config = SimpleNamespace(events=SimpleNamespace(background=ACTIONS[:1]))

    def __init__(self) -> None:
        super().__init__()
        self.engine.classes = ACTIONS

    def read_timeline(self, video):
        return TimelineReader(self.stream(), video, 4)


def open_studio(folder: Path, *actions: str, model: str | None = "model-1") -> Studio:
    """A project with these actions; model: the name of the run in use."""
    studio = Studio(folder)
    for action in actions:
        studio.project.add(action)
    use_model(studio, model)
    return studio


def use_model(studio: Studio, name: str | None) -> None:
    """Another model is in use now."""
    studio.parts["model"] = lambda: name and {"run": name}
    studio.changed()


def client_of(studio: Studio, routes: Callable[[Studio], Any]) -> TestClient:
    """A client of one part alone, whose errors are answered as the studio answers them.

    Use it in a `with`, where something is done between requests.
    """
    return TestClient(app_of(studio, routes))


def app_of(studio: Studio, *parts: Callable[[Studio], Any]) -> FastAPI:
    """The routes of some parts alone."""
    app = FastAPI()
    for routes in parts:
        app.include_router(routes(studio))

    def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ActionGruError)
        return JSONResponse({"error": str(error)}, status_of(error))

    app.add_exception_handler(ActionGruError, refused)
    return app


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The address of an app that is served, for clients of other programs."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, log_level="warning"))
    thread = Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def jpeg(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB as the page's canvas sends it."""
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])
