import subprocess
import sys
import threading

import pytest

from action_gru.core.machine import Prefetch


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


# In a process of its own: what an earlier test left of signals may end a worker that gets one.
INTERRUPTED = """
import os, signal, threading
from action_gru.core.machine import Worker

go_on, log = threading.Event(), []

def work():
    os.kill(os.getpid(), signal.SIGINT)
    go_on.wait(10)
    log.append("whole")

worker = Worker(work)
try:
    worker.start()
    worker.join()
except KeyboardInterrupt:
    log.append(worker.is_alive())
go_on.set()
worker.join()
print(log, worker.is_alive())
Worker(work).join()  # one that never started
"""


def test_an_interrupted_wait_for_a_thread_can_be_taken_up_again():
    """Python 3.11 takes a thread for ended once its `join` was interrupted."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[True, 'whole'] False\n", "")
