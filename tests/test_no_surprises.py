"""The main paths, with every way to a network or to another program watched."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.videos import write_square

# Audit events, https://docs.python.org/3/library/audit_events.html. What is tried is refused, and
# told at the end: a library that hides the refusal is found all the same.
PROGRAM = """
import json, sys
tried = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
                 "socket.sendmsg", "socket.bind", "urllib.Request", "http.client.connect",
                 "os.system", "os.exec", "os.spawn", "webbrowser.open"):
        tried.append([event, repr(arguments)[:200]])
        if event != "socket.bind":
            raise OSError(f"{event} is not allowed here")
    if event == "subprocess.Popen":
        tried.append([event, repr(arguments[:2])[:400]])
sys.addaudithook(watch)
commands = json.loads(sys.argv[1])
from action_gru.cli import main
for command in commands:
    sys.argv = ["action-gru", *command]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
with open("tried.json", "w") as file:
    json.dump(tried, file)
"""
CONFIG = """
data: {manifest: manifest.csv}
sampling: {fps: 5.0, max_frames: 8}
features: {weights: builtin, image_size: 64, cache_dir: cache}
model: {projection_size: 8, hidden_size: 8}
training: {epochs: 2, device: cpu, mean_pooled_baseline: false}
"""
COMMANDS = [
    ["extract", "config.yaml", "-q"],
    ["train", "config.yaml", "-q"],
    ["evaluate", "runs/run", "-q"],
    ["classify", "0.mp4", "-m", "runs/run", "-q", "--json"],
]
# Files are decoded in a process of ours. matplotlib looks for fonts, ctypes for libraries; urllib3,
# which ultralytics imports, takes a free port of this machine and lets it go, to see about IPv6.
HARMLESS = [
    rf"subprocess.Popen \('{sys.executable}', .*action_gru\.video\.worker",
    r"subprocess.Popen \('/sbin/ldconfig', ",
    r"subprocess.Popen \('fc-list', \['fc-list', ",
    r"socket.bind .*\('::1', 0\)",
]


def tried_by(program: str, folder: Path, *arguments: str) -> tuple[list[str], str]:
    """What a program tried that HARMLESS does not list, and its answer."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tried = [" ".join(attempt) for attempt in json.loads((folder / "tried.json").read_text())]
    harmless = re.compile("|".join(HARMLESS))
    return [attempt for attempt in tried if not harmless.match(attempt)], done.stdout


@pytest.mark.slow
def test_the_main_paths_open_no_connection_and_start_no_program(tmp_path):
    rows = ["path,label,split"]
    for index in range(8):
        label = "bright" if index % 2 else "dark"
        write_square(tmp_path / f"{index}.mp4", 10, seed=index + 100 * (index % 2))
        rows.append(f"{index}.mp4,{label},{'test' if index > 5 else 'train'}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "config.yaml").write_text(CONFIG)
    tried, answer = tried_by(PROGRAM, tmp_path, json.dumps(COMMANDS))
    assert tried == []
    assert json.loads(answer.splitlines()[-1])["label"] in ("bright", "dark")
    assert list((tmp_path / "runs" / "run" / "evaluation").iterdir())


def test_the_watch_sees_what_a_library_hides(tmp_path):
    hidden = "import socket, subprocess\n" + "".join(
        f"try:\n    {call}\nexcept OSError:\n    pass\n"
        for call in ("socket.create_connection(('127.0.0.1', 9))", "subprocess.run(['pip', 'x'])")
    )
    program = PROGRAM.replace("from action_gru.cli import main\n", hidden)
    tried, _ = tried_by(program, tmp_path, "[]")
    assert [attempt.split()[0] for attempt in tried] == ["socket.getaddrinfo", "subprocess.Popen"]
