"""A studio without worker processes: its reader answers at once, with what a test wants."""

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

from action_gru.apps.studio.engine import TaskError
from action_gru.apps.studio.shelf import Shelf
from action_gru.core.errors import ActionGruError
from action_gru.prepare.project import open_project

PLAYABLE = {"duration_s": 4.0, "fps": 10.0, "codec": "h264 yuv420p"}


class FakeReader:
    """tasks: name -> what a task answers, or the error that it raises, or a function of its
    arguments. asked: the calls.
    """

    def __init__(self, **tasks):
        self.tasks, self.asked = {"video_facts": PLAYABLE} | tasks, []

    def ask(self, task, *args, urgent=False, told=None):
        self.asked.append((task, *args))
        future, answer = Future(), self.tasks[task]
        try:
            if isinstance(answer, Exception):
                raise answer
            future.set_result(answer(*args) if callable(answer) else answer)
        except ActionGruError as error:
            future.set_exception(TaskError(str(error)))
        return future


class FakeStudio(SimpleNamespace):
    """A real project and shelf."""

    def __init__(self, folder: Path, **tasks):
        project = open_project(folder)
        reader = FakeReader(**tasks)
        parts, on_clips = {}, []
        super().__init__(
            folder=folder, project=project, reader=reader, parts=parts, on_clips=on_clips, news=0
        )
        self.shelf = Shelf(project, self.clips_changed)

    def changed(self):
        self.news += 1

    def clips_changed(self):
        for heard in self.on_clips:
            heard()
        self.changed()
