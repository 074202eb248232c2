"""Clients of `serve`: one generated from its schema, and each example of docs/serving.md."""

import contextlib
import importlib
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.serve_app import CLIP, GOLDEN, Running, golden_models
from helpers.studio_browser import chromium

PAGE = Path(__file__).parents[1] / "docs" / "serving.md"
LABELS = ("left", "right")
GOOD = GOLDEN / "clips" / "left_0.mp4"
KEY = "0123456789abcdef"


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def with_port(text: str, running: Running) -> str:
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{running.port}")


def console(program: str, running: Running) -> str:
    """The page's command of a program, for this server."""
    return with_port(next(one for one in blocks("console") if one.startswith(program)), running)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with contextlib.closing(Running(tmp_path_factory.mktemp("t"))) as server:
        yield server


@pytest.fixture
def here(running, monkeypatch, tmp_path):
    """A folder with the files that the examples name; an example with this server's address."""
    shutil.copy(GOOD, tmp_path / "clip.mp4")
    shutil.copy(CLIP, tmp_path / "long.mp4")
    monkeypatch.chdir(tmp_path)
    return lambda text: with_port(text, running)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_each_python_example_prints_what_the_library_says(number, here, tmp_path, capsys):
    script = tmp_path / "example.py"
    script.write_text(here(blocks("python")[number]))
    runpy.run_path(str(script))
    lines = capsys.readouterr().out.splitlines()
    assert lines
    expected = golden_models()["run"].recognizer
    if number == 0:
        assert lines == [expected.classify(GOOD).label]
    else:
        labels = [event.label for event in expected.timeline(CLIP).events]
        assert [line.split()[2] for line in lines] == labels


@pytest.mark.slow
def test_the_curl_example_gives_the_keys_that_the_page_shows(here, running):
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine (Debian package 'curl')")
    command = shlex.split(console("curl", running))
    done = subprocess.run([*command, "-sS"], capture_output=True, text=True, check=True)
    assert list(json.loads(done.stdout)) == list(json.loads(blocks("json")[0]))


@pytest.mark.slow
def test_the_browser_s_example_names_what_a_camera_shows(here, running):
    switches = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with chromium(None, *switches) as browser:
        context = browser.new_context(permissions=["camera"])
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{running.port}/")
        page.evaluate(f"async () => {{ {here(blocks('js')[0])} }}")
        for _ in range(300):
            if page.title().split()[0] in LABELS:
                break
            page.wait_for_timeout(100)
        assert page.title().split()[0] in LABELS


@pytest.mark.slow
def test_the_page_tells_every_route_and_loads_nothing_from_elsewhere(running):
    with chromium() as browser:
        page = browser.new_page()
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{running.port}/")
        page.set_input_files("input[type=file]", str(GOOD))
        page.click("text=Classify")
        page.wait_for_selector("#answer:has-text('score')", timeout=60_000)
        shown = page.inner_text("#routes")
        schema = json.loads(running.get("/openapi.json")[1])
        for path, methods in schema["paths"].items():
            for method in methods:
                assert f"{method.upper()} {path}" in shown
    assert errors == []
    assert all(url.startswith(f"http://127.0.0.1:{running.port}/") for url in asked)


@pytest.mark.slow
def test_a_generated_client_classifies_a_real_upload(tmp_path, monkeypatch):
    pytest.importorskip("openapi_python_client", reason="openapi-python-client is not installed")
    monkeypatch.setenv("ACTION_GRU_KEY", KEY)
    with contextlib.closing(Running(tmp_path)) as running:
        words = shlex.split(console("openapi-python-client", running))
        words = ["gruclient" if word == "client" else word for word in words]
        command = [sys.executable, "-m", "openapi_python_client", *words[1:]]
        monkeypatch.chdir(tmp_path)
        # The generator formats with the ruff beside this interpreter, and warns without one.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = os.environ | {"PATH": path}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert "warning" not in (done.stdout + done.stderr).lower(), done.stdout
        monkeypatch.syspath_prepend(str(tmp_path))
        part = importlib.import_module
        client = part("gruclient.client").AuthenticatedClient(
            f"http://127.0.0.1:{running.port}", KEY, timeout=120.0
        )
        models, types = part("gruclient.models"), part("gruclient.types")
        classify = part("gruclient.api.videos.classify")

        def ask(data: bytes, name: str):
            from io import BytesIO

            body = models.ClassifyVideoUpload(types.File(BytesIO(data), name))
            return classify.sync_detailed(client=client, body=body, top=1)

        answer = ask(GOOD.read_bytes(), "clip.mp4")
        expected = golden_models()["run"].recognizer.classify(GOOD)
        assert isinstance(answer.parsed, models.ClipAnswer)
        assert (answer.parsed.label, answer.parsed.score) == (expected.label, expected.score)
        refused = ask(b"text\n" * 50, "notes.txt")
        assert refused.status_code == 422
        assert isinstance(refused.parsed, models.ErrorAnswer)
        assert refused.parsed.error.startswith("notes.txt: this is text, not a video")
        listed = part("gruclient.api.server.list_models").sync(client=client)
        assert [one.name for one in listed.models] == ["run"]
        no_key = part("gruclient.client").Client(f"http://127.0.0.1:{running.port}")
        denied = part("gruclient.api.server.list_models").sync(client=no_key)
        assert isinstance(denied, models.ErrorAnswer)
