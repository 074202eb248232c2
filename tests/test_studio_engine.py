"""The studio's worker processes: tasks, failures, deaths and ends."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager

import psutil
import pytest

from action_gru.apps.studio.engine import Engine, StoppedTaskError, TaskError

WAIT_S = 30


@contextmanager
def engine(*modules, folder=None):
    changes = []
    names = [f"helpers.{name}" for name in modules or ("fake_worker",)]
    made = Engine("test", names, lambda: changes.append((made.state, made.text)), folder)
    made.changes = changes
    with closing(made):
        made.start()
        yield made


def until(is_so):
    ends = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def is_running(process):
    return psutil.pid_exists(process) and psutil.Process(process).status() != "zombie"


@pytest.fixture(scope="module")
def shared():
    with engine() as made:
        yield made


def test_tasks_wait_for_a_worker_that_warms_up_visibly():
    with engine() as made:
        assert made.ask("echo", {"a": (1, 2)}).result(WAIT_S) == {"a": (1, 2)}
        assert made.changes == [
            ("starting", "starting"), ("starting", "warming up"), ("ready", "without networks"),
        ]  # fmt: skip


def test_what_a_task_tells_arrives_in_order_before_its_result(shared):
    told = []
    assert shared.ask("count", 5, told=told.append).result(WAIT_S) == 5
    assert told == [0, 1, 2, 3, 4]


def test_a_listener_that_fails_costs_neither_task_nor_worker(shared, caplog):
    def broken(value):
        raise RuntimeError("no page")

    assert shared.ask("count", 1, told=broken).result(WAIT_S) == 1
    assert "what it told was not taken (RuntimeError: no page)" in caplog.text


def test_errors_arrive_as_sentences(shared):
    with pytest.raises(TaskError, match=r"^clips: none; record some$"):
        shared.ask("refuse").result(WAIT_S)
    with pytest.raises(TaskError, match=r"^ZeroDivisionError: by zero$"):
        shared.ask("fail").result(WAIT_S)
    with pytest.raises(TaskError, match=r"no such task; it has .*'echo'"):
        shared.ask("sing").result(WAIT_S)


def test_what_cannot_be_pickled_fails_its_own_task_only(shared):
    with pytest.raises(TaskError, match="echo: cannot be sent to the worker"):
        shared.ask("echo", threading.Lock()).result(WAIT_S)
    with pytest.raises(TaskError, match="the result cannot be sent"):
        shared.ask("locked").result(WAIT_S)
    assert shared.ask("echo", 1).result(WAIT_S) == 1


def test_urgent_tasks_go_first_and_given_up_ones_not_at_all(shared):
    begun, done = threading.Event(), []
    slow = shared.ask("sleep", 0.3, told=lambda _: begun.set())
    assert begun.wait(WAIT_S)
    late = [shared.ask("echo", name) for name in ("first", "given up", "second")]
    urgent = shared.ask("echo", "urgent", urgent=True)
    for future in (urgent, *late):
        future.add_done_callback(lambda f: done.append("-" if f.cancelled() else f.result()))
    assert late[1].cancel()
    late[2].result(WAIT_S)
    assert slow.done()
    until(lambda: len(done) == 4)
    assert done == ["-", "urgent", "first", "second"]
    with pytest.raises(CancelledError):
        late[1].result()


def test_more_tasks_than_a_pipe_holds_bells_wait_for_a_slow_one(shared):
    begun = threading.Event()
    shared.ask("sleep", 0.3, told=lambda _: begun.set())
    assert begun.wait(WAIT_S)
    many = [shared.ask("echo", number) for number in range(2000)]
    assert [future.result(WAIT_S) for future in many] == list(range(2000))


def test_a_dead_worker_fails_its_task_and_the_next_one_does_the_rest():
    with engine() as made:
        dying, after = made.ask("die"), made.ask("echo", 1)
        with pytest.raises(TaskError, match=r"^the \w+ process ended .*; try again"):
            dying.result(WAIT_S)
        assert after.result(WAIT_S) == 1
        idle = made.ask("where").result(WAIT_S)[1]
        psutil.Process(idle).kill()
        until(lambda: not is_running(idle))
        assert made.ask("where").result(WAIT_S)[1] != idle


def test_a_restart_stops_what_runs_and_what_waits():
    with engine() as made:
        begun = threading.Event()
        running, waiting = made.ask("sleep", 60, told=lambda _: begun.set()), made.ask("echo", 1)
        assert begun.wait(WAIT_S)
        made.restart()
        for future in (running, waiting):
            with pytest.raises(StoppedTaskError, match=r"^it was stopped before it ended"):
                future.result(WAIT_S)
        for _ in range(4):  # one that is starting is no failure either
            made.restart()
            until(lambda: made.changes[-1][0] == "starting" or made.state == "ready")
        assert made.ask("echo", 2).result(WAIT_S) == 2


def test_a_failed_warm_up_is_told_and_tasks_are_tried():
    with engine("failing_worker") as made:
        until(lambda: made.state == "failed")
        assert made.text == "net.pt: not on this machine; fetch it"
        with pytest.raises(TaskError, match="no such task"):
            made.ask("sing").result(WAIT_S)
        assert made.ask("echo", 3).result(WAIT_S) == 3


def test_a_worker_that_ends_while_starting_is_not_started_for_ever(tmp_path):
    with engine("dying_worker", folder=tmp_path) as made:
        with pytest.raises(TaskError, match="the test process ends while it starts"):
            made.ask("echo", 1).result(WAIT_S)
        assert made.state == "failed"
        assert made.changes.count(("starting", "starting")) == 3
        (tmp_path / "mended").touch()
        assert made.ask("echo", 1).result(WAIT_S) == 1


def test_relative_paths_of_a_worker_start_in_its_folder(tmp_path):
    with engine(folder=tmp_path) as made:
        assert made.ask("where").result(WAIT_S)[0] == str(tmp_path)


def test_one_engine_warms_up_after_another_and_never_waits_for_one_that_fails():
    first = Engine("first", ["helpers.failing_worker"], lambda: None)
    second = Engine("second", ["helpers.fake_worker"], lambda: None, None, first)
    with closing(first), closing(second):
        second.start()
        asked = second.ask("echo", 1)
        assert not first.has_started.is_set()
        assert not asked.done()
        first.start()
        assert asked.result(WAIT_S) == 1
        assert first.state == "failed"


def test_an_engine_that_waits_for_another_can_be_closed():
    first = Engine("first", ["helpers.fake_worker"], lambda: None)
    second = Engine("second", ["helpers.fake_worker"], lambda: None, None, first)
    second.start()
    asked = second.ask("echo", 1)
    first.close()
    second.close()
    with pytest.raises(StoppedTaskError):
        asked.result(WAIT_S)


def test_closing_leaves_no_process_and_fails_what_was_open():
    with engine() as made:
        worker, children = made.ask("where").result(WAIT_S)[1], []
        running = made.ask("with_child", told=children.append)
        until(lambda: children)
        made.close()
        with pytest.raises(StoppedTaskError):
            running.result(WAIT_S)
        with pytest.raises(StoppedTaskError, match="the server is closing"):
            made.ask("echo", 1).result(WAIT_S)
        until(lambda: not any(map(is_running, [worker, *children])))


PARENT = """
import sys, threading
from action_gru.apps.studio.engine import Engine
if __name__ == "__main__":
    made = Engine("test", ["helpers.fake_worker"], lambda: None)
    made.start()
    print(made.ask("where").result(60)[1], flush=True)
    begun = threading.Event()
    made.ask("sleep", 60, told=lambda _: begun.set())
    begun.wait()
    print("begun", "torch" in sys.modules, "numpy" in sys.modules, flush=True)
    input()
"""


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_no_worker_outlives_its_server_however_that_ends(tmp_path, end):
    """A server that forgets to close, and one that is killed; neither has torch or numpy."""
    script = tmp_path / "server.py"
    script.write_text(PARENT)
    pipe = subprocess.PIPE
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, script], env=env, stdin=pipe, stdout=pipe) as server:
        worker = int(server.stdout.readline())
        assert server.stdout.readline() == b"begun False False\n"
        if end == "kill":
            server.kill()
        server.stdin.close()
        server.wait(WAIT_S)
    until(lambda: not is_running(worker))
