"""Which model the studio uses now, and how its routes ask the reader for longer work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from action_gru.apps.studio.engine import Engine, TaskError
from action_gru.apps.studio.session import Studio
from action_gru.core.errors import ActionGruError

NEWS_EVERY_S = 0.15
News = Callable[[dict[str, Any]], None]
NO_MODEL = "there is no trained model yet; record a few clips of two actions and train one first"


class NoModelError(ActionGruError):
    """Nothing was trained yet."""

    status = 409

    def __init__(self) -> None:
        super().__init__(NO_MODEL)


def current_run(studio: Studio) -> Path | None:
    """The folder of the model in use; None before the first one."""
    part = studio.parts.get("model")
    model = part() if part is not None else None
    return studio.project.runs / str(model["run"]) if model else None


@dataclass(frozen=True)
class Room:
    """Where a model is tried: the studio, or the page for visitors (apps/web).

    folder: of tried files. new_file: a path for what is on its way. run: the model in use.
    listeners: called after the model may have become another.
    """

    reader: Engine
    folder: Path
    new_file: Callable[[], Path]
    run: Callable[[], Path | None]
    listeners: list[Callable[[], None]]


def room_of(studio: Studio) -> Room:
    """The studio's own."""
    folder = studio.project.hidden / "tries"
    new_file, listeners = studio.shelf.new_file, studio.listeners
    return Room(studio.reader, folder, new_file, lambda: current_run(studio), listeners)


async def ask(engine: Engine, task: str, *args: object, urgent: bool = True) -> Any:
    """A task's result. Raises TaskError with the worker's sentence."""
    return await asyncio.wrap_future(engine.ask(task, *args, urgent=urgent))


async def do_job(
    engine: Engine, task: str, key: str, *args: object, news: News | None = None
) -> dict[str, Any]:
    """Begin a job (see `background`) and wait for its end: what it found. Raises TaskError.

    news: called with each report on the way. Where the waiting is cancelled the job is dropped.
    """
    try:
        await ask(engine, task, key, *args)
        while True:
            told: dict[str, Any] = await ask(engine, "job_news", key)
            if told["state"] == "failed":
                raise TaskError(told["error"])
            if news is not None:
                news(told)
            if told["state"] == "ready":
                return dict(told["found"])
            await asyncio.sleep(NEWS_EVERY_S)
    except asyncio.CancelledError:
        engine.ask("job_drop", key, urgent=True)
        raise
