import threading
from concurrent.futures import CancelledError

import pytest

from action_gru.apps.studio.background import Job, begin, job_drop, job_news
from action_gru.core.errors import VideoError


def ended(key):
    """What is told of a job at its end."""
    while (told := job_news(None, key))["state"] == "reading":
        threading.Event().wait(0.005)
    return told


def test_a_job_is_asked_after_while_it_works_and_forgotten_when_it_has_ended():
    may_end, is_half = threading.Event(), threading.Event()

    def work(job):
        job.share, job.found["half"] = 0.5, 1
        is_half.set()
        may_end.wait(30)
        job.found["whole"] = 2

    begin("a", work)
    assert is_half.wait(30)
    assert job_news(None, "a") == {
        "state": "reading", "share": 0.5, "error": None, "found": {"half": 1},
    }  # fmt: skip
    may_end.set()
    assert ended("a") == {
        "state": "ready", "share": 1.0, "error": None, "found": {"half": 1, "whole": 2},
    }  # fmt: skip
    assert job_news(None, "a")["error"] == "it was broken off; start it again"


def test_a_share_that_is_awaited_grows_and_never_reaches_it_by_itself():
    job = Job()
    job.share = 0.5
    assert job.shown_share == 0.5
    job.expect(1.0, 3600.0)
    assert 0.5 < job.shown_share < 0.51
    job.expect(1.0, 0.0)
    threading.Event().wait(0.01)
    assert job.shown_share == pytest.approx(0.975)


@pytest.mark.parametrize(
    ("error", "said"),
    [(VideoError("no frame; cut it"), "no frame; cut it"), (KeyError("x"), "KeyError: 'x'")],
)
def test_a_job_that_fails_says_why(error, said):
    def work(job):
        raise error

    begin("b", work)
    assert (told := ended("b"))["state"] == "failed"
    assert told["error"] == said


def test_a_dropped_job_ends_at_its_next_check():
    begun, over = threading.Event(), threading.Event()
    jobs: list[Job] = []

    def work(job):
        jobs.append(job)
        begun.set()
        try:
            while True:
                job.check()
        except CancelledError:
            over.set()
            raise

    begin("c", work)
    assert begun.wait(30)
    job_drop(None, "c")
    assert over.wait(30)
    assert jobs[0].is_dropped
    job_drop(None, "c")  # of one that is not there nothing is said
