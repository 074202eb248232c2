"""The built wheel in an environment of its own, from an empty folder and an empty home.

`make test-wheel` alone runs it: it installs what pyproject.toml declares, and nothing else.
"""

import contextlib
import functools
import http.server
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif("WHEEL" not in os.environ, reason="of `make test-wheel` alone"),
]
DEVELOPERS = {"pytest", "ray", "moto", "playwright", "onnx", "hypothesis", "mypy"}
ENDS_WITHIN_S = 60
DRAW = """
from pathlib import Path
from action_gru.demo.dataset import write_video
from action_gru.demo.scenes import draw_clip
for label in ("wave", "clap"):
    for number in range(6):
        path = Path("mine", label, f"{number}.mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, draw_clip(label, 100 + number, fps=24.0), 24.0)
"""


@pytest.fixture(scope="module")
def built() -> Path:
    """The folder of the source archive and of the wheel that was built from it."""
    place = ROOT / os.environ["WHEEL"]
    shutil.rmtree(place, ignore_errors=True)
    _run([sys.executable, "-m", "build", "--outdir", place / "dist", ROOT], place.parent)
    return place / "dist"


@pytest.fixture(scope="module")
def installed(built) -> Path:
    """The programs of an environment with the wheel and what it asks for."""
    place = built.parent / "venv"
    _run([sys.executable, "-m", "venv", place], built)
    _install(place / "bin", f"{_only(built, '*.whl')}")
    return place / "bin"


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    """A folder with nothing in it but the home of a user who has nothing."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "home").mkdir()
    return folder


@pytest.fixture(scope="module")
def clips(installed, empty) -> Path:
    """Six clips of each of two actions, drawn by the installed package."""
    _run([installed / "python", "-c", DRAW], empty, **_users(empty))
    return empty / "mine"


@pytest.fixture(scope="module")
def run(installed, empty, clips) -> str:
    few = ["--weights", "builtin", "--epochs", "3", "--quiet"]
    return _action_gru(installed, empty, "train", clips.name, *few).splitlines()[-1]


def test_the_archives_hold_each_file_of_the_package_and_the_configs(built):
    kept = _run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT
    ).splitlines()
    with tarfile.open(_only(built, "*.tar.gz")) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    assert set(kept) - source == set()
    assert source - set(kept) == {"PKG-INFO"}
    with zipfile.ZipFile(_only(built, "*.whl")) as archive:
        wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    ours = {name for name in kept if name.startswith("action_gru/")}
    configs = {f"action_gru/{name}" for name in kept if name.startswith("configs/")}
    assert wheel == ours | configs


def test_what_is_declared_fits_together_and_no_developers_tool_comes_along(installed):
    _run([installed / "python", "-m", "pip", "check"], installed)
    listed = json.loads(
        _run([installed / "python", "-m", "pip", "list", "--format=json"], installed)
    )
    names = {package["name"].lower() for package in listed}
    assert names >= {"action-gru", "torch", "ultralytics"}
    assert names & DEVELOPERS == set()


def test_nothing_is_read_from_the_checkout(installed, empty):
    code = "import action_gru; print(action_gru.__file__)"
    assert str(installed.parent) in _run([installed / "python", "-c", code], empty)


def test_a_config_of_the_package_is_found_under_its_name(installed, empty):
    said = _action_gru(installed, empty, "config", "configs/people.yaml")
    assert re.search(r"views:\s*(\[motion|\n\s*- motion)", said)


def test_the_shipped_models_are_listed_and_one_answers(installed, empty, clips, shared_weights):
    assert "fights" in _action_gru(installed, empty, "models")
    kept = empty / "home" / ".cache" / "action_gru" / "weights" / "yolo26n-cls.pt"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shared_weights, kept)
    clip = clips / "wave" / "0.mp4"
    assert "noFight 0." in _action_gru(installed, empty, "classify", clip, "-m", "fights")


def test_a_folder_of_clips_trains_and_the_model_answers(installed, empty, clips, run):
    assert (empty / run / "final.safetensors").is_file()
    assert (empty / run / "training.png").is_file()
    clip = clips / "wave" / "0.mp4"
    said = _action_gru(installed, empty, "classify", clip, "--annotate", "out.mp4")
    assert re.search(r"(wave|clap) 0\.\d", said)
    assert (empty / "out.mp4").is_file()
    report = _action_gru(installed, empty, "evaluate", "--quiet").splitlines()[-1]
    assert (empty / report / "report.md").is_file()


def test_events_are_told_in_a_language_of_the_package(installed, empty, clips, run):
    spoken = [
        "--describe",
        "describe.detect=false",
        "describe.language=de",
        "events.enter=0.1",
        "events.exit=0.05",
    ]
    assert " bis " in _action_gru(installed, empty, "timeline", clips / "wave" / "1.mp4", *spoken)


def test_the_demo_starts_from_nothing(installed, empty):
    """Until it draws; the slow lane sees it to its end."""
    began = _started(installed, empty, "demo", "--folder", "demo", errors=subprocess.PIPE)
    with began as demo:
        assert demo.stderr is not None
        said = list(itertools.takewhile(lambda line: "drawing people" not in line, demo.stderr))
        demo.send_signal(signal.SIGINT)
        demo.stderr.read()
        assert demo.wait(ENDS_WITHIN_S) == 130, said


@pytest.fixture(scope="module")
def with_extras(installed, built) -> Path:
    """The same environment with the extras of programs that listen."""
    _install(installed, f"{_only(built, '*.whl')}[studio,serve,mqtt]")
    return installed


# Before any test that asks for the extras: they stay installed.
def test_a_command_names_the_extra_that_it_lacks(installed, empty):
    refused = _action_gru(installed, empty, "studio", "acts", code=8)
    assert "pip install 'action-gru[studio]'" in refused


def test_the_studio_serves_each_file_that_its_page_names(with_extras, empty):
    _run([with_extras / "python", "-m", "pip", "check"], empty)
    with _listening(with_extras, empty, "studio", "acts", "--no-browser") as address:
        files = re.findall(r'(?:src|href)="(?!data:|#)/?([^"]+)"', _fetched(address))
        assert {name.rpartition(".")[2] for name in files} >= {"js", "css", "svg"}
        for name in files:
            assert _fetched(f"{address.split('?')[0]}{name}")


def test_a_model_is_served(with_extras, empty, run):
    with _listening(with_extras, empty, "serve", "-m", run) as address:
        assert _fetched(f"{address.rstrip('/')}/health")


@contextlib.contextmanager
def _listening(programs: Path, folder: Path, *words: str) -> Iterator[str]:
    """The address that a command prints; it ends well when it is told to."""
    with _started(programs, folder, *words, "--port", "0") as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
        assert server.wait(ENDS_WITHIN_S) == 0


def test_torch_of_another_index_is_kept_by_what_follows(tmp_path):
    """`make demo TORCH_INDEX=...`, with small packages of the names and versions of real ones."""
    for name, version in (("torch", "2.14.1+cpu"), ("torchvision", "0.29.1+cpu")):
        _write_wheel(tmp_path / "index" / name, name, version)
    with _served(tmp_path / "index") as address:
        made = [f"VENV={tmp_path / 'venv'}", f"TORCH_INDEX={address}", f"PYTHON={sys.executable}"]
        lines = _run(
            ["make", "-n", "--no-print-directory", *made, tmp_path / "venv" / ".installed"], ROOT
        ).splitlines()
        report = tmp_path / "report.json"
        for line in lines:
            tried = f" --dry-run --report {report}" if line.endswith("-e .") else ""
            _run(["sh", "-c", line + tried], ROOT)
    names = {one["metadata"]["name"].lower() for one in json.loads(report.read_text())["install"]}
    assert "ultralytics" in names
    assert not [
        name for name in names if re.match("torch(vision)?$|triton|cuda-|nvidia-.*cu", name)
    ]


def _write_wheel(folder: Path, name: str, version: str) -> None:
    """A package without content."""
    folder.mkdir(parents=True)
    about = f"{name}-{version}.dist-info"
    files = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The address of the folder on this machine."""
    answer = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def _run(words: list, folder: Path, code: int = 0, **env: str) -> str:
    """What a program said, both streams where it was to fail."""
    folder.mkdir(parents=True, exist_ok=True)
    env = env or {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=env, text=True, capture_output=True
    )
    assert done.returncode == code, f"{words}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout + (done.stderr if code else "")


def _install(programs: Path, what: str) -> None:
    options = ["--quiet", "--no-compile", "--disable-pip-version-check"]
    limits = ["-c", ROOT / "constraints.txt"]
    began = time.monotonic()
    _run([programs / "python", "-m", "pip", "install", *options, *limits, what], programs.parent)
    print(f"installed {what} in {time.monotonic() - began:.0f} s")


def _users(folder: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder / "home"), "LANG": "C.UTF-8"}


def _action_gru(programs: Path, folder: Path, *words: object, code: int = 0) -> str:
    return _run([programs / "action-gru", *words], folder, code, **_users(folder))


def _started(
    programs: Path, folder: Path, *words: str, errors: int | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(programs / "action-gru"), *words],
        cwd=folder, env=_users(folder), stdout=subprocess.PIPE, stderr=errors, text=True,
    )  # fmt: skip


def _fetched(address: str) -> str:
    with urllib.request.urlopen(address, timeout=ENDS_WITHIN_S) as answer:
        return str(answer.read().decode())


def _only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found
