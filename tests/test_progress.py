"""Nothing is silent for long on stderr, whether it is a terminal or a file."""

import io
import re
import time

import pytest
from rich.console import Console

from action_gru.core import progress
from action_gru.core.progress import Reporter


@pytest.fixture
def stderr(monkeypatch):
    """What is written; signs of life come as quickly as they can."""
    monkeypatch.setattr(progress, "QUICKEST_S", 0.0)
    monkeypatch.setattr(progress, "LOOK_EVERY_S", 0.001)
    return io.StringIO()


def reporter_to(written: io.StringIO, quiet: bool = False) -> Reporter:
    reporter = Reporter(quiet)
    reporter._console = Console(file=written, highlight=False)
    return reporter


def wait_for(pattern: str, written: io.StringIO) -> None:
    deadline_s = time.monotonic() + 30
    while not re.search(pattern, written.getvalue()):
        assert time.monotonic() < deadline_s, written.getvalue()
        time.sleep(0.002)


def test_long_work_shows_its_title_again_and_again(stderr):
    with reporter_to(stderr).doing("loading"):
        wait_for(r"(loading \.\.\. \d+ s\n.*){3}", stderr)


def test_a_bar_in_a_file_has_a_line_at_its_start_and_at_its_end_and_between(stderr):
    with reporter_to(stderr).bar("train", 3) as advance:
        assert stderr.getvalue().startswith("train: 0 of 3, ")
        advance(note="loss 0.5")
        wait_for(r"train: 1 of 3, loss 0.5, \d+ s\n", stderr)
        advance(2)
    assert re.match(r"train: 3 of 3, loss 0.5, \d+ s", stderr.getvalue().splitlines()[-1])


def test_a_bar_of_unknown_length_does_not_say_of_0(stderr):
    with reporter_to(stderr).bar("timeline", 0) as advance:
        assert re.match(r"timeline \.\.\. \d+ s\n", stderr.getvalue())
        advance(total=12)
    assert "timeline: 1 of 12, " in stderr.getvalue().splitlines()[-1]


def test_of_nested_work_the_inner_one_speaks(stderr):
    reporter = reporter_to(stderr)
    with reporter.doing("training"):
        wait_for("training", stderr)
        with reporter.doing("drawing"):
            wait_for(r"(drawing.*\n){3}", stderr)
            assert re.search(r"drawing(.*\n)*training", stderr.getvalue()) is None
        wait_for(r"drawing.*\ntraining", stderr)


def test_a_quiet_reporter_shows_nothing_of_work(stderr):
    reporter = reporter_to(stderr, quiet=True)
    with reporter.doing("loading"), reporter.bar("train", 2) as advance:
        advance()
        time.sleep(0.02)
    assert stderr.getvalue() == ""


def test_what_follows_on_a_terminal_writes_over_the_sign_of_life(stderr, monkeypatch):
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    reporter = reporter_to(stderr)
    with reporter.doing("loading"):
        wait_for("loading", stderr)
        reporter.info("news")
        wait_for(r"loading \.\.\. \d+ s" + re.escape(progress.WIPE) + "news\n", stderr)
    assert stderr.getvalue().endswith((progress.WIPE, "news\n"))


def test_lines_in_a_file_get_rarer(monkeypatch):
    stage = progress._Stage("train", 10)
    assert stage.gap_s() == progress.QUICKEST_S
    stage.began_s -= 50
    assert stage.gap_s() == pytest.approx(5, abs=1)
    stage.began_s -= 10_000
    assert stage.gap_s() == progress.SLOWEST_S
