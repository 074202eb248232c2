"""A studio's app without its worker processes, asked as a browser asks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from action_gru.apps.studio.server import make_app
from action_gru.apps.studio.session import Studio

HERE = "http://127.0.0.1:7861"
EVENTS = "ws://127.0.0.1:7861/api/events"
FROM_PAGE = {"origin": HERE}


class IdleEngine:
    """In place of an engine: ready at once; what it is asked stays in `asked` and never ends."""

    def __init__(self, name: str) -> None:
        self.name, self.state, self.text = name, "ready", ""
        self.asked: list[tuple[str, tuple[object, ...]]] = []

    def start(self) -> None: ...

    def close(self) -> None: ...

    def ask(self, task: str, *args: object, **_: object) -> Future[Any]:
        self.asked.append((task, args))
        return Future()


@contextmanager
def open_app(folder: Path, **options: Any) -> Iterator[tuple[TestClient, Studio]]:
    """The client and the studio of a folder while its app runs."""
    studio = Studio(folder)
    studio.reader, studio.trainer = IdleEngine("reader"), IdleEngine("trainer")
    app = make_app(studio, **options)
    kept = {"base_url": HERE, "headers": FROM_PAGE, "raise_server_exceptions": False}
    with TestClient(app, **kept) as client:
        yield client, studio
