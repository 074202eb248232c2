"""Freed memory stays for the next batch while it is wanted, and goes back afterwards."""

import os
import subprocess
import sys

import pytest

from action_gru.core import machine as allocator
from action_gru.core.machine import keeping_freed_memory, use_one_arena

PROGRAM = """
import resource, threading
from action_gru.core.machine import keeping_freed_memory, use_one_arena

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident_pages():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

def work():
    for _ in range(20):
        bytearray(50_000_000)  # more than glibc ever keeps by itself

def counted():
    before = faults()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return faults() - before

assert use_one_arena()
plain = counted()
with keeping_freed_memory() as kept:
    assert kept
    within = counted()
    held = resident_pages()
again, after = counted(), resident_pages()
print(plain, within, again, held - after)
"""


def glibc() -> bool:
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError):
        return False
    return True


@pytest.mark.skipif(not glibc(), reason="only glibc has these settings")
def test_pages_are_cleared_once_within_and_given_back_at_the_end():
    usual = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, env=usual
    )
    assert done.returncode == 0, done.stderr
    plain, within, again, given_back = map(int, done.stdout.split())
    assert within < plain / 10
    assert again > 10 * within
    assert given_back * os.sysconf("SC_PAGE_SIZE") > 25_000_000


@pytest.mark.parametrize(
    "chosen", [{"MALLOC_ARENA_MAX": "2"}, {"LD_PRELOAD": "libjemalloc.so"}, {"GLIBC_TUNABLES": ""}]
)
def test_what_the_user_has_chosen_stays(chosen):
    assert not use_one_arena(chosen)
    with keeping_freed_memory(chosen) as kept:
        assert not kept


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert not use_one_arena({})
    with keeping_freed_memory({}) as kept:
        assert not kept


def test_the_last_of_several_gives_back(monkeypatch):
    calls = []

    class Library:
        gnu_get_libc_version = malloc_trim = None

        def mallopt(self, name: int, value: int) -> int:
            calls.append((name, value))
            return 1

    library = Library()
    library.malloc_trim = lambda pad: calls.append("trim")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: library)
    with keeping_freed_memory({}):
        with keeping_freed_memory({}) as kept:
            assert kept
        assert "trim" not in calls
        assert calls == 2 * list(allocator.KEPT.items())
    assert calls[4:] == [*allocator.USUAL.items(), "trim"]
