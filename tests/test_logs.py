"""--log-json: whatever goes to stderr is one JSON object a line."""

import io
import json
import logging
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from helpers.videos import write_square

from action_gru.core import progress as logs
from action_gru.core.progress import Reporter

BASE = {"time", "level", "logger", "message"}


def run(folder: Path, *arguments: str) -> tuple[int, str, list[dict]]:
    """Exit code, stdout, and the log."""
    done = subprocess.run(
        [sys.executable, "-m", "action_gru", *arguments],
        capture_output=True, text=True, cwd=folder, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(set(line) >= BASE for line in lines)
    return done.returncode, done.stdout, lines


@pytest.fixture
def json_log(monkeypatch):
    """The lines that are logged from here on."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    before, level = list(logging.root.handlers), logging.root.level
    for handler in before:
        logging.root.removeHandler(handler)
    logs.log_as_json()
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.captureWarnings(False)
    for handler in list(logging.root.handlers):
        logging.root.removeHandler(handler)
    for handler in before:
        logging.root.addHandler(handler)
    logging.root.setLevel(level)


def test_a_reporter_logs_where_logs_are_json(json_log):
    assert logs.is_json()
    reporter = Reporter(quiet=False)
    reporter.info("news\nof two lines", count=3, message="not this", path=Path("a"))
    reporter.warn("look out")
    reporter.fail("a.mp4: broken", video="a.mp4")
    with reporter.bar("extract", 2) as advance:
        advance(note="a.mp4")
    warnings.warn("of a library", stacklevel=1)
    found = json_log()
    assert [line["level"] for line in found] == [
        "info", "warning", "error", "info", "info", "warning",
    ]  # fmt: skip
    assert found[0]["message"] == "news\nof two lines"
    assert (found[0]["count"], found[0]["path"]) == (3, "a")
    assert found[2]["video"] == "a.mp4"
    assert found[3]["message"].startswith("extract: 0 of 2, ")
    assert found[4]["message"].startswith("extract: 1 of 2, a.mp4, ")
    assert (found[4]["note"], found[4]["done"], found[4]["total"]) == ("a.mp4", 1, 2)
    assert (found[5]["logger"], "of a library" in found[5]["message"]) == ("py.warnings", True)
    assert list(found[0])[:4] == ["time", "level", "logger", "message"]
    moment = time.strptime(found[0]["time"][:19], "%Y-%m-%dT%H:%M:%S")
    assert abs(time.mktime(moment) - time.mktime(time.gmtime())) < 60
    assert found[0]["time"].endswith("+00:00")


def test_a_quiet_log_has_warnings_and_errors_only(json_log):
    reporter = Reporter(quiet=True)
    reporter.info("news")
    with reporter.bar("extract", 2):
        reporter.warn("look out")
    reporter.fail("broken")
    assert [line["message"] for line in json_log()] == ["look out", "broken"]


@pytest.mark.slow
def test_a_run_tells_its_warnings_its_summary_and_its_error_as_json(tmp_path):
    for number in range(4):
        write_square(tmp_path / f"{number}.mp4", 8, seed=number)
    (tmp_path / "4.mp4").write_bytes(b"")
    rows = [f"{number}.mp4,{'bright' if number % 2 else 'dark'}" for number in range(5)]
    (tmp_path / "manifest.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    (tmp_path / "config.yaml").write_text(
        "data: {manifest: manifest.csv, max_bad_share: 0.2}\n"
        "features: {weights: builtin, image_size: 64, views: [rgb], cache_dir: cache}\n"
    )
    code, answer, lines = run(tmp_path, "extract", "config.yaml", "--log-json")
    assert code == 0
    assert answer.startswith("5 clips: 4 read (32 frames decoded), 0 already cached, 1 left out;")
    (left_out,) = [line for line in lines if "clip" in line]
    assert (left_out["level"], left_out["clip"]) == ("warning", "4.mp4")
    assert "0 bytes" in left_out["reason"]
    expected = {
        "clips": 5, "read": 4, "frames": 32, "cached": 0, "skipped": 0, "quarantined": 1,
        "retried": 0, "damaged": 0, "cache_dir": "cache",
    }  # fmt: skip
    assert lines[-1]["summary"] == expected
    done = [line["done"] for line in lines if line.get("stage") == "extract"]
    assert (done[0], done[-1]) == (0, 5)

    (tmp_path / "cache" / "file").write_text("")
    next((tmp_path / "cache").glob("*/*.safetensors")).write_bytes(b"damaged")
    overrides = ("data.max_bad_share=0.1",)
    code, answer, lines = run(tmp_path, "--log-json", "extract", "config.yaml", *overrides)
    assert (code, answer) == (3, "")
    summary, error = lines[-2:]
    changed = {"read": 1, "frames": 8, "cached": 3, "damaged": 1}
    del expected["cache_dir"]
    assert summary["summary"] == expected | changed
    assert (error["level"], error["error"], error["exit_code"]) == ("error", "DataError", 3)
    assert "1 of 5 clips cannot be read" in error["message"]


def test_a_wrong_command_line_is_told_as_json(tmp_path):
    code, answer, lines = run(tmp_path, "extract", "--nothing", "--log-json")
    assert (code, answer, len(lines)) == (2, "", 1)
    assert (lines[0]["error"], lines[0]["exit_code"]) == ("UsageError", 2)
    assert "--nothing" in lines[0]["message"]


UNFORESEEN = """
import sys
from action_gru.cli import commands, common
def config():
    raise ZeroDivisionError("of nobody's making")
commands.app.command("broken")(config)
common.run(commands.app, ["broken", "--log-json"])
"""


def test_what_nobody_foresaw_is_told_as_json_with_its_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", UNFORESEEN], capture_output=True, text=True, check=False
    )
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (done.returncode, line["level"], line["error"]) == (1, "critical", "ZeroDivisionError")
    assert "Traceback (most recent call last)" in line["traceback"]
    assert line["message"] == "unexpected: of nobody's making"
