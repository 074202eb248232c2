"""`action-gru studio` opens a project's page, says what is missing, and ends cleanly."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from helpers.command_line import action_gru
from helpers.dataset_trees import make_tree

from action_gru.apps.studio import server
from action_gru.prepare.project import open_project

WEBM = b"\x1a\x45\xdf\xa3" + bytes(300_000)


@pytest.fixture
def served(monkeypatch) -> list[tuple]:
    """What would be served."""
    calls: list[tuple] = []

    def serve(folder, host, port, open_browser, ready) -> None:
        calls.append((folder, host, port, open_browser))
        ready("http://here/")

    monkeypatch.setattr(server, "serve", serve)
    return calls


def test_it_prints_the_address_alone_and_where_the_project_is(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = action_gru("studio", "mine", "--port", 0, "--no-browser")
    assert done.out == "http://here/\n"
    assert f"the project is {tmp_path / 'mine'}; press ctrl-C to end" in done.err
    assert served == [(Path("mine"), "127.0.0.1", 0, False)]


def test_without_a_folder_it_is_this_one_if_that_is_a_project(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    action_gru("studio")
    open_project(tmp_path)
    action_gru("studio", "-q")
    assert [(folder, opened) for folder, _, _, opened in served] == [
        (Path("my-actions"), True),
        (Path(), True),
    ]


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "websockets"])
def test_what_is_not_installed_is_told_with_the_command(package, monkeypatch, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else real(name)
    )
    monkeypatch.chdir(tmp_path)
    done = action_gru("studio", code=8)
    assert f"the studio needs the package '{package}'" in done.err
    assert "pip install 'action-gru[studio]'" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_project_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "project.yaml").write_text("format: action-gru 1\nactions: 5\n")
    assert "project.yaml, line 2: actions is a list" in action_gru("studio", tmp_path, code=2).err
    make_tree(tmp_path / "clips", "a/1.mp4", "b/1.mp4")
    assert "itself holds folders of clips" in action_gru("studio", tmp_path / "clips", code=2).err
    assert (
        "cannot be listened on" in action_gru("studio", tmp_path / "x", "--host", "9.9", code=2).err
    )


class Running:
    """The command in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "action_gru", "studio", str(folder), "--no-browser"]
        self.process = subprocess.Popen(
            [*command, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def ask(self, path: str, data: bytes | None = None) -> tuple[int, object]:
        headers = {"origin": self.address.rstrip("/"), "content-type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def end(self, number: int) -> tuple[int, str]:
        """The exit code, and what was said."""
        if number == signal.SIGKILL:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        said = self.process.communicate(timeout=20)[1]
        return self.process.returncode, said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_answers_is_alone_and_ends_cleanly(number, tmp_path):
    running = Running(tmp_path / "p")
    try:
        assert running.ask("api/state")[0] == 200
        assert running.ask("api/actions", b'{"name": "wave"}')[0] == 201
        second = action_gru("studio", tmp_path / "p", "--no-browser", "--port", 0, code=2)
        assert f"is open in another studio; use {running.address}" in second.err
        code, said = running.end(number)
    finally:
        running.process.kill()
    assert code == 0
    assert "Traceback" not in said
    assert said.rstrip().endswith("closed")
    assert not (tmp_path / "p" / ".studio" / "address").exists()


@pytest.mark.slow
def test_killed_while_recording_it_has_every_clip_that_it_said_it_has(tmp_path):
    folder, said = tmp_path / "p", set()
    running = Running(folder)
    running.ask("api/actions", b'{"name": "wave"}')
    for turn in range(3):
        stopped = threading.Event()

        def record(turn: int = turn, running: Running = running, stopped=stopped) -> None:
            for number in range(1, 500):
                query = (
                    f"api/clips?action=wave&take=2026112{turn}-101500&number={number}&person=Ana"
                )
                try:
                    status, answer = running.ask(query, WEBM)
                except (OSError, ValueError):
                    break
                assert status == 201, answer
                said.add(answer["id"])
            stopped.set()

        recorder = threading.Thread(target=record)
        recorder.start()
        time.sleep(0.7 + 0.13 * turn)
        running.end(signal.SIGKILL)
        assert stopped.wait(30)
        recorder.join()
        running = Running(folder)
        clips = {clip["id"]: clip for clip in running.ask("api/state")[1]["clips"]}
        assert said <= clips.keys()
        assert len(clips) <= len(said) + turn + 1
        for clip in clips:
            assert (folder / "clips" / clip).stat().st_size == len(WEBM)
        assert {clips[clip]["person"] for clip in said} == {"Ana"}
        assert list((folder / ".studio" / "temp").iterdir()) == []
    running.end(signal.SIGINT)
    assert len(said) > 3
    shutil.rmtree(folder)
