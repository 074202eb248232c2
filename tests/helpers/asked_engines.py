"""A studio without workers: a real project and shelf, and engines that a test answers for."""

from concurrent.futures import Future
from pathlib import Path

from action_gru.apps.studio.session import Studio
from action_gru.core.errors import ActionGruError


class FakeEngine:
    """Keeps what was asked; a test gives the answers."""

    def __init__(self, name: str) -> None:
        self.name, self.state, self.text = name, "ready", ""
        self.asked: list[tuple[str, tuple]] = []
        self.futures: list[Future] = []
        self.told: list = []
        self.restarts = 0
        self.is_closed = False

    def ask(self, task, *args, urgent=False, told=None):
        future = Future()
        self.asked.append((task, args))
        if task != "forget_clips":  # nobody waits for that
            self.futures.append(future)
            self.told.append(told)
        return future

    def answer(self, value, number: int = -1) -> None:
        """Answer the newest question, or another; an error fails it."""
        if isinstance(value, ActionGruError):
            self.futures[number].set_exception(value)
        else:
            self.futures[number].set_result(value)

    def restart(self) -> None:
        self.restarts += 1

    def start(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True


def studio_in(folder: Path) -> Studio:
    """A studio whose engines are doubles, not started."""
    studio = Studio(folder)
    studio.reader, studio.trainer = FakeEngine("reader"), FakeEngine("trainer")
    return studio


def add_clips(studio: Studio, **counts: int) -> None:
    """Empty files as clips of each action, numbered from 1."""
    for action, count in counts.items():
        folder = studio.project.clips / action
        folder.mkdir(exist_ok=True)
        for number in range(1, count + 1):
            (folder / f"20261129-101500-{number}.webm").write_bytes(bytes([number]) * number)
    studio.clips_changed()
