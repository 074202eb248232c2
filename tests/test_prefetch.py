import os
import signal
import threading

import pytest

from action_gru.core.machine import Prefetch, Worker


def test_prefetch_hands_errors_over_and_stops_when_left():
    def items():
        yield 1
        raise ValueError("broken")

    with Prefetch(items(), 2) as prefetched, pytest.raises(ValueError, match="broken"):
        assert list(prefetched) == [1]

    def endless():
        number = 0
        while True:
            yield number
            number += 1

    with Prefetch(endless(), 3) as prefetched:
        assert next(iter(prefetched)) == 0
    assert not [t for t in threading.enumerate() if t.name == "action_gru prefetch"]


def test_an_interrupted_wait_for_a_thread_can_be_taken_up_again(ctrl_c):
    """Python 3.11 takes a thread for ended once its `join` was interrupted."""
    go_on, log = threading.Event(), []

    def work():
        os.kill(os.getpid(), signal.SIGINT)
        go_on.wait(10)
        log.append("whole")

    def wait():
        worker.start()
        worker.join()

    worker = Worker(work)
    with pytest.raises(KeyboardInterrupt):
        wait()
    assert worker.is_alive()
    go_on.set()
    worker.join()
    assert (worker.is_alive(), log) == (False, ["whole"])
    Worker(work).join()  # one that never started
